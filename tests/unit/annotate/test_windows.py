"""Windows cover a contig evenly."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genet5.annotate.windows import is_blank, plan_axis, plan_windows
from genet5.errors import ConfigError
from genet5.genome.sequence import encode_bases


@given(st.integers(1, 5000), st.integers(2, 900), st.data())
def test_windows_cover_and_cores_tile(length_bp: int, window_bp: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, window_bp - 1))
    windows = plan_windows(length_bp, window_bp, overlap)
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
    assert plan_windows(0, 100, 10) == ()


def test_overlap_must_be_smaller_than_the_window() -> None:
    with pytest.raises(ConfigError, match="window_overlap"):
        plan_windows(1000, 100, 100)


def test_a_circular_axis_reads_past_the_origin() -> None:
    axis = plan_axis(10, 4, 2, circular=True)
    bases = encode_bases("ACGTACGTTT")
    assert axis.length_bp == 14
    over = next(w for w in axis.windows if w.start == 8)
    assert axis.bases(bases, over).tobytes() == b"TTAC"


def test_blank_windows() -> None:
    assert is_blank(encode_bases("NNNNnn--"))
    assert not is_blank(encode_bases("NNNNnnaN"))
    assert is_blank(np.zeros(0, dtype=np.uint8))
