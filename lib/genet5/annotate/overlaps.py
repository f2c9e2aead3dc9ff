"""Choose the best set of genes among candidates that may contradict each other.

Every candidate has a score (how far its log-odds lie above the threshold); the set of compatible
candidates with the largest sum is found exactly by dynamic programming along the contig: a state is
the set of chosen candidates that still reach the point at hand, of which there are few. Genes may
overlap a little: in prokaryotes neighbours often share a few bases (ATGA). With introns, a gene may
lie in an intron of another.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from genet5.annotate.candidate import GeneCandidate

_MAX_STATES = 256
_Trail: TypeAlias = "tuple[int, _Trail] | None"


@dataclass(frozen=True, kw_only=True, slots=True)
class OverlapConfig:
    """How much two genes may share."""

    same_strand_bp: int = 60
    """Coding bases that genes of one strand may share."""
    opposite_strand_bp: int = 200
    """Coding bases that genes of opposite strands may share."""
    fraction: float = 0.5
    """Share of the shorter gene's coding bases that may lie in the other."""


def choose_compatible(
    candidates: Sequence[GeneCandidate], scores: Sequence[float], config: OverlapConfig
) -> list[int]:
    """Return the indices of the chosen candidates, ascending; all have a positive score.

    Args:
        candidates: Sorted by start.
        scores: What each candidate adds to the sum.
        config: Which candidates exclude each other.
    """
    states: dict[tuple[int, ...], tuple[float, _Trail]] = {(): (0.0, None)}
    for i, candidate in enumerate(candidates):
        if scores[i] <= 0:
            continue
        former: dict[tuple[int, ...], tuple[float, _Trail]] = {}
        for active, value in states.items():
            reaching = tuple(j for j in active if candidates[j].end > candidate.start)
            _keep_best(former, reaching, value)
        states = dict(former)
        for active, (total, trail) in former.items():
            if all(are_compatible(candidates[j], candidate, config) for j in active):
                _keep_best(states, (*active, i), (total + scores[i], (i, trail)))
        states = _pruned(states)
    _, last = max(states.values(), key=lambda state: state[0])
    return _unrolled(last)


def _unrolled(trail: _Trail) -> list[int]:
    chosen = []
    while trail is not None:
        index, trail = trail
        chosen.append(index)
    return chosen[::-1]


def _keep_best(
    states: dict[tuple[int, ...], tuple[float, _Trail]],
    active: tuple[int, ...],
    value: tuple[float, _Trail],
) -> None:
    if active not in states or value[0] > states[active][0]:
        states[active] = value


def _pruned(
    states: dict[tuple[int, ...], tuple[float, _Trail]],
) -> dict[tuple[int, ...], tuple[float, _Trail]]:
    if len(states) <= _MAX_STATES:
        return states
    ranked = sorted(states.items(), key=lambda item: (-item[1][0], item[0]))
    return dict(ranked[:_MAX_STATES])


def are_compatible(first: GeneCandidate, second: GeneCandidate, config: OverlapConfig) -> bool:
    """Whether both may stand; `first` does not start after `second`."""
    if first.end <= second.start:
        return True
    same = first.strand == second.strand
    limit = config.same_strand_bp if same else config.opposite_strand_bp
    shorter = min(first.coding_bp, second.coding_bp)
    shared = shared_bases(first, second)
    if shared > min(limit, config.fraction * shorter):
        return False
    span = min(first.end, second.end) - second.start
    return not same or span <= limit or _lies_in_gap(second, first)


def shared_bases(first: GeneCandidate, second: GeneCandidate) -> int:
    """Count bases that belong to parts of both."""
    return sum(
        max(0, min(a.end, b.end) - max(a.start, b.start))
        for a, b in itertools.product(first.parts, second.parts)
    )


def _lies_in_gap(inner: GeneCandidate, outer: GeneCandidate) -> bool:
    """Whether `inner` lies in one intron of `outer`."""
    return any(
        left.end <= inner.start and inner.end <= right.start
        for left, right in itertools.pairwise(outer.parts)
    )
