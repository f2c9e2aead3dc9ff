"""Hints as evidence for the network: channels of any window of the genome (`genome.evidence`).

Hints are sorted by place, so that a window finds its own by bisection, long introns over it
included.

Example:
    evidence = HintEvidence(hints, place=lambda part: (names[part], 0))
    evidence.channels(0, 4000, 12000, contig_bp=1_000_000)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genet5.genome.evidence import Channels, paint
from genet5.genome.hints import Hint

_BORDER_BP = 1
"""An intron shows at the bases next to it, too."""


@dataclass(frozen=True, slots=True, eq=False)
class _Sorted:
    """Hints of one contig by start."""

    hints: list[Hint]
    starts: NDArray[np.int64]
    furthest: NDArray[np.int64]
    """The largest end of a hint and all before it."""

    @classmethod
    def of(cls, hints: list[Hint]) -> _Sorted:
        ordered = sorted(hints, key=lambda hint: hint.start)
        ends = np.array([hint.end for hint in ordered], np.int64)
        starts = np.array([hint.start for hint in ordered], np.int64)
        return cls(ordered, starts, np.maximum.accumulate(ends))

    def within(self, start: int, end: int) -> Iterator[Hint]:
        """Yield those that show in [start, end), and some that do not."""
        first = int(np.searchsorted(self.furthest, start - _BORDER_BP, side="right"))
        last = int(np.searchsorted(self.starts, end + _BORDER_BP))
        yield from self.hints[first:last]


class HintEvidence:
    """Paints hints onto windows.

    Args:
        hints: Those of all contigs, in any order.
        place: Contig and first base there of each part of the genome that is annotated.
    """

    def __init__(self, hints: Iterable[Hint], *, place: Callable[[int], tuple[str, int]]) -> None:
        by_contig: dict[str, list[Hint]] = {}
        for hint in hints:
            by_contig.setdefault(hint.contig, []).append(hint)
        self._sorted = {name: _Sorted.of(own) for name, own in by_contig.items()}
        self._place = place

    def channels(self, part: int, start: int, end: int, contig_bp: int) -> Channels:
        """Return the channels of a window of a part of the genome.

        Args:
            part: Its number.
            start: The window's first base in the part.
            end: One past its last base; past the part's end it continues at the part's start.
            contig_bp: Bases of the part.
        """
        contig, offset = self._place(part)
        if start >= contig_bp:
            start, end = start - contig_bp, end - contig_bp
        parts = [(start, min(end, contig_bp))]
        if end > contig_bp:
            parts.append((0, end - contig_bp))
        painted = [self._painted(contig, first + offset, last + offset) for first, last in parts]
        return painted[0] if len(painted) == 1 else np.concatenate(painted, axis=1)

    def _painted(self, contig: str, start: int, end: int) -> Channels:
        own = self._sorted.get(contig)
        return paint(own.within(start, end) if own else (), start, end - start)
