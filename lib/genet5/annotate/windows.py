"""Overlapping windows of a contig, and the axis they lie on.

The axis is the contig itself; for a circular contig it runs on past the origin by one window, so that genes over the
origin are seen whole. Windows have one length and are spread evenly, so that neighbours overlap by at least what was
asked. A window's *core* reaches to the middle of the overlap with each neighbour: cores tile the axis, and pieces of one
gene meet where cores meet. Coordinates are 0-based half-open.

Example:
    >>> [(w.start, w.end, w.core_start, w.core_end) for w in plan_windows(20, 10, 4)]
    [(0, 10, 0, 7), (5, 15, 7, 12), (10, 20, 12, 20)]
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genet5.errors import ConfigError
from genet5.genome.sequence import BASE_INDEX, Bases


@dataclass(frozen=True, slots=True)
class Window:
    """One window of an axis."""

    index: int
    start: int
    end: int
    core_start: int
    core_end: int


@dataclass(frozen=True, slots=True)
class Axis:
    """Where a contig's windows lie."""

    contig_bp: int
    length_bp: int
    """The contig's length, and on a circular contig one window more."""
    circular: bool
    windows: tuple[Window, ...]

    def bases(self, contig_bases: Bases, window: Window) -> Bases:
        """Return the window's bases; past the origin they continue at the contig's start."""
        if window.end <= self.contig_bp:
            return contig_bases[window.start : window.end]
        return contig_bases[np.arange(window.start, window.end) % self.contig_bp]


def plan_axis(contig_bp: int, window_bp: int, overlap_bp: int, *, circular: bool = False) -> Axis:
    """Lay windows over a contig; an empty contig has none."""
    length_bp = contig_bp + min(contig_bp, window_bp) if circular else contig_bp
    return Axis(contig_bp, length_bp, circular, plan_windows(length_bp, window_bp, overlap_bp))


def plan_windows(length_bp: int, window_bp: int, overlap_bp: int) -> tuple[Window, ...]:
    """Spread windows of `window_bp` evenly over `length_bp`; neighbours share at least `overlap_bp`.

    Raises:
        ConfigError: The overlap is negative or not smaller than the window.
    """
    if not 0 <= overlap_bp < window_bp:
        raise ConfigError("window_overlap", overlap_bp, f"must be 0 to {window_bp - 1}")
    if length_bp <= window_bp:
        return (Window(0, 0, length_bp, 0, length_bp),) if length_bp else ()
    free = length_bp - window_bp
    count = 1 + -(-free // (window_bp - overlap_bp))
    starts = [i * free // (count - 1) for i in range(count)]
    ends = [start + window_bp for start in starts]
    meets = [(end + start) // 2 for end, start in zip(ends[:-1], starts[1:], strict=True)]
    cores = [0, *meets, length_bp]
    return tuple(Window(i, starts[i], ends[i], cores[i], cores[i + 1]) for i in range(count))


def is_blank(bases: Bases) -> bool:
    """Whether no base of the window is known (all N or gaps): nothing can be found there."""
    return not bool((BASE_INDEX[bases] < 4).any())
