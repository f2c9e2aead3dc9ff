"""What differs between two annotations: kinds, groups, details, and the command that lists them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import make_gene
from genet5.cli.compare import main
from genet5.genome.gene import Gene
from genet5.genome.io.gff3_write import write_gff3
from genet5.score.differences import KINDS, differences
from genet5.score.differences_page import differences_section, differences_svg


def listed(first: list[Gene], second: list[Gene], length: int | None = 2000) -> list[tuple]:
    return [(d.kind, d.first, d.second, d.detail) for d in differences(first, second, length)]


def gene(id: str, *cds: tuple[int, int], strand: int = 1, **fields: object) -> Gene:
    return make_gene(*cds, id=id, strand=strand, **fields)


@pytest.mark.parametrize(
    ("other", "kind", "detail"),
    [
        (gene("x", (100, 160), (200, 400)), "same", ""),
        (gene("x", (130, 160), (200, 400)), "start", "start 30 bp downstream"),
        (gene("x", (100, 160), (200, 310)), "stop", "stop 90 bp upstream"),
        (gene("x", (100, 166), (206, 400)), "splice", ""),
        (
            gene("x", (70, 166), (206, 400)),
            "several",
            "start 30 bp upstream, other introns",
        ),
        (gene("x", (100, 160), (200, 400), strand=-1), "strand", ""),
    ],
)
def test_a_pair_has_one_kind(other: Gene, kind: str, detail: str) -> None:
    first = gene("a", (100, 160), (200, 400))
    assert listed([first], [other]) == [(kind, ("a",), ("x",), detail)]


def test_details_of_the_reverse_strand_are_in_reading_direction() -> None:
    first, second = gene("a", (100, 400), strand=-1), gene("x", (100, 370), strand=-1)
    assert listed([first], [second]) == [("start", ("a",), ("x",), "start 30 bp downstream")]


def test_split_merged_and_single_genes() -> None:
    first = [gene("a", (0, 900)), gene("b", (1000, 1090)), gene("c", (1200, 1290))]
    second = [gene("x", (0, 300)), gene("y", (600, 900)), gene("z", (1500, 1590))]
    assert listed(first, second) == [
        ("split", ("a",), ("x", "y"), ""),
        ("only_first", ("b",), (), ""),
        ("only_first", ("c",), (), ""),
        ("only_second", (), ("z",), ""),
    ]
    assert listed(second, first)[0] == ("merged", ("x", "y"), ("a",), "")


def test_an_isoform_in_common_makes_genes_the_same() -> None:
    first = gene("a", (100, 400), others=[((100, 160), (200, 400))])
    second = gene("x", (100, 160), (200, 400))
    assert listed([first], [second]) == [("same", ("a",), ("x",), "")]


def test_a_gene_over_the_origin_is_the_same_in_both_notations() -> None:
    first, second = gene("a", (1900, 2200)), gene("x", (1900, 2200))
    assert listed([first], [second], 2000)[0][0] == "same"


def test_genes_without_coding_sequence_are_left_out() -> None:
    assert listed([gene("a", (0, 9), pseudo=True)], []) == []


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(st.integers(0, 60), st.integers(1, 12), st.sampled_from((1, -1))), max_size=8
    ),
    st.lists(
        st.tuples(st.integers(0, 60), st.integers(1, 12), st.sampled_from((1, -1))), max_size=8
    ),
)
def test_every_gene_is_in_one_difference_and_sides_can_be_swapped(one: list, other: list) -> None:
    sides = [
        [gene(f"{side}{k}", (3 * a, 3 * (a + n)), strand=s) for k, (a, n, s) in enumerate(genes)]
        for side, genes in (("a", one), ("b", other))
    ]
    found = differences(*sides, None)
    for side, genes in zip(("first", "second"), sides, strict=True):
        names = Counter(name for d in found for name in getattr(d, side))
        assert names == Counter(g.id for g in genes)
    turned = Counter(d.kind for d in differences(*sides[::-1], None))
    swapped = {"only_first": "only_second", "only_second": "only_first"}
    for kind in ("same", "only_first", "only_second"):
        assert turned[swapped.get(kind, kind)] == Counter(d.kind for d in found)[kind]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    first = [gene("a", (0, 900)), gene("b", (1000, 1090)), gene("s", (1500, 1590))]
    second = [gene("x<i>", (30, 900)), gene("s", (1500, 1590))]
    paths = tmp_path / "a.gff3", tmp_path / "b.gff3"
    for path, genes in zip(paths, (first, second), strict=True):
        with path.open("w") as out:
            write_gff3(out, genes, {"c": 2000})
    return paths


def test_the_command_prints_counts_and_writes_a_table(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "d.tsv"
    assert main([*map(str, files), "--table", str(table)]) == 0
    text = capsys.readouterr().out
    assert "another start" in text
    assert table.read_text().splitlines() == [
        "kind\tcontig\tstrand\tstart\tend\tfirst\tsecond\tdetail",
        "start\tc\t+\t1\t900\ta\tx<i>\tstart 30 bp downstream",
        "only_first\tc\t+\t1001\t1090\tb\t\t",
    ]
    assert main([*map(str, files), "--same", "--table", str(table)]) == 0
    assert table.read_text().splitlines()[3].startswith("same\tc\t+\t1501")


def test_the_page_escapes_names_and_has_every_kind(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    page = tmp_path / "d.html"
    assert main([*map(str, files), "--plot", str(page)]) == 0
    text = page.read_text()
    assert "x&lt;i&gt;" in text
    assert "x<i>" not in text
    assert all(label in text for label in KINDS.values())
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")


def test_a_long_list_says_what_it_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genet5.score.differences_page.MOST_ROWS", 1)
    found = differences([gene("a", (0, 90)), gene("b", (200, 290))], [], None)
    assert "1 more are left out" in differences_section({"only_first": 2}, found)
    assert "2 (100.0%)" in differences_svg({"only_first": 2})


def test_files_without_coding_genes_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.gff3"
    path.write_text("##gff-version 3\n")
    assert main([str(path), str(path)]) == 1
    assert "neither annotation has a coding gene" in capsys.readouterr().err
