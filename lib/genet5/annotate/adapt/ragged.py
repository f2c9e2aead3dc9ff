"""Rows of unequal length in one flat array: row i is [firsts[i], firsts[i + 1]).

Example:
    >>> firsts = row_firsts(np.array([2, 0, 3]))
    >>> firsts.tolist(), row_index(firsts).tolist(), place_in_row(firsts).tolist()
    ([0, 2, 2, 5], [0, 0, 2, 2, 2], [0, 1, 0, 1, 2])
    >>> row_sums(np.array([1.0, 2.0, 4.0, 8.0, 16.0]), firsts).tolist()
    [3.0, 0.0, 28.0]
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def row_firsts(sizes: NDArray[np.integer]) -> Ints:
    """Return where rows of these sizes begin, (number of rows + 1,)."""
    return np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))


def row_index(firsts: Ints) -> Ints:
    """Return the row of each element."""
    return np.repeat(np.arange(len(firsts) - 1), np.diff(firsts))


def place_in_row(firsts: Ints) -> Ints:
    """Return how many elements of its row stand before each element."""
    return np.arange(firsts[-1]) - np.repeat(firsts[:-1], np.diff(firsts))


def row_sums(values: Floats, firsts: Ints) -> Floats:
    """Return the sum of each row; 0 for an empty one."""
    sums = np.bincount(row_index(firsts), weights=values, minlength=len(firsts) - 1)
    return sums.astype(np.float64)


def row_maxima(values: Floats, firsts: Ints) -> Floats:
    """Return the largest value of each row; -inf for an empty one."""
    largest = np.full(len(firsts) - 1, -np.inf)
    np.maximum.at(largest, row_index(firsts), values)
    return largest


def row_argmax(values: Floats, firsts: Ints) -> Ints:
    """Return the flat index of the first largest value of each row; -1 for an empty one.

    Example:
        >>> row_argmax(np.array([1.0, 3.0, 3.0, 2.0]), np.array([0, 3, 3, 4])).tolist()
        [1, -1, 3]
    """
    rows = row_index(firsts)
    is_best = np.flatnonzero(values == row_maxima(values, firsts)[rows])
    found = np.full(len(firsts) - 1, -1, dtype=np.int64)
    found[rows[is_best][::-1]] = is_best[::-1]
    return found


def row_softmax(values: Floats, firsts: Ints) -> Floats:
    """Return exp(value) / sum of its row's exp(value).

    Example:
        >>> row_softmax(np.log([1.0, 3.0, 5.0]), np.array([0, 2, 3])).round(3).tolist()
        [0.25, 0.75, 1.0]
    """
    rows = row_index(firsts)
    powers = np.exp(values - row_maxima(values, firsts)[rows])
    return np.asarray(powers / row_sums(powers, firsts)[rows])
