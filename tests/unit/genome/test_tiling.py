"""Windows cover a contig: evenly, or at one distance."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genet5.errors import ConfigError
from genet5.genome.sequence import encode_bases
from genet5.genome.tiling import ContigTiling, is_blank


@given(st.integers(1, 5000), st.integers(2, 900), st.data())
def test_windows_cover_and_cores_tile(length_bp: int, window_bp: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, window_bp - 1))
    windows = ContigTiling.even(length_bp, window_bp, overlap).tiles
    assert windows[0].start == windows[0].core_start == 0
    assert windows[-1].end == windows[-1].core_end == length_bp
    assert {w.end - w.start for w in windows} == {min(window_bp, length_bp)}
    assert [w.index for w in windows] == list(range(len(windows)))
    for left, right in itertools.pairwise(windows):
        assert left.end - right.start >= overlap
        assert right.start > left.start
        assert left.core_end == right.core_start
        assert right.start <= right.core_start <= left.end


def test_an_empty_contig_has_no_windows() -> None:
    assert len(ContigTiling.even(0, 100, 10).tiles) == 0


def test_overlap_must_be_smaller_than_the_window() -> None:
    with pytest.raises(ConfigError, match="window_overlap"):
        ContigTiling.even(1000, 100, 100)


def test_a_circular_tiling_continues_past_the_origin() -> None:
    tiling = ContigTiling.even(10, 4, 2, circular=True)
    bases = encode_bases("ACGTACGTTT")
    assert tiling.length_bp == 14
    over = next(w for w in tiling.tiles if w.start == 8)
    assert tiling.bases(bases, over).tobytes() == b"TTAC"
    after = replace(over, start=11, end=14)
    assert tiling.bases(bases, after).tobytes() == b"CGT"


def test_blank_windows() -> None:
    assert is_blank(encode_bases("NNNNnn--"))
    assert not is_blank(encode_bases("NNNNnnaN"))
    assert is_blank(np.zeros(0, dtype=np.uint8))


@given(st.integers(0, 300), st.integers(1, 60), st.data())
def test_tiles_cover_the_contig_with_the_overlap_and_none_holds_another(
    length, window, data
) -> None:
    overlap = data.draw(st.integers(0, window - 1))
    phase = data.draw(st.integers(0, 100))
    tiling = ContigTiling.stepped(length, window, overlap_bp=overlap, phase_bp=phase)
    intervals = [(tile.start, tile.end) for tile in tiling.tiles]
    assert bool(intervals) == (length > 0)
    if length:
        assert intervals[0][0] == 0
        assert intervals[-1][1] == length
    assert all(0 < end - start <= window for start, end in intervals)
    for (start, end), (next_start, next_end) in itertools.pairwise(intervals):
        assert start < next_start
        assert end < next_end
        assert end - next_start == overlap


def test_a_step_of_no_bases_is_refused() -> None:
    with pytest.raises(ConfigError, match="window_overlap"):
        ContigTiling.stepped(100, 10, overlap_bp=10)
