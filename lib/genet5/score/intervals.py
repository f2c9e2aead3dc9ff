"""Sets of bases as sorted, disjoint intervals in NumPy; every operation costs a sort, O(n log n).

Intervals are 0-based half-open. Those of all contigs and strands lie on one int64 axis, each contig
strand at its own offset.

Example:
    >>> spans = union(np.array([5, 0, 8]), np.array([9, 3, 12]))
    >>> spans.starts.tolist(), spans.ends.tolist(), spans.num_bases
    ([0, 5], [3, 12], 10)
    >>> covered(spans, np.array([2, 4]), np.array([7, 5])).tolist()
    [3, 0]
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Spans:
    """A set of bases: ascending intervals that neither overlap nor touch."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    @property
    def num_bases(self) -> int:
        """Bases in the set."""
        return int((self.ends - self.starts).sum())

    def __or__(self, other: Spans) -> Spans:
        return union(
            np.concatenate([self.starts, other.starts]), np.concatenate([self.ends, other.ends])
        )


def union(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Spans:
    """Return the bases that any interval covers; intervals may overlap and come in any order."""
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], np.maximum.accumulate(ends[order])
    if not len(starts):
        return Spans(starts, ends)
    opens = np.concatenate([[True], starts[1:] > ends[:-1]])
    closes = np.concatenate([opens[1:], [True]])
    return Spans(starts[opens], ends[closes])


def covered(spans: Spans, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count, for each interval, its bases that lie in `spans`."""
    return _bases_before(spans, ends) - _bases_before(spans, starts)


def _bases_before(spans: Spans, positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the bases of `spans` below each position."""
    lengths = spans.ends - spans.starts
    total = np.concatenate([[0], np.cumsum(lengths)])
    index = np.searchsorted(spans.starts, positions, side="right")
    # The last span that starts at or before the position may reach beyond it.
    last = np.maximum(index - 1, 0)
    beyond = np.where(index > 0, spans.ends[last] - positions, 0) if len(lengths) else 0
    return np.asarray(total[index] - np.maximum(beyond, 0), dtype=np.int64)
