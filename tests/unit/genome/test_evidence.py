"""Hints as channels at each base."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genet5.genome.evidence import KINDS, mirrored_channels, paint
from genet5.genome.frames import mirrored
from genet5.genome.hints import Hint

INTRON, DONOR, ACCEPTOR, CODING_1, CODING_2, CODING_3, START, STOP = range(KINDS)
LENGTH = 40


def shown(*hints: Hint, origin: int = 0, strand: int = 1) -> dict[int, list[int]]:
    """Kind -> bases where it shows, on one strand."""
    rows = paint(hints, 0, LENGTH).reshape(2, 2, KINDS, LENGTH)[origin, 0 if strand > 0 else 1]
    return {kind: row.nonzero()[0].tolist() for kind, row in enumerate(rows) if row.any()}


@pytest.mark.parametrize(("strand", "donor", "acceptor"), [(1, 9, 14), (-1, 14, 9)])
def test_an_intron_shows_its_bases_and_the_exon_bases_beside_it(
    strand: int, donor: int, acceptor: int
) -> None:
    found = shown(Hint("c", "intron", 10, 14, strand), strand=strand)
    assert found == {INTRON: [10, 11, 12, 13], DONOR: [donor], ACCEPTOR: [acceptor]}


def test_coding_bases_show_their_place_in_the_codon() -> None:
    forward = shown(Hint("c", "coding", 10, 15, 1, 1))
    assert forward == {CODING_3: [10, 13], CODING_1: [11, 14], CODING_2: [12]}
    reverse = shown(Hint("c", "coding", 10, 15, -1, 1), strand=-1)
    assert reverse == {CODING_3: [11, 14], CODING_1: [10, 13], CODING_2: [12]}


def test_without_a_phase_all_places_in_the_codon_show() -> None:
    found = shown(Hint("c", "coding", 10, 12, 1))
    assert found == {kind: [10, 11] for kind in (CODING_1, CODING_2, CODING_3)}


@pytest.mark.parametrize(("strand", "start", "stop"), [(1, 10, 12), (-1, 12, 10)])
def test_a_codon_shows_at_its_outer_base(strand: int, start: int, stop: int) -> None:
    assert shown(Hint("c", "start", 10, 13, strand), strand=strand) == {START: [start]}
    assert shown(Hint("c", "stop", 10, 13, strand), strand=strand) == {STOP: [stop]}


def test_a_strand_that_is_not_known_is_either() -> None:
    hint = Hint("c", "intron", 10, 14, 0)
    assert shown(hint)[DONOR] == shown(hint, strand=-1)[ACCEPTOR] == [9]


def test_proteins_have_channels_of_their_own() -> None:
    hint = Hint("c", "start", 10, 13, 1, source="miniprot")
    assert shown(hint) == {}
    assert shown(hint, origin=1) == {START: [10]}


def test_the_strongest_hint_of_a_base_counts() -> None:
    channels = paint([Hint("c", "intron", 4, 8, 1, multiplicity=m) for m in (1, 15, 3)], 0, LENGTH)
    assert channels[INTRON].max() == 128
    assert paint([Hint("c", "intron", 4, 8, 1, multiplicity=10**9)], 0, LENGTH).max() == 255


kinds = st.sampled_from(["intron", "coding", "start", "stop"])
strands = st.sampled_from([-1, 0, 1])


@st.composite
def some_hint(draw: st.DrawFn) -> Hint:
    kind, start = draw(kinds), draw(st.integers(-20, LENGTH + 20))
    end = start + (draw(st.integers(1, 30)) if kind in ("intron", "coding") else 3)
    phase = draw(st.sampled_from([0, 1, 2, None])) if kind == "coding" else None
    source = draw(st.sampled_from(["E", "P"]))
    return Hint("c", kind, start, end, draw(strands), phase, draw(st.integers(1, 9)), source)


@given(st.lists(some_hint(), max_size=5))
def test_the_reverse_complement_has_the_mirrored_hints(hints: list[Hint]) -> None:
    turned = [
        Hint(h.contig, h.kind, *mirrored(h.start, h.end, LENGTH), -h.strand, h.phase,
             h.multiplicity, h.source)
        for h in hints
    ]  # fmt: skip
    expected = paint(turned, 0, LENGTH)
    assert np.array_equal(mirrored_channels(paint(hints, 0, LENGTH)), expected)


@given(st.lists(some_hint(), max_size=5), st.integers(0, 20), st.integers(1, 20))
def test_a_window_shows_what_lies_in_it(hints: list[Hint], start: int, length: int) -> None:
    whole = paint(hints, 0, LENGTH)
    assert np.array_equal(paint(hints, start, length), whole[:, start : start + length])
