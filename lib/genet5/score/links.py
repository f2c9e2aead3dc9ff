"""Which genes of two sets share coding bases: all such pairs, or a few for each gene.

The exons of the second set are sorted by start. Those that may overlap an exon of the first set are
neighbours in that order, from the first one that some earlier exon reaches beyond to the last one
that starts before the exon ends. Candidates are taken from there in blocks, and the bases that each
pair of genes shares are counted. With a limit, genes that have that many links leave the search: so
20,000 genes at one place cost a few blocks, not 400 million pairs.

Example:
    >>> ones, others = (np.array([[0, 0, 1], [0, 5, 50], [3, 9, 60]]) for _ in range(2))
    >>> find_links(Exons(*ones), Exons(*others), 0.5).tolist()
    [[0, 1], [0, 1]]
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genet5.score.chains import Ints
from genet5.score.intervals import Spans, covered

_BLOCK = 1 << 18
"""Pairs of exons that are looked at together."""
_FEWEST = 4
"""Candidates of one exon in the first block of a limited search, twice as many in each later one;
in any block, at least."""


@dataclass(frozen=True, slots=True, eq=False)
class Exons:
    """Coding exons of genes 0, 1, ...; those of one gene are neighbours, ascending, and disjoint.

    Each gene has one at least.
    """

    gene: Ints
    start: Ints
    end: Ints

    @property
    def sizes(self) -> Ints:
        """Coding bases of each gene."""
        return np.bincount(self.gene, self.end - self.start).astype(np.int64)

    def of(self, genes: Ints) -> Exons:
        """Return the exons of some genes, ascending, which are numbered anew."""
        is_kept = np.isin(self.gene, genes)
        number = np.searchsorted(genes, self.gene[is_kept])
        return Exons(number, self.start[is_kept], self.end[is_kept])


def find_links(ones: Exons, others: Exons, share: float, most: int | None = None) -> Ints:
    """Return (2, links) indices of genes of two sets that share enough coding bases.

    Args:
        ones: Genes of the first set.
        others: Genes of the second set.
        share: Of the shorter gene's coding bases.
        most: Links for each gene of the first set that are enough; None = all.
    """
    if not (len(ones.gene) and len(others.gene)):
        return np.zeros((2, 0), dtype=np.int64)
    order = np.argsort(others.start, kind="stable")
    starts, ends, gene = others.start[order], others.end[order], others.gene[order]
    left = np.searchsorted(np.maximum.accumulate(ends), ones.start, "right")
    right = np.searchsorted(starts, ones.end, "left")
    width, shared = int(others.gene[-1]) + 1, _Shared(ones, others)
    found: list[Ints] = []  # first gene * width + second gene
    active, each = np.flatnonzero(left < right), _FEWEST if most else _BLOCK
    while len(active):
        each = max(_FEWEST, min(each, _BLOCK // len(active)))
        number = np.minimum(each, (right - left)[active])
        exon, other = _runs(active, left[active], number)
        meets = (starts[other] < ones.end[exon]) & (ends[other] > ones.start[exon])
        keys = np.unique(ones.gene[exon[meets]] * width + gene[other[meets]])
        pairs = np.stack(np.divmod(keys, width))
        found.append(keys[shared.is_enough(pairs, share)])
        left[active] += number
        is_left = left[active] < right[active]
        if most is not None:
            found = [np.unique(np.concatenate(found))]  # other exons may have shown a pair before
            links = np.bincount(found[0] // width, minlength=int(ones.gene[-1]) + 1)
            is_left &= links[ones.gene[active]] < most
        active, each = active[is_left], 2 * each
    every = np.unique(np.concatenate(found)) if found else np.zeros(0, dtype=np.int64)
    return np.stack(np.divmod(every, width))


def decisive_links(ones: Exons, others: Exons, share: float) -> Ints:
    """Return links that show of each gene of both sets whether it has none, one or several.

    They also show which genes of the second set have one to a gene that has several.

    Args:
        ones: Genes of the first set.
        others: Genes of the second set.
        share: Of the shorter gene's coding bases.
    """
    links = np.concatenate(
        [find_links(ones, others, share, 2), find_links(others, ones, share, 2)[::-1]], axis=1
    )
    links = np.unique(links, axis=1)
    several = np.flatnonzero(np.bincount(links[0]) > 1)
    back = find_links(others, ones.of(several), share, 1)
    return np.unique(np.concatenate([links, [several[back[1]], back[0]]], axis=1), axis=1)


def _runs(owner: Ints, first: Ints, number: Ints) -> tuple[Ints, Ints]:
    """Return (owner, value) for the values from `first` on, `number` of them for each owner."""
    nth = np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number)
    return np.repeat(owner, number), np.repeat(first, number) + nth


class _Shared:
    """Counts the coding bases that pairs of genes share."""

    def __init__(self, ones: Exons, others: Exons) -> None:
        self._others, self._sizes = others, (ones.sizes, others.sizes)
        self._reach = int(max(ones.end.max(), others.end.max())) + 1
        offset = ones.gene * self._reach  # each gene of the first set has an axis of its own
        self._spans = Spans(ones.start + offset, ones.end + offset)
        self._first = np.searchsorted(others.gene, np.arange(int(others.gene[-1]) + 2))

    def is_enough(self, pairs: Ints, share: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Return for each pair whether it shares this part of the shorter gene."""
        ones, others = pairs
        first = self._first[others]
        pair, exon = _runs(np.arange(len(others)), first, self._first[others + 1] - first)
        offset = ones[pair] * self._reach
        bases = covered(
            self._spans, self._others.start[exon] + offset, self._others.end[exon] + offset
        )
        enough = share * np.minimum(self._sizes[0][ones], self._sizes[1][others])
        return np.asarray(np.bincount(pair, bases, minlength=len(others)) >= enough)
