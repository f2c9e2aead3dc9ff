"""Fragments of windows become the genes they were cut from."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from restitch import restitch

from genet5.annotate.candidate import GeneCandidate
from genet5.annotate.merge import Merger
from genet5.annotate.stitch import Joiner
from genet5.decode.evidence import Evidence
from genet5.decode.fragment import GeneFragment, Interval
from genet5.genome.gene import Cds, Exon, Gene, Transcript
from genet5.genome.tiling import ContigTiling
from genet5.tokens.cut import GeneIndex
from views import cut_genes


def make_gene(number: int, strand: int, blocks: list[tuple[int, int]]) -> Gene:
    """A gene with the right phases; `blocks` are its CDS segments."""
    order = blocks if strand > 0 else blocks[::-1]
    phases, read = {}, 0
    for block in order:
        phases[block] = -read % 3
        read += block[1] - block[0]
    transcript = Transcript(
        id=f"t{number}",
        exons=tuple(Exon(*block) for block in blocks),
        cds=tuple(Cds(*block, phases[block]) for block in blocks),
    )
    return Gene(id=f"g{number}", contig="c", strand=strand, transcripts=(transcript,))


@st.composite
def genomes(draw: st.DrawFn) -> tuple[int, list[Gene]]:
    """A contig's length and genes on it, spliced or not; those of one strand hardly overlap."""
    genes = []
    for strand in (1, -1):
        at = gap = draw(st.integers(0, 60))
        for _ in range(draw(st.integers(0, 5))):
            blocks, coding = [], 0
            pieces = draw(st.integers(1, 5))
            for piece in range(pieces):
                size = draw(st.integers(1 if gap >= 0 else 9, 90))
                if piece == pieces - 1:
                    size += -(coding + size) % 3
                blocks.append((at, at + size))
                coding += size
                at += size + draw(st.integers(1, 120))
            genes.append(make_gene(len(genes), strand, blocks))
            gap = draw(st.integers(-8, 80))
            if gap % 3 == 0 or blocks[-1][1] - blocks[-1][0] + gap <= 0:
                gap = abs(gap)  # genes that overlap in one frame would have one stop
            at = blocks[-1][1] + gap
    end = max((gene.end for gene in genes), default=50)
    return end + draw(st.integers(0, 50)), sorted(genes, key=lambda gene: gene.start)


def stitch(genes: list[Gene], tiling: ContigTiling) -> list[GeneCandidate]:
    joiner, merger = Joiner(tiling), Merger(tiling)
    for window in tiling.tiles:
        shown = cut_genes(genes, window.start, window.end)
        fragments = [
            GeneFragment.of(gene, Evidence(coding=1)).placed(window.start, window.end)
            for gene in shown
        ]
        merger.add_window(window, fragments)
        merger.add_candidates(joiner.add(window, fragments))
    return merger.finish()


def as_tuples(genes: list[Gene]) -> list[tuple[int, tuple[tuple[int, int], ...]]]:
    return [(g.strand, tuple((c.start, c.end) for c in g.canonical.cds)) for g in genes]


@pytest.mark.slow
@given(genomes(), st.integers(20, 400), st.floats(0, 0.95))
def test_exact_fragments_stitch_to_the_genes(
    genome: tuple[int, list[Gene]], window_bp: int, overlap: float
) -> None:
    length_bp, genes = genome
    tiling = ContigTiling.even(length_bp, window_bp, int(overlap * window_bp))
    calls = stitch(genes, tiling)
    found = sorted((c.strand, tuple((p.start, p.end) for p in c.parts)) for c in calls)
    assert found == sorted(as_tuples(genes))
    assert all(call.support == pytest.approx(1.0) for call in calls)
    assert not any(call.partial_left or call.partial_right for call in calls)


def restitched(
    genes: list[Gene], tiling: ContigTiling
) -> list[tuple[int, tuple[tuple[int, int], ...]]]:
    index = GeneIndex(genes)
    found = restitch(tiling, [index.cut(window.start, window.end) for window in tiling.tiles])
    return [(c.strand, tuple((p.start, p.end) for p in c.parts)) for c in found]


@pytest.mark.slow
@given(genomes(), st.integers(20, 400), st.floats(0, 0.95))
def test_windows_restitch_to_exactly_the_genes_they_were_cut_from(
    genome: tuple[int, list[Gene]], window_bp: int, overlap: float
) -> None:
    length_bp, genes = genome
    tiling = ContigTiling.even(length_bp, window_bp, int(overlap * window_bp))
    assert sorted(restitched(genes, tiling)) == sorted(as_tuples(genes))


