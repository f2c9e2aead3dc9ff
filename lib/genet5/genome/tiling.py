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
from typing import overload

import numpy as np

from genet5.errors import ConfigError
from genet5.genome.sequence import BASE_INDEX, AnyBases, Bases


@dataclass(frozen=True, slots=True)
class Tile:
    """Where one window of a tiling lies."""

    index: int
    start: int
    end: int
    core_start: int
    core_end: int


@dataclass(frozen=True, slots=True)
class Tiles(Sequence[Tile]):
    """The windows of a tiling, left to right; none is held, each is worked out when asked for.

    Window i is what of [start_i, start_i + window_bp) lies on [0, length_bp), where start_i is
    `first_bp` + i * `free_bp` // `parts`.
    """

    size: int
    window_bp: int
    length_bp: int
    first_bp: int = 0
    free_bp: int = 0
    parts: int = 1

    def __len__(self) -> int:
        return self.size

    @overload
    def __getitem__(self, index: int) -> Tile: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Tile, ...]: ...
    def __getitem__(self, index: int | slice) -> Tile | tuple[Tile, ...]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(self.size)))
        if not -self.size <= index < self.size:
            raise IndexError(f"window {index} of {self.size}")
        index %= self.size
        (start, end), is_last = self._span(index), index + 1 == self.size
        core_start = (self._span(index - 1)[1] + start) // 2 if index else 0
        core_end = self.length_bp if is_last else (end + self._span(index + 1)[0]) // 2
        return Tile(index, start, end, core_start, core_end)

    def last_from(self, base: int) -> int:
        """Return the index of the last window that starts at or left of `base`; -1 if none does."""
        low, high = 0, self.size
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self._span(middle)[0] <= base else (low, middle)
        return low - 1

    def _span(self, index: int) -> tuple[int, int]:
        start = self.first_bp + index * self.free_bp // self.parts
        return max(start, 0), min(start + self.window_bp, self.length_bp)


@dataclass(frozen=True, slots=True)
class ContigTiling:
    """Where a contig's windows lie."""

    contig_bp: int
    length_bp: int
    """What the windows cover: the contig, and on a circular contig one window more."""
    circular: bool
    tiles: Tiles
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
        free = max(length_bp - window_bp, 0)
        steps = -(-free // (window_bp - overlap_bp))
        tiles = Tiles(
            size=steps + 1 if length_bp else 0,
            window_bp=window_bp,
            length_bp=length_bp,
            free_bp=free,
            parts=max(steps, 1),
        )
        return cls(contig_bp, length_bp, circular, tiles)

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
        first = phase_bp % step - step if phase_bp % step else 0
        tiles = Tiles(
            size=1 + max(-(-(contig_bp - window_bp - first) // step), 0) if contig_bp else 0,
            window_bp=window_bp,
            length_bp=contig_bp,
            first_bp=first,
            free_bp=step,
        )
        return cls(contig_bp, contig_bp, False, tiles)

    def bases(self, contig_bases: AnyBases, tile: Tile) -> Bases:
        """Return a window's bases; past the origin they continue at the contig's start."""
        start, end = tile.start, tile.end
        if start >= self.contig_bp:
            start, end = start - self.contig_bp, end - self.contig_bp
        if end <= self.contig_bp:
            return contig_bases[start:end]
        before = contig_bases[start : self.contig_bp]
        return np.concatenate((before, contig_bases[: end - self.contig_bp]))


def _check_overlap(overlap_bp: int, window_bp: int) -> None:
    if not 0 <= overlap_bp < window_bp:
        raise ConfigError("window_overlap", overlap_bp, f"must be 0 to {window_bp - 1}")


def is_blank(bases: Bases) -> bool:
    """Whether no base is known (all N or gaps): nothing can be found there."""
    return not bool((BASE_INDEX[bases] < 4).any())
