"""Tracks of a genome: per-base probabilities in bigWig files, by strand and frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from genet5.annotate.tracks import by_track, open_tracks, track_names
from genet5.decode.percents import percents_of
from genet5.decode.window_found import WindowFound
from genet5.genome.io.fasta import Contig
from genet5.genome.tiling import ContigTiling

pyBigWig = pytest.importorskip("pyBigWig", reason="the extra `bigwig` is not installed")

KINDS = 5


def contigs(*lengths: int) -> list[Contig]:
    return [Contig(f"c{n}", np.full(size, ord("A"), np.uint8)) for n, size in enumerate(lengths)]


def window(part: int, tiling: ContigTiling, tile: int) -> SimpleNamespace:
    work = SimpleNamespace(index=part, tiling=tiling)
    return SimpleNamespace(tile=tiling.tiles[tile], work=work)


def write(
    folder: Path, some: Sequence[Contig], found: Sequence[tuple[SimpleNamespace, np.ndarray]],
    offset: int = 0, strand_passes: int = 1,
) -> None:  # fmt: skip
    def place(part: int) -> tuple[int, int]:
        return part, offset

    with open_tracks(folder, some, place, spliced=False, strand_passes=strand_passes) as tracks:
        for one, percents in found:
            tracks.add(one, percents)


def values(folder: Path, name: str, contig: str) -> list[float]:
    with pyBigWig.open(str(folder / f"{name}.bw")) as file:
        return np.round(file.values(contig, 0, file.chroms(contig)), 2).tolist()


def test_codon_positions_become_frames_that_a_gene_stays_in() -> None:
    """A + gene whose first codon is at bases 4 to 6 (1-based), a - gene whose stop is there."""
    percents = np.zeros((2, KINDS, 9), np.uint8)
    for base in range(3, 9):
        percents[0, base % 3, base] = 100
        percents[1, 2 - base % 3, base] = 100
    rows = dict(zip(track_names(spliced=False), by_track(percents, 0).tolist(), strict=True))
    coding = [0] * 3 + [100] * 6
    assert rows["coding_plus_frame1"] == rows["coding_minus_frame1"] == coding
    assert not any(
        rows[f"coding_{strand}_frame{n}"][3] for strand in ("plus", "minus") for n in (2, 3)
    )
    moved = dict(zip(track_names(spliced=False), by_track(percents, 1).tolist(), strict=True))
    assert moved["coding_plus_frame2"] == moved["coding_minus_frame2"] == coding


def test_probabilities_are_those_of_the_heads_on_their_strands() -> None:
    states, edges = torch.randn(7, 2, 8), torch.randn(7, 8)
    percents = percents_of(states, edges, spliced=True)
    shares, bounds = states.softmax(-1).numpy(), edges.sigmoid().numpy()
    for side in (0, 1):
        expected = [shares[:, side, k] for k in (1, 2, 3)]
        expected += [bounds[:, side], bounds[:, 2 + side], shares[:, side, 4:7].sum(-1)]
        expected += [bounds[:, 4 + side], bounds[:, 6 + side]]
        assert np.abs(percents[side] / 100 - np.array(expected)).max() <= 0.0051


def test_a_reverse_pass_changes_strands_and_direction() -> None:
    percents = np.arange(2 * KINDS * 3, dtype=np.uint8).reshape(2, KINDS, 3)
    placed = WindowFound((), percents).placed(10, 13, reverse=True).percents
    assert placed is not None
    assert placed[0, 1].tolist() == percents[1, 1, ::-1].tolist()


def test_windows_of_contigs_are_written_core_by_core_and_blank_ones_are_left_out(
    tmp_path: Path,
) -> None:
    tiling = ContigTiling.even(20, 10, 4)
    cores = [tile.core_end - tile.core_start for tile in tiling.tiles]
    found = [
        (window(1, tiling, k), np.full((2, KINDS, cores[k]), 10 * (k + 1), np.uint8))
        for k in (0, 2)
    ]
    write(tmp_path, contigs(5, 20), found)
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{n}.bw" for n in track_names(spliced=False)
    }
    start = values(tmp_path, "start_plus", "c1")
    assert start[: cores[0]] == [0.1] * cores[0]
    assert np.isnan(start[cores[0] : cores[0] + cores[1]]).all()
    assert start[-cores[2] :] == [0.3] * cores[2]
    assert np.isnan(values(tmp_path, "stop_minus", "c0")).all()


def test_strand_passes_are_averaged_and_regions_lie_where_they_are(tmp_path: Path) -> None:
    one = window(0, ContigTiling.even(4, 10, 4), 0)
    both = [(one, np.full((2, KINDS, 4), share, np.uint8)) for share in (10, 30)]
    write(tmp_path, contigs(10), both, offset=3, strand_passes=2)
    found = values(tmp_path, "coding_minus_frame2", "c0")
    assert found[3:7] == [0.2] * 4
    assert np.isnan(found[:3] + found[7:]).all()


def test_bases_past_an_origin_are_written_once(tmp_path: Path) -> None:
    tiling = ContigTiling.even(10, 8, 2, circular=True)
    found = [
        (
            window(0, tiling, t.index),
            np.full((2, KINDS, t.core_end - t.core_start), t.index, np.uint8),
        )
        for t in tiling.tiles
    ]
    write(tmp_path, contigs(10), found)
    assert not np.isnan(values(tmp_path, "start_minus", "c0")).any()


def test_genomes_above_a_limit_have_no_summaries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = window(0, ContigTiling.even(9, 10, 4), 0)
    monkeypatch.setattr("genet5.annotate.tracks.MOST_SUMMARIZED_BP", 8)
    write(tmp_path, contigs(9), [(one, np.full((2, KINDS, 9), 50, np.uint8))])
    with pyBigWig.open(str(tmp_path / "start_plus.bw")) as file:
        assert file.header()["nLevels"] == 0
    assert values(tmp_path, "start_plus", "c0") == [0.5] * 9


def test_a_failed_run_leaves_nothing_and_an_empty_genome_has_tracks(tmp_path: Path) -> None:
    def fail() -> Iterator[None]:
        with open_tracks(tmp_path / "a", contigs(9), lambda part: (part, 0), spliced=True):
            raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        next(fail())
    assert not list((tmp_path / "a").iterdir())
    write(tmp_path / "b", contigs(9, 0), [])
    assert np.isnan(values(tmp_path / "b", "start_plus", "c0")).all()
