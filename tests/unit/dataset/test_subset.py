"""A random share of a packed file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bakes import write_packed
from genet5.cli.subset_packed import main
from genet5.dataset.header import Header
from genet5.dataset.packed import PackedReader
from genet5.dataset.subset import choose_rows, subset_packed
from genet5.errors import ConfigError, DataError, FormatError


def row_ids(path: Path) -> list[tuple[str, ...]]:
    reader = PackedReader(path)
    return [tuple(window.id for window in reader.row(index)) for index in range(len(reader))]


def test_a_subset_holds_the_rows_as_they_were_in_the_files_order(packed_file, tmp_path) -> None:
    out = tmp_path / "sub" / "training.packed"
    header = subset_packed(packed_file, out, 0.25, seed=3)
    reader, source = PackedReader(out), PackedReader(packed_file)
    assert len(reader) == 10
    assert reader.header == header
    assert reader.verify() == header.counts
    kept = choose_rows(40, 0.25, 3)
    for index, row in enumerate(kept):
        for found, expected in zip(reader.row(index), source.row(row), strict=True):
            assert found.digest() == expected.digest()


def test_a_smaller_share_lies_within_a_larger_one_of_the_same_seed(packed_file, tmp_path) -> None:
    kept = {}
    for name, fraction, seed in (
        ("5", 0.05, 1),
        ("10", 0.1, 1),
        ("all", 1.0, 1),
        ("other", 0.1, 2),
    ):
        subset_packed(packed_file, tmp_path / name, fraction, seed=seed)
        kept[name] = set(row_ids(tmp_path / name))
    assert kept["5"] < kept["10"] < kept["all"] == set(row_ids(packed_file))
    assert (len(kept["5"]), len(kept["10"])) == (2, 4)
    assert kept["other"] != kept["10"]


def test_the_same_seed_gives_the_same_bytes(packed_file, tmp_path) -> None:
    for name in ("a", "b"):
        subset_packed(packed_file, tmp_path / name, 0.3, seed=7)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_header_says_where_the_rows_come_from(packed_rows, tmp_path) -> None:
    sources = tuple({"taxon": "prokaryotes", "genome": f"genome_{n}"} for n in range(3))
    settings = {"window_size": 90}
    full = write_packed(
        tmp_path / "a", packed_rows, Header(split="x", sources=sources, settings=settings)
    )
    half = subset_packed(tmp_path / "a", tmp_path / "b", 0.5, seed=1)
    tiny = subset_packed(tmp_path / "b", tmp_path / "c", 0.01, seed=2)
    first = {"fraction": 0.5, "seed": 1, "of": full.checksum}
    second = {"fraction": 0.01, "seed": 2, "of": half.checksum}
    assert tiny.settings == {"window_size": 90, "subset": [first, second]}
    assert (half.split, tiny.split) == ("x", "x")
    genomes = {window.genome for window in PackedReader(tmp_path / "c").windows()}
    assert {source["genome"] for source in tiny.sources} == genomes
    assert tiny.counts["rows"] == 1


def test_in_is_never_overwritten_and_out_only_when_asked(packed_file, tmp_path) -> None:
    before = packed_file.read_bytes()
    link = tmp_path / "link"
    os.link(packed_file, link)
    for same in (packed_file, packed_file.parent / "." / packed_file.name, link):
        with pytest.raises(ConfigError, match="another file than IN"):
            subset_packed(packed_file, same, 0.5, overwrite=True)
    out = tmp_path / "out"
    out.write_text("mine")
    with pytest.raises(ConfigError, match="--overwrite"):
        subset_packed(packed_file, out, 0.5)
    assert out.read_text() == "mine"
    subset_packed(packed_file, out, 0.5, overwrite=True)
    assert len(PackedReader(out)) == 20
    assert packed_file.read_bytes() == before


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.5, float("nan")])
def test_shares_that_are_none_are_refused(packed_file, tmp_path, fraction) -> None:
    with pytest.raises(ConfigError, match="fraction"):
        subset_packed(packed_file, tmp_path / "out", fraction)
    assert not (tmp_path / "out").exists()


def test_files_that_cannot_be_read_are_named(tmp_path) -> None:
    write_packed(tmp_path / "empty", [], Header())
    with pytest.raises(DataError, match=r"empty: a packed file without rows"):
        subset_packed(tmp_path / "empty", tmp_path / "out", 0.5)
    with pytest.raises(FormatError, match="not found"):
        subset_packed(tmp_path / "absent", tmp_path / "out", 0.5)


def test_the_command_prints_counts_and_refuses_wrong_usage(packed_file, tmp_path, capsys) -> None:
    out = tmp_path / "out.packed"
    words = [str(packed_file), str(out), "--fraction", "0.1"]
    assert main(words) == 0
    assert "4 rows" in capsys.readouterr().out
    assert main(words) == 2, "OUT is there"
    assert main([str(packed_file), str(out), "--fraction", "2", "--overwrite"]) == 2
    assert main([str(packed_file), str(out)]) == 2, "no fraction"
