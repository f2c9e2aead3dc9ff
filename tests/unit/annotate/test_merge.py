"""Spliced genes in the merger: several structures of one gene, votes of paths, and how calls compare with rivals."""

from __future__ import annotations

from dataclasses import replace

import pytest

from genet5.annotate.merge import Call, Merger, boundary_total, with_margins
from genet5.annotate.pieces import Piece, Stretch
from genet5.annotate.stitch import Joiner
from genet5.annotate.windows import plan_axis
from genet5.decode.evidence import Evidence

KNOWN = Evidence(start_boundary=2.0, stop_boundary=1.0, splice_boundary=3.0)
ONE = (Stretch("cds", 300, 420),)
TWO = (Stretch("cds", 300, 339), Stretch("cds", 390, 420))


def piece(parts: tuple[Stretch, ...], *, decoded: bool, evidence: Evidence = KNOWN) -> Piece:
    return Piece(0, "protein_coding", 1, parts, evidence=evidence, decoded=decoded)


def calls_of(decoded: list[Piece], on_path: list[Piece], *, spliced: bool) -> list[Call]:
    axis = plan_axis(2000, 2000, 0)
    merger = Merger(axis, spliced=spliced)
    window = axis.windows[0]
    merger.add_sightings(window, [*decoded, *on_path])
    merger.add_candidates(Joiner(axis).add(window, decoded))
    merger.add_candidates(Joiner(axis).add(window, on_path), on_paths=True)
    return merger.calls()


def test_decoder_and_path_that_agree_are_one_call_with_both_votes() -> None:
    (call,) = calls_of([piece(TWO, decoded=True)], [piece(TWO, decoded=False)], spliced=True)
    assert call.parts == TWO
    assert (call.support, call.path_share, call.structure_share) == pytest.approx((1, 1, 1))
    assert call.margin == 0


def test_structures_of_one_gene_are_calls_of_their_own_with_their_own_evidence() -> None:
    sure = replace(KNOWN, splice_boundary=-8.0)
    calls = calls_of(
        [piece(TWO, decoded=True, evidence=sure)], [piece(ONE, decoded=False)], spliced=True
    )
    by_parts = {call.parts: call for call in calls}
    assert set(by_parts) == {ONE, TWO}
    assert by_parts[ONE].path_share == pytest.approx(1)
    assert by_parts[TWO].path_share == 0
    assert by_parts[TWO].evidence.splice_boundary == -8.0
    assert by_parts[ONE].margin == pytest.approx(11)
    assert by_parts[TWO].margin == pytest.approx(-11)


def test_without_introns_a_gene_stays_one_call() -> None:
    assert (
        len(calls_of([piece(TWO, decoded=True), piece(ONE, decoded=True)], [], spliced=False)) == 1
    )


def test_margins_are_taken_from_overlapping_calls_of_the_same_strand() -> None:
    def call(start: int, end: int, strand: int, total: float) -> Call:
        evidence = Evidence(start_boundary=total)
        parts = (Stretch("cds", start, end),)
        return Call("protein_coding", strand, parts, 0, False, False, evidence, 1.0, 1.0)

    calls = [call(0, 90, 1, 5.0), call(30, 60, -1, 50.0), call(60, 150, 1, 2.0), call(150, 240, 1, 9.0)]  # fmt: skip
    assert [c.margin for c in with_margins(calls)] == [3.0, 0.0, -3.0, 0.0]
    assert boundary_total(KNOWN) == 6.0
    assert boundary_total(Evidence(stop_boundary=1.5)) == 1.5
