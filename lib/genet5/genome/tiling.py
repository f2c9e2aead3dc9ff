"""Windows over a contig: what annotation and baking lay over a genome.

A `ContigTiling` covers the contig from end to end. `even` spreads windows of one length so that
neighbours share at least what was asked (annotation); `stepped` lays them at one distance, with a
shorter one at either end (baking). A circular contig is continued past its origin by one window, so
that some window shows every gene over the origin whole. A window's *core* extends to the middle of
the overlap with each neighbour: cores cover the contig without overlap, and fragments of one gene
meet where cores meet. Coordinates are 0-based half-open.

Example:
    >>> [(t.start, t.end, t.core_start, t.core_end) for t in ContigTiling.even(20, 10, 4).tiles]
    [(0, 10, 0, 7), (5, 15, 7, 12), (10, 20, 12, 20)]
    >>> [(t.start, t.end) for t in ContigTiling.stepped(10, 4, phase_bp=2).tiles]
    [(0, 2), (2, 6), (6, 10)]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from genet5.errors import ConfigError
from genet5.genome.sequence import BASE_INDEX, Bases


@dataclass(frozen=True, slots=True)
class Tile:
    """Where one window of a tiling lies."""

    index: int
    start: int
    end: int
    core_start: int
    core_end: int


@dataclass(frozen=True, slots=True)
class ContigTiling:
    """Where a contig's windows lie."""

    contig_bp: int
    length_bp: int
    """What the windows cover: the contig, and on a circular contig one window more."""
    circular: bool
    tiles: tuple[Tile, ...]
    """From left to right; none contains another."""

    @classmethod
    def even(
        cls, contig_bp: int, window_bp: int, overlap_bp: int, *, circular: bool = False
    ) -> ContigTiling:
        """Spread windows of `window_bp` evenly; neighbours share at least `overlap_bp`.

        A shorter contig has one window, an empty one none.

        Raises:
            ConfigError: The overlap is negative or not smaller than the window.
        """
        _check_overlap(overlap_bp, window_bp)
        length_bp = contig_bp + min(contig_bp, window_bp) if circular else contig_bp
        if length_bp <= window_bp:
            spans = [(0, length_bp)] if length_bp else []
        else:
            free = length_bp - window_bp
            count = 1 + -(-free // (window_bp - overlap_bp))
            starts = [i * free // (count - 1) for i in range(count)]
            spans = [(start, start + window_bp) for start in starts]
        return cls(contig_bp, length_bp, circular, _tiles(spans, length_bp))

    @classmethod
    def stepped(
        cls, contig_bp: int, window_bp: int, *, overlap_bp: int = 0, phase_bp: int = 0
    ) -> ContigTiling:
        """Lay windows at one distance; the first and the last may be shorter.

        Args:
            contig_bp: Bases of the contig.
            window_bp: Bases of a whole window.
            overlap_bp: Bases that neighbouring windows share.
            phase_bp: Where the first whole window starts; a shorter one covers what lies before it.

        Raises:
            ConfigError: The overlap is negative or not smaller than the window.
        """
        _check_overlap(overlap_bp, window_bp)
        step = window_bp - overlap_bp
        start = phase_bp % step - step if phase_bp % step else 0
        spans = []
        while contig_bp:
            spans.append((max(start, 0), min(start + window_bp, contig_bp)))
            if start + window_bp >= contig_bp:
                break
            start += step
        return cls(contig_bp, contig_bp, False, _tiles(spans, contig_bp))

    def bases(self, contig_bases: Bases, tile: Tile) -> Bases:
        """Return a window's bases; past the origin they continue at the contig's start."""
        if tile.end <= self.contig_bp:
            return contig_bases[tile.start : tile.end]
        return contig_bases[np.arange(tile.start, tile.end) % self.contig_bp]


def _check_overlap(overlap_bp: int, window_bp: int) -> None:
    if not 0 <= overlap_bp < window_bp:
        raise ConfigError("window_overlap", overlap_bp, f"must be 0 to {window_bp - 1}")


def _tiles(spans: Sequence[tuple[int, int]], length_bp: int) -> tuple[Tile, ...]:
    """Number the windows and give each its core."""
    meets = [(end + start) // 2 for (_, end), (start, _) in pairwise(spans)]
    cores = [0, *meets, length_bp]
    return tuple(Tile(i, *span, cores[i], cores[i + 1]) for i, span in enumerate(spans))


def is_blank(bases: Bases) -> bool:
    """Whether no base is known (all N or gaps): nothing can be found there."""
    return not bool((BASE_INDEX[bases] < 4).any())
