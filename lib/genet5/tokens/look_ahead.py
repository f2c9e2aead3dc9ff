"""What the grammar allows along drafts: masks for all of their labels at once.

A draft is a guess at a row's next labels. The grammar is forked and walks along it; the states at
its stops are stacked, so that one call gives the masks of all stops of a batch. The legal part of
a draft is its labels up to the first that the grammar refuses. Price: some 20 small array
operations per label of the longest draft, and a slice or two for each base.

Example:
    ahead = look_ahead(grammar, drafts, sizes)
    grammar.resume(ahead.walk, stops, labels)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genet5.tokens.automaton import Grammar, Walk
from genet5.tokens.rules import Bool

NO_BASE = -1


@dataclass(frozen=True)
class LookAhead:
    """What may come at each stop of drafts."""

    walk: Walk
    """All stops, those after an illegal label included."""
    sizes: NDArray[np.int64]
    """(B,) labels of each draft up to the first illegal one."""
    at_token: NDArray[np.int64]
    """(n,) stops that want a token, on the drafts' legal parts."""
    at_base: NDArray[np.int64]
    """(P,) stops that want a base, on the drafts' legal parts."""
    tokens: Bool
    """(n, V) tokens that may come there."""
    bases: NDArray[np.int64]
    """(P, K) bases that may come there, ascending; then NO_BASE."""


def look_ahead(grammar: Grammar, drafts: NDArray[np.int64], sizes: NDArray[np.int64]) -> LookAhead:
    """Follow drafts from the grammar's state, which stays as it is.

    Args:
        grammar: No row of it is finished.
        drafts: (B, T) labels.
        sizes: (B,) labels of each.
    """
    walk = grammar.walk(drafts, sizes)
    rows, steps = walk.rows, walk.steps
    wants = walk.fork.wants_position
    tokens = walk.fork.legal_tokens()
    pointing = np.flatnonzero(wants)
    masks = [walk.fork.legal_bases(stop) for stop in pointing.tolist()]
    label = drafts[rows, np.minimum(steps, drafts.shape[1] - 1)] if drafts.size else rows * 0
    known = (label >= 0) & (label < tokens.shape[1])
    legal = known & tokens[np.arange(len(rows)), np.where(known, label, 0)]
    for stop, mask in zip(pointing.tolist(), masks, strict=True):
        base = -1 - label[stop]
        legal[stop] = 0 <= base < len(mask) and mask[base]
    legal &= steps < sizes[rows]
    kept = _legal_sizes(len(sizes), rows, steps, legal)
    shown = steps <= kept[rows]
    seen = np.flatnonzero(shown[pointing]).tolist()
    return LookAhead(
        walk=walk,
        sizes=kept,
        at_token=np.flatnonzero(shown & ~wants),
        at_base=np.flatnonzero(shown & wants),
        tokens=tokens[shown & ~wants],
        bases=padded_bases([masks[index] for index in seen]),
    )


def _legal_sizes(
    count: int, rows: NDArray[np.int64], steps: NDArray[np.int64], legal: Bool
) -> NDArray[np.int64]:
    """(B,) Steps before the first stop of each row whose label is not legal."""
    sizes = np.zeros(count, dtype=np.int64)
    np.maximum.at(sizes, rows, steps + 1)  # where all are legal: the last label ends the row
    np.minimum.at(sizes, rows[~legal], steps[~legal])
    return sizes


def padded_bases(masks: Iterable[Bool]) -> NDArray[np.int64]:
    """(P, K) True entries of each mask, then NO_BASE."""
    found = [np.flatnonzero(mask) for mask in masks]
    longest = max(map(len, found), default=0)
    out = np.full((len(found), longest), NO_BASE, dtype=np.int64)
    for row, bases in enumerate(found):
        out[row, : len(bases)] = bases
    return out
