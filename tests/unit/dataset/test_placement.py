"""Where windows lie."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genet5.dataset.placement import around, gene_free, share_evenly


@given(st.data())
def test_a_window_contains_its_gene_wherever_it_lies(data) -> None:
    length = data.draw(st.integers(20, 500))
    start = data.draw(st.integers(0, length - 1))
    end = data.draw(st.integers(start + 1, length))
    window = data.draw(st.integers(16, 200))
    overlap = data.draw(st.integers(0, 15))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    found = around(
        start, end, window_bp=window, length_bp=length, rng=rng, overlap_bp=overlap
    )  # fmt: skip
    assert found[0][0] <= start
    assert found[-1][1] >= end
    assert found[0][0] >= 0
    assert found[-1][1] <= length
    for (left, left_end), (right, _) in pairwise(found):
        assert left_end - right == overlap
        assert left_end - left == window
    if end - start <= window:
        assert len(found) == 1
        assert found[0][1] - found[0][0] == min(window, length)
    else:
        assert len(found) == -(-(end - start - overlap) // (window - overlap))


def test_the_place_round_a_gene_is_random() -> None:
    rng = np.random.default_rng(1)
    starts = {
        around(500, 520, window_bp=100, length_bp=1000, rng=rng)[0][0] for _ in range(2000)
    }  # fmt: skip
    assert starts == set(range(420, 501))


@given(st.data())
def test_gene_free_windows_touch_nothing_that_is_taken(data) -> None:
    length = data.draw(st.integers(1, 400))
    taken = data.draw(
        st.lists(st.tuples(st.integers(0, 400), st.integers(1, 60)).map(lambda x: (x[0], sum(x))))
    )
    window = data.draw(st.integers(4, 80))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    found = gene_free(taken, window_bp=window, length_bp=length, rng=rng)
    covered = np.zeros(600, dtype=int)
    for start, end in taken:
        covered[start:end] = 1
    for start, end in found:
        assert window / 4 <= end - start <= window
        assert 0 <= start < end <= length
        assert not covered[start:end].any()
        covered[start:end] = 1
    runs = "".join(map(str, covered[:length])).split("1")
    assert max(map(len, runs)) < window


def test_a_limit_is_shared_as_evenly_as_the_numbers_allow() -> None:
    assert share_evenly([100, 10, 100], 90) == [40, 10, 40]
    assert share_evenly([5, 5], 100) == [5, 5]
    assert share_evenly([9, 9, 9], 10) == [3, 3, 4]
    assert share_evenly([9, 9], 0) == [0, 0]
    assert share_evenly([], 7) == []


@pytest.mark.parametrize("length", [30, 100])
def test_a_contig_shorter_than_the_window_is_one_window(length: int) -> None:
    rng = np.random.default_rng(0)
    assert around(10, 20, window_bp=100, length_bp=length, rng=rng) == [(0, length)]
