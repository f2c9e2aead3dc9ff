"""Where genes lie, as arrays.

Example:
    >>> genes = Spans(np.array([0, 50, 200]), np.array([90, 110, 230]), np.array([1, 1, -1]))
    >>> genes.five_prime.tolist(), genes.three_prime.tolist()
    ([0, 50, 229], [89, 109, 200])
    >>> genes.covered(np.array([80, 0]), np.array([120, 300])).tolist()
    [40, 180]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from genet5.annotate.adapt.ragged import Ints
from genet5.annotate.candidate import GeneCandidate


@dataclass(frozen=True, slots=True, eq=False)
class Spans:
    """Intervals [start, end) on the strands of a contig, (n,) each."""

    start: Ints
    end: Ints
    strand: Ints
    """+1 or -1."""

    @classmethod
    def of(cls, candidates: Sequence[GeneCandidate]) -> Spans:
        """Take the spans of candidates."""
        rows = [(c.start, c.end, c.strand) for c in candidates]
        return cls(*np.array(rows, dtype=np.int64).reshape(-1, 3).T)

    def take(self, index: Ints) -> Spans:
        """Return some of the spans."""
        return Spans(self.start[index], self.end[index], self.strand[index])

    @property
    def five_prime(self) -> Ints:
        """(n,) First base in reading direction."""
        return np.where(self.strand > 0, self.start, self.end - 1)

    @property
    def three_prime(self) -> Ints:
        """(n,) Last base in reading direction."""
        return np.where(self.strand > 0, self.end - 1, self.start)

    def covered(self, low: Ints, high: Ints) -> Ints:
        """Count the bases of the spans in each of [low, high); a base counts once a span.

        Args:
            low: (m,)
            high: (m,)

        Returns:
            (m,)
        """
        return self._before(high) - self._before(low)

    def _before(self, place: Ints) -> Ints:
        """Count the bases of the spans before each place."""
        return _passed(self.start, place) - _passed(self.end, place)


def _passed(edges: Ints, place: Ints) -> Ints:
    """Sum of how far each place lies beyond the edges before it."""
    ordered = np.sort(edges)
    sums = np.concatenate(([0], np.cumsum(ordered)))
    number = np.searchsorted(ordered, place)
    return np.asarray(number * place - sums[number])
