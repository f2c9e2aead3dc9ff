"""Interval sets against plain Python sets."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from genet5.score.intervals import covered, union

PAIRS = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=12)


def arrays(pairs):
    table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 0] + table[:, 1]


def bases(pairs) -> set[int]:
    return {base for start, length in pairs for base in range(start, start + length)}


@given(PAIRS, PAIRS)
def test_unions_and_coverage_equal_those_of_sets(left, right) -> None:
    first, second = union(*arrays(left)), union(*arrays(right))
    assert first.num_bases == len(bases(left))
    assert (first | second).num_bases == len(bases(left) | bases(right))
    assert np.all(first.starts[1:] > first.ends[:-1])
    expected = [len(bases([pair]) & bases(left)) for pair in right]
    assert covered(first, *arrays(right)).tolist() == expected