@pytest.mark.parametrize("strand", [1, -1])
@pytest.mark.parametrize("overlap_bp", [0, 50])
def test_a_gene_in_an_intron_of_another_in_its_frame_restitches(
    strand: int, overlap_bp: int
) -> None:
    """Between 200 and 800 both genes lie in introns: what is open last closes first."""
    outer = make_gene(0, strand, [(30, 60), (930, 960)])
    inner = make_gene(1, strand, [(130, 160), (830, 860)])
    tiling = ContigTiling.even(1000, 100, overlap_bp)
    assert restitched([outer, inner], tiling) == as_tuples([outer, inner])


def test_genes_with_one_stop_restitch_apart() -> None:
    genes = [make_gene(0, 1, [(30, 60), (100, 160)]), make_gene(1, 1, [(85, 91), (100, 160)])]
    for window_bp in (40, 70, 200):
        for overlap_bp in (0, window_bp // 2):
            tiling = ContigTiling.even(400, window_bp, overlap_bp)
            assert restitched(genes, tiling) == as_tuples(genes)


def test_a_gene_over_the_origin_restitches_once() -> None:
    genes = [make_gene(0, 1, [(100, 190)]), make_gene(1, -1, [(940, 1060)])]
    copies = [make_gene(2, -1, [(-60, 60)]), make_gene(3, 1, [(1100, 1190)])]
    for window_bp in (50, 200, 700):
        tiling = ContigTiling.even(1000, window_bp, window_bp // 2, circular=True)
        shown = sorted([*genes, *copies], key=lambda gene: gene.start)
        expected = as_tuples(genes) if window_bp > 60 else as_tuples(genes[:1])
        assert restitched(shown, tiling) == expected


@given(genomes(), st.integers(20, 400), st.data())
def test_a_fragment_mirrored_twice_is_itself(
    genome: tuple[int, list[Gene]], window_bp: int, data: st.DataObject
) -> None:
    length_bp, genes = genome
    tiling = ContigTiling.even(length_bp, window_bp, window_bp // 2)
    window = data.draw(st.sampled_from(tiling.tiles))
    for gene in cut_genes(genes, window.start, window.end):
        fragment = GeneFragment.of(gene, starts=((3, 0.5),))
        size = window.end - window.start
        assert fragment.mirrored(size).mirrored(size) == fragment


@pytest.mark.slow
@given(genomes(), st.integers(20, 400))
def test_windows_of_the_other_strand_stitch(genome: tuple[int, list[Gene]], window_bp: int) -> None:
    length_bp, genes = genome
    tiling = ContigTiling.even(length_bp, window_bp, window_bp // 3)
    joiner, merger = Joiner(tiling), Merger(tiling)
    index = GeneIndex(genes)
    for window in tiling.tiles:
        shown = index.cut(window.start, window.end, reverse=True)
        fragments = [
            GeneFragment.of(gene).placed(window.start, window.end, reverse=True) for gene in shown
        ]
        merger.add_window(window, fragments, strand_pass=1)
        merger.add_candidates(joiner.add(window, fragments))
    found = sorted((c.strand, tuple((p.start, p.end) for p in c.parts)) for c in merger.finish())
    assert found == sorted(as_tuples(genes))


def test_a_gene_over_the_contigs_ends_is_partial() -> None:
    tiling = ContigTiling.even(300, 100, 50)
    genes = [make_gene(0, 1, [(-30, 60)]), make_gene(1, -1, [(200, 330)])]
    first, last = stitch(genes, tiling)
    assert (first.start, first.end, first.partial_left, first.partial_right) == (0, 60, True, False)
    assert (last.start, last.end, last.partial_left, last.partial_right) == (200, 300, False, True)
    assert first.frame == 0
    assert last.frame == 2


def test_a_gene_over_the_origin_of_a_circular_contig() -> None:
    tiling = ContigTiling.even(1000, 200, 100, circular=True)
    genes = [make_gene(0, 1, [(100, 190)]), make_gene(1, -1, [(940, 1060)])]
    copies = [make_gene(2, -1, [(-60, 60)]), make_gene(3, 1, [(1100, 1190)])]
    calls = stitch([*genes, *copies], tiling)
    assert [(c.start, c.end, c.strand) for c in calls] == [(100, 190, 1), (940, 1060, -1)]
    assert all(call.support == pytest.approx(1.0) for call in calls)


def test_fragments_that_disagree_in_frame_do_not_join() -> None:
    tiling = ContigTiling.even(150, 100, 50)
    left = GeneFragment("protein_coding", 1, (Interval("cds", 40, 100),), cut_right=True)
    right = GeneFragment("protein_coding", 1, (Interval("cds", 50, 121),), cut_left=True, frame=1)
    assert join(tiling, left, replace(right, frame=0)) == []
    assert [c.parts for c in join(tiling, left, right)] == [(Interval("cds", 40, 121),)]


def test_fragments_that_disagree_near_the_edge_only_still_join() -> None:
    tiling = ContigTiling.even(150, 100, 50)
    left = GeneFragment(
        "protein_coding", 1, (Interval("cds", 40, 90), Interval("cds", 96, 100)), cut_right=True
    )
    right = GeneFragment("protein_coding", 1, (Interval("cds", 50, 121),), cut_left=True, frame=1)
    assert [c.parts for c in join(tiling, left, right)] == [(Interval("cds", 40, 121),)]


def test_a_false_start_in_a_later_window_does_not_end_a_chain() -> None:
    tiling = ContigTiling.even(150, 100, 50)
    left = GeneFragment("protein_coding", 1, (Interval("cds", 40, 100),), cut_right=True)
    right = GeneFragment("protein_coding", 1, (Interval("cds", 61, 121),))
    found = [c.parts for c in join(tiling, left, right)]
    assert sorted(found) == [(Interval("cds", 40, 121),), (Interval("cds", 61, 121),)]
    left = GeneFragment("protein_coding", -1, (Interval("cds", 30, 90),))
    right = GeneFragment("protein_coding", -1, (Interval("cds", 50, 120),), cut_left=True, frame=0)
    found = [c.parts for c in join(tiling, left, right)]
    assert sorted(found) == [(Interval("cds", 30, 90),), (Interval("cds", 30, 120),)]


def join(tiling: ContigTiling, left: GeneFragment, right: GeneFragment) -> list[GeneCandidate]:
    joiner = Joiner(tiling)
    return joiner.add(tiling.tiles[0], [left]) + joiner.add(tiling.tiles[1], [right])


def test_a_blank_window_ends_a_chain_in_a_part() -> None:
    tiling = ContigTiling.even(200, 100, 50)
    left = GeneFragment("protein_coding", 1, (Interval("cds", 40, 100),), cut_right=True)
    right = GeneFragment("protein_coding", 1, (Interval("cds", 100, 160),), cut_left=True, frame=0)
    joiner = Joiner(tiling)
    assert joiner.add(tiling.tiles[0], [left]) == []
    assert joiner.add(tiling.tiles[2], [right]) == []


@pytest.mark.parametrize(("frame", "joins"), [(2, True), (1, False)])
def test_an_intron_continues_after_a_blank_window(frame: int, joins: bool) -> None:
    tiling = ContigTiling.even(200, 100, 50)
    left = GeneFragment("protein_coding", 1, (Interval("cds", 40, 60),), cut_right=True)
    right = GeneFragment(
        "protein_coding", 1, (Interval("cds", 150, 160),), cut_left=True, frame=frame
    )
    joiner = Joiner(tiling)
    assert joiner.add(tiling.tiles[0], [left]) == []
    found = [c.parts for c in joiner.add(tiling.tiles[2], [right])]
    assert found == ([(*left.parts, *right.parts)] if joins else [])


def test_the_structure_with_most_votes_wins_and_is_reported_once() -> None:
    tiling = ContigTiling.even(4000, 2000, 1500)
    merger = Merger(tiling)
    short, long = Interval("cds", 1560, 1800), Interval("cds", 1500, 1800)
    fragments = [
        GeneFragment("protein_coding", 1, (long,), starts=((1500, 0.6), (1560, 0.4))),
        GeneFragment("protein_coding", 1, (short,), starts=((1560, 0.9), (1500, 0.1))),
        GeneFragment("protein_coding", 1, (short,), starts=((1560, 0.9), (1500, 0.1))),
    ]
    joiner = Joiner(tiling)
    for window in tiling.tiles:
        shown = fragments[window.index : window.index + 1]
        merger.add_window(window, shown)
        merger.add_candidates(joiner.add(window, shown))
    (call,) = merger.finish()
    assert call.parts == (short,)
    assert 0.7 < call.structure_share < 0.9
    assert 0.5 < call.support < 1.0


@settings(max_examples=30)
@given(genomes(), st.integers(20, 400))
def test_fragments_survive_json(genome: tuple[int, list[Gene]], window_bp: int) -> None:
    length_bp, genes = genome
    for window in ContigTiling.even(length_bp, window_bp, 5).tiles:
        for gene in cut_genes(genes, window.start, window.end):
            evidence = Evidence(0.1, -2.5, 0.0, stop_boundary=1.5)
            fragment = GeneFragment.of(gene, evidence, ((3, 0.5),))
            assert repr(GeneFragment.from_json(fragment.to_json())) == repr(fragment)
