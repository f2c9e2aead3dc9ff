"""Codon positions, phases and mirroring against counting base by base."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genet5.genome import frames

STRANDS = st.sampled_from((1, -1))


@st.composite
def coding(draw: st.DrawFn) -> tuple[list[tuple[int, int]], int, int]:
    """Coding intervals left to right, their strand, and the phase of the 5' end."""
    gap_and_length = st.tuples(st.integers(1, 9), st.integers(1, 12))
    intervals, at = [], 0
    for gap, length in draw(st.lists(gap_and_length, min_size=1, max_size=5)):
        intervals.append((at + gap, at + gap + length))
        at += gap + length
    return intervals, draw(STRANDS), draw(st.integers(0, 2))


def bases_read(intervals: list[tuple[int, int]], strand: int) -> list[int]:
    """The coding bases one by one in reading direction."""
    bases = [base for start, end in intervals for base in range(start, end)]
    return bases if strand == 1 else sorted(bases, reverse=True)


def walked_frames(intervals: list[tuple[int, int]], strand: int, phase: int) -> dict[int, int]:
    """Frame of each coding base, by walking: `phase` bases finish a codon, then 0, 1, 2, 0 ..."""
    walk = [0, 2, 1][phase]
    found = {}
    for base in bases_read(intervals, strand):
        found[base] = walk
        walk = {0: 1, 1: 2, 2: 0}[walk]
    return found


@given(coding())
def test_frames_count_the_coding_bases_before(case) -> None:
    intervals, strand, phase = case
    by_walking = walked_frames(intervals, strand, phase)
    for before, base in enumerate(bases_read(intervals, strand)):
        assert frames.frame_of(before, phase) == by_walking[base]
        assert frames.phase_of(before, phase) == {0: 0, 1: 2, 2: 1}[by_walking[base]]


@given(coding())
def test_frames_step_with_the_strand_from_left_to_right(case) -> None:
    intervals, strand, phase = case
    by_walking = walked_frames(intervals, strand, phase)
    left_to_right = sorted(by_walking)
    leftmost = by_walking[left_to_right[0]]
    expected = [by_walking[base] for base in left_to_right]
    assert frames.frames_to_right(leftmost, len(expected), strand).tolist() == expected
    for steps, frame in enumerate(expected):
        assert frames.frame_to_right(leftmost, steps, strand) == frame
        assert frames.frame_to_right(frame, -steps, strand) == leftmost


@given(coding())
def test_the_phase_of_the_five_prime_end_follows_from_the_leftmost_frame(case) -> None:
    intervals, strand, phase = case
    by_walking = walked_frames(intervals, strand, phase)
    leftmost = by_walking[min(by_walking)]
    assert frames.phase_from_left(leftmost, len(by_walking), strand) == phase


@given(coding())
def test_phases_are_those_of_each_intervals_first_base(case) -> None:
    intervals, strand, phase = case
    by_walking = walked_frames(intervals, strand, phase)
    reading = frames.in_reading_order(intervals, strand)
    firsts = [frames.five_prime_base(*interval, strand) for interval in reading]
    expected = [{0: 0, 1: 2, 2: 1}[by_walking[base]] for base in firsts]
    assert frames.phases([end - start for start, end in reading], phase) == expected


@given(coding())
def test_ends_are_the_first_and_the_last_base_read(case) -> None:
    intervals, strand, _ = case
    read = bases_read(intervals, strand)
    assert frames.five_prime_base(*frames.five_prime(intervals, strand), strand) == read[0]
    assert frames.three_prime_base(*frames.three_prime(intervals, strand), strand) == read[-1]
    assert frames.five_three(min(read), max(read), strand) == (read[0], read[-1])


@given(coding(), st.integers(0, 9))
def test_mirroring_moves_every_base(case, margin: int) -> None:
    intervals, _, _ = case
    length = intervals[-1][1] + margin
    shown = np.zeros(length, dtype=bool)
    for start, end in intervals:
        shown[start:end] = True
    turned = np.zeros(length, dtype=bool)
    mirrored = frames.mirrored_intervals(intervals, length)
    for start, end in mirrored:
        turned[start:end] = True
    assert (turned == shown[::-1]).all()
    assert list(mirrored) == sorted(mirrored)
    assert list(frames.mirrored_intervals(mirrored, length)) == intervals
    bases = np.flatnonzero(shown).tolist()
    moved = sorted(frames.mirrored_base(base, length) for base in bases)
    assert moved == np.flatnonzero(turned).tolist()


@pytest.mark.parametrize("items", [(1, 2, 3), [1, 2, 3], "abc", b"abc"])
def test_reading_order_turns_back_into_itself(items) -> None:
    turned = frames.in_reading_order(items, -1)
    assert type(turned) is type(items)
    assert list(turned) == list(items)[::-1]
    assert frames.in_reading_order(turned, -1) == items == frames.in_reading_order(items, 1)
