"""Split what shares a name into loci: groups whose extents overlap, from left to right.

Example:
    >>> loci([(0, 9), (50, 60), (5, 20)], lambda extent: extent)
    [[(0, 9), (5, 20)], [(50, 60)]]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from genet5.genome.io.feature_table import Span
from genet5.genome.io.transcripts import Draft

T = TypeVar("T")


def loci(items: Iterable[T], extent: Callable[[T], Span]) -> list[list[T]]:
    """Group items by overlap; the order within a group is that of `items`."""
    given = list(items)
    groups: list[list[int]] = []
    reach = -1
    for at in sorted(range(len(given)), key=lambda at: extent(given[at])):
        start, end = extent(given[at])
        if not groups or start >= reach:
            groups.append([])
            reach = end
        groups[-1].append(at)
        reach = max(reach, end)
    return [[given[at] for at in sorted(group)] for group in groups]


def draft_extent(draft: Draft) -> Span:
    """First base of a transcript and one past its last."""
    return min(start for start, _ in draft.exons), max(end for _, end in draft.exons)


def numbered(name: str, number: int) -> str:
    """The name of locus `number`, from 0: NAME, NAME-2, NAME-3 ...

    Example:
        >>> numbered("g", 0), numbered("g", 1)
        ('g', 'g-2')
    """
    return name if number == 0 else f"{name}-{number + 1}"
