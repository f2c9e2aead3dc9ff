"""Spliced genes in the merger: structures of one gene, votes of paths, margins over rivals."""

from __future__ import annotations

from dataclasses import replace

import pytest

from genet5.annotate.candidate import GeneCandidate
from genet5.annotate.merge import Merger, boundary_total, with_margins
from genet5.annotate.stitch import Joiner
from genet5.decode.evidence import Evidence
from genet5.decode.fragment import GeneFragment, Interval
from genet5.genome.tiling import ContigTiling

KNOWN = Evidence(start_boundary=2.0, stop_boundary=1.0, splice_boundary=3.0)
ONE = (Interval("cds", 300, 420),)
TWO = (Interval("cds", 300, 339), Interval("cds", 390, 420))


def fragment(
    parts: tuple[Interval, ...], *, head_only: bool = False, evidence: Evidence = KNOWN
) -> GeneFragment:
    return GeneFragment("protein_coding", 1, parts, evidence=evidence, head_only=head_only)


def merged(
    decoded: list[GeneFragment], on_path: list[GeneFragment], *, spliced: bool
) -> list[GeneCandidate]:
    tiling = ContigTiling.even(2000, 2000, 0)
    merger = Merger(tiling, spliced=spliced)
    (tile,) = tiling.tiles
    merger.add_window(tile, [*decoded, *on_path])
    merger.add_candidates(Joiner(tiling).add(tile, decoded))
    merger.add_candidates(Joiner(tiling).add(tile, on_path), on_paths=True)
    return merger.finish()


def test_decoder_and_path_that_agree_are_one_call_with_both_votes() -> None:
    (candidate,) = merged([fragment(TWO)], [fragment(TWO, head_only=True)], spliced=True)
    assert candidate.parts == TWO
    assert (candidate.support, candidate.path_share, candidate.structure_share) == pytest.approx(
        (1, 1, 1)
    )
    assert candidate.margin == 0


def test_structures_of_one_gene_are_calls_of_their_own_with_their_own_evidence() -> None:
    sure = replace(KNOWN, splice_boundary=-8.0)
    candidates = merged(
        [fragment(TWO, evidence=sure)], [fragment(ONE, head_only=True)], spliced=True
    )
    by_parts = {candidate.parts: candidate for candidate in candidates}
    assert set(by_parts) == {ONE, TWO}
    assert by_parts[ONE].path_share == pytest.approx(1)
    assert by_parts[TWO].path_share == 0
    assert by_parts[TWO].evidence.splice_boundary == -8.0
    assert by_parts[ONE].margin == pytest.approx(11)
    assert by_parts[TWO].margin == pytest.approx(-11)


def test_without_introns_a_gene_stays_one_call() -> None:
    assert len(merged([fragment(TWO), fragment(ONE)], [], spliced=False)) == 1


def test_margins_are_taken_from_overlapping_calls_of_the_same_strand() -> None:
    def candidate(start: int, end: int, strand: int, total: float) -> GeneCandidate:
        parts = (Interval("cds", start, end),)
        evidence = Evidence(start_boundary=total)
        return GeneCandidate("protein_coding", strand, parts, 0, evidence=evidence)

    candidates = [
        candidate(0, 90, 1, 5.0),
        candidate(30, 60, -1, 50.0),
        candidate(60, 150, 1, 2.0),
        candidate(150, 240, 1, 9.0),
    ]
    assert [c.margin for c in with_margins(candidates)] == [3.0, 0.0, -3.0, 0.0]
    assert boundary_total(KNOWN) == 6.0
    assert boundary_total(Evidence(stop_boundary=1.5)) == 1.5
