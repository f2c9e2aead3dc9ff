"""Strands, codon positions and mirroring: the arithmetic of a gene's two directions, in one place.

Intervals are 0-based half-open on the forward strand; `first, last` are both included. The *reading
direction* is 5' to 3' of the gene's strand: to the right on +1, to the left on -1. A *frame* is the
position (0, 1, 2) of a base within its codon in reading direction. GFF3's *phase* belongs to an
interval's 5' end: how many of its bases complete a codon that began before it. All functions cost
O(1) or are linear in their input.

Example:
    >>> introns = ((10, 15), (40, 52))
    >>> in_reading_order(introns, -1), five_prime(introns, -1)
    (((40, 52), (10, 15)), (40, 52))
    >>> mirrored_intervals(introns, 100)
    ((48, 60), (85, 90))
"""

from __future__ import annotations

from collections.abc import Iterable, Reversible, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray


class _Sliceable(Protocol):
    def __getitem__(self, index: slice, /) -> Any: ...


S = TypeVar("S", bound=_Sliceable)
T = TypeVar("T")
B = TypeVar("B", int, "NDArray[np.int64]")


def strand_sign(strand: int) -> str:
    """Write a strand as in GFF3: "+" or "-".

    Example:
        >>> strand_sign(1), strand_sign(-1)
        ('+', '-')
    """
    return "+" if strand > 0 else "-"


def strand_index(strand: int) -> int:
    """Row of a strand in arrays over both: 0 for +1, 1 for -1.

    Example:
        >>> strand_index(1), strand_index(-1)
        (0, 1)
    """
    return 0 if strand > 0 else 1


def in_reading_order(items: S, strand: int) -> S:
    """Turn items from left-to-right into reading order, or back.

    Args:
        items: A tuple, list, string, or an array (turned along its first axis).
        strand: +1: the items themselves.

    Example:
        >>> in_reading_order([1, 2, 3], -1)
        [3, 2, 1]
    """
    turned: S = items if strand > 0 else items[::-1]
    return turned


def five_three(left: T, right: T, strand: int) -> tuple[T, T]:
    """Turn what belongs to the left and right ends into (5', 3'), or (5', 3') into (left, right).

    Example:
        >>> five_three("left", "right", -1)
        ('right', 'left')
    """
    return (left, right) if strand > 0 else (right, left)


def five_prime(items: Sequence[T], strand: int) -> T:
    """Return the first item in reading direction of items that stand left to right.

    Example:
        >>> five_prime("abc", 1), five_prime("abc", -1)
        ('a', 'c')
    """
    return items[0] if strand > 0 else items[-1]


def three_prime(items: Sequence[T], strand: int) -> T:
    """Return the last item in reading direction of items that stand left to right.

    Example:
        >>> three_prime("abc", 1), three_prime("abc", -1)
        ('c', 'a')
    """
    return items[-1] if strand > 0 else items[0]


def five_prime_base(start: int, end: int, strand: int) -> int:
    """Return the first base of the interval [start, end) in reading direction.

    Example:
        >>> five_prime_base(10, 20, 1), five_prime_base(10, 20, -1)
        (10, 19)
    """
    return start if strand > 0 else end - 1


def three_prime_base(start: int, end: int, strand: int) -> int:
    """Return the last base of the interval [start, end) in reading direction.

    Example:
        >>> three_prime_base(10, 20, 1), three_prime_base(10, 20, -1)
        (19, 10)
    """
    return end - 1 if strand > 0 else start


def mirrored(start: int, end: int, length: int) -> tuple[int, int]:
    """Return the half-open interval as counted on the reverse complement of `length` bases.

    Example:
        >>> mirrored(2, 5, 10)
        (5, 8)
    """
    return length - end, length - start


def mirrored_base(base: int, length: int) -> int:
    """Return where a base lies on the reverse complement of `length` bases.

    Example:
        >>> mirrored_base(0, 10)
        9
    """
    return length - 1 - base


def interval_on_strand(start: int, end: int, length: int, strand: int) -> tuple[int, int]:
    """Return the half-open interval as counted along a strand of `length` bases, or back.

    Example:
        >>> interval_on_strand(2, 5, 10, 1), interval_on_strand(2, 5, 10, -1)
        ((2, 5), (5, 8))
    """
    return (start, end) if strand > 0 else mirrored(start, end, length)


