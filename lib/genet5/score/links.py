"""Which genes of two sets share coding bases: all such pairs, or those that decide a question.

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
    search = _Search(ones, others, share)
    found: Ints = np.zeros((2, 0), dtype=np.int64)
    each = _FEWEST if most else _BLOCK
    active = search.active(np.arange(len(ones.gene), dtype=np.int64))
    while len(active):
        found = np.unique(np.concatenate([found, search.block(active, each)], axis=1), axis=1)
        if most is not None:
            links = np.bincount(found[0], minlength=int(ones.gene[-1]) + 1)
            active = active[links[ones.gene[active]] < most]
        active, each = search.active(active), 2 * each
    return found


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


def connecting_links(ones: Exons, others: Exons, share: float) -> Ints:
    """Return decisive links, and more until they connect the genes that all links connect.

    Candidates that a gene is connected with already are passed over together.

    Args:
        ones: Genes of the first set.
        others: Genes of the second set.
        share: Of the shorter gene's coding bases.
    """
    links = decisive_links(ones, others, share)
    if not links.size:
        return links
    search, each = _Search(ones, others, share), _FEWEST
    active: Ints = np.arange(len(ones.gene), dtype=np.int64)
    while True:
        groups = _groups(links, int(ones.gene[-1]) + 1, int(others.gene[-1]) + 1)
        search.pass_over(active, groups[0][ones.gene[active]], groups[1][search.gene])
        active = search.active(active)
        if not len(active):
            return links
        new = search.block(active, each)
        apart = groups[0][new[0]] != groups[1][new[1]]
        links = np.unique(np.concatenate([links, new[:, apart]], axis=1), axis=1)
        each *= 2


def _groups(links: Ints, num_ones: int, num_others: int) -> tuple[Ints, Ints]:
    """Return the number of the connected group of each gene of both sets."""
    group: Ints = np.arange(num_ones + num_others, dtype=np.int64)  # points to a lower, then lowest
    while True:
        a, b = group[links[0]], group[links[1] + num_ones]
        if np.array_equal(a, b):
            return group[:num_ones], group[num_ones:]
        np.minimum.at(group, np.maximum(a, b), np.minimum(a, b))
        while not np.array_equal(group, group[group]):
            group = group[group]


def _runs(owner: Ints, first: Ints, number: Ints) -> tuple[Ints, Ints]:
    """Return (owner, value) for the values from `first` on, `number` of them for each owner."""
    nth = np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number)
    return np.repeat(owner, number), np.repeat(first, number) + nth


class _Search:
    """The candidates of each exon of the first set that were not looked at yet."""

    def __init__(self, ones: Exons, others: Exons, share: float) -> None:
        order = np.argsort(others.start, kind="stable")
        self._starts, self._ends = others.start[order], others.end[order]
        self.gene = others.gene[order]
        """Gene of each exon of the second set, by start."""
        self._ones, self._share, self._shared = ones, share, _Shared(ones, others)
        self._left = np.searchsorted(np.maximum.accumulate(self._ends), ones.start, "right")
        self._right = np.searchsorted(self._starts, ones.end, "left")
        self._width = int(others.gene[-1]) + 1

    def active(self, exons: Ints) -> Ints:
        """Return those of these exons that have candidates left."""
        return exons[self._left[exons] < self._right[exons]]

    def pass_over(self, exons: Ints, own: Ints, groups: Ints) -> None:
        """Move these exons to their next candidate of another group.

        Args:
            exons: With candidates left or not.
            own: Group of each of them.
            groups: Group of each exon of the second set, by start.
        """
        last = np.append(np.flatnonzero(groups[1:] != groups[:-1]), len(groups) - 1)
        place = np.minimum(self._left[exons], len(groups) - 1)
        beyond = last[np.searchsorted(last, place)] + 1
        self._left[exons] = np.where(groups[place] == own, beyond, self._left[exons])

    def block(self, exons: Ints, most: int) -> Ints:
        """Return (2, links) of the next candidates of these exons, which have some left."""
        each = max(_FEWEST, min(most, _BLOCK // len(exons)))
        number = np.minimum(each, (self._right - self._left)[exons])
        exon, other = _runs(exons, self._left[exons], number)
        self._left[exons] += number
        ones = self._ones
        meets = (self._starts[other] < ones.end[exon]) & (self._ends[other] > ones.start[exon])
        keys = np.unique(ones.gene[exon[meets]] * self._width + self.gene[other[meets]])
        pairs = np.stack(np.divmod(keys, self._width))
        return pairs[:, self._shared.is_enough(pairs, self._share)]


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