def base_on_strand(base: B, length: int, strand: int) -> B:
    """Return where a base lies as counted along a strand of `length` bases, or back.

    Args:
        base: One, or an array of them.
        length: Bases of the strand.
        strand: +1: the base itself.

    Example:
        >>> base_on_strand(2, 10, 1), base_on_strand(2, 10, -1)
        (2, 7)
    """
    return base if strand > 0 else length - 1 - base


def five_prime_span(start: int, end: int, bases: int, strand: int) -> tuple[int, int]:
    """Return the first bases of the interval [start, end) in reading direction.

    Example:
        >>> five_prime_span(10, 20, 3, 1), five_prime_span(10, 20, 3, -1)
        ((10, 13), (17, 20))
    """
    return (start, start + bases) if strand > 0 else (end - bases, end)


def three_prime_span(start: int, end: int, bases: int, strand: int) -> tuple[int, int]:
    """Return the last bases of the interval [start, end) in reading direction.

    Example:
        >>> three_prime_span(10, 20, 3, 1), three_prime_span(10, 20, 3, -1)
        ((17, 20), (10, 13))
    """
    return five_prime_span(start, end, bases, -strand)


def mirrored_intervals(
    intervals: Reversible[tuple[int, int]], length: int
) -> tuple[tuple[int, int], ...]:
    """Return ascending half-open intervals as counted on the reverse complement, ascending again.

    Example:
        >>> mirrored_intervals([(0, 2), (5, 9)], 10)
        ((1, 5), (8, 10))
    """
    return tuple(mirrored(start, end, length) for start, end in reversed(intervals))


def frame_of(bases_before: int, phase: int = 0) -> int:
    """Frame of a coding base.

    Args:
        bases_before: Coding bases before it in reading direction.
        phase: GFF3 phase of the coding sequence's 5' end.

    Example:
        >>> [frame_of(n) for n in range(4)], frame_of(0, phase=1)
        ([0, 1, 2, 0], 2)
    """
    return (bases_before - phase) % 3


def phase_of(bases_before: int, phase: int = 0) -> int:
    """GFF3 phase of a coding interval.

    Args:
        bases_before: Coding bases before it in reading direction.
        phase: GFF3 phase of the coding sequence's 5' end.

    Example:
        >>> [phase_of(n) for n in range(4)], phase_of(4, phase=1)
        ([0, 2, 1, 0], 0)
    """
    return (phase - bases_before) % 3


def phases(lengths: Iterable[int], first: int = 0) -> list[int]:
    """GFF3 phases of coding intervals.

    Args:
        lengths: Bases of each interval, in reading order.
        first: Phase of the first one.

    Example:
        >>> phases([10, 4, 7])
        [0, 2, 1]
    """
    result, phase = [], first
    for length in lengths:
        result.append(phase)
        phase = phase_of(length, phase)
    return result


def leftmost_frame(strand: int) -> int:
    """Frame of the leftmost base of a whole codon: its first base on +1, its last on -1.

    Example:
        >>> leftmost_frame(1), leftmost_frame(-1)
        (0, 2)
    """
    return 0 if strand > 0 else 2


def frame_to_right(frame: int, coding_bp: int, strand: int) -> int:
    """Frame of the coding base `coding_bp` coding bases to the right (negative: to the left).

    Args:
        frame: Of the base from which to count.
        coding_bp: Coding bases to go.
        strand: The gene's strand.

    Example:
        >>> frame_to_right(0, 4, 1), frame_to_right(0, 4, -1)
        (1, 2)
    """
    return (frame + strand * coding_bp) % 3


def frames_to_right(frame: int, coding_bp: int, strand: int) -> NDArray[np.int64]:
    """(coding_bp,) Frames of coding bases from left to right; the leftmost has the frame given.

    Example:
        >>> frames_to_right(1, 4, -1).tolist()
        [1, 0, 2, 1]
    """
    return (frame + strand * np.arange(coding_bp)) % 3


def phase_from_left(frame: int, coding_bp: int, strand: int) -> int:
    """GFF3 phase of the 5' end of coding bases (one at least) whose leftmost has the frame given.

    Example:
        >>> phase_from_left(1, 9, 1), phase_from_left(2, 9, -1), phase_from_left(2, 10, -1)
        (2, 0, 1)
    """
    first = frame if strand > 0 else frame_to_right(frame, coding_bp - 1, strand)
    return -first % 3
