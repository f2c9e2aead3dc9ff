"""States and boundaries of a window."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genet5.dataset.per_base import ACCEPTOR, DONOR, IGNORE, START, STOP, base_targets
from genet5.genome.gene import Cds, Exon, Gene, Transcript
from genet5.tokens.cut import GeneIndex
from genet5.tokens.window import Part, WindowGene, WindowTranscript


def gene(strand: int, *parts: tuple[str, int, int], **cut) -> WindowGene:
    transcript = WindowTranscript(tuple(Part(*part) for part in parts), **cut)
    return WindowGene("protein_coding", strand, (transcript,))


def marked(boundaries: np.ndarray) -> set[tuple[int, int]]:
    return {(int(row), int(base)) for row, base in np.argwhere(boundaries)}


def test_a_forward_gene_with_an_intron() -> None:
    states, boundaries = base_targets([gene(1, ("cds", 1, 4), ("cds", 7, 8))], 10, [])
    assert states[0].tolist() == [0, 1, 2, 3, 1, 5, 5, 2, 3, 0]
    assert not states[1].any()
    assert marked(boundaries) == {(2 * START, 1), (2 * DONOR, 4), (2 * ACCEPTOR, 7), (2 * STOP, 8)}


def test_a_reverse_gene_is_read_from_the_right() -> None:
    states, boundaries = base_targets([gene(-1, ("cds", 1, 4), ("cds", 7, 8))], 10, [])
    assert states[1].tolist() == [0, 3, 2, 1, 3, 6, 6, 2, 1, 0]
    assert marked(boundaries) == {
        (2 * START + 1, 8),
        (2 * DONOR + 1, 7),
        (2 * ACCEPTOR + 1, 4),
        (2 * STOP + 1, 1),
    }


def test_cut_ends_are_no_boundaries_and_keep_the_frame() -> None:
    cut = gene(1, ("cds", 0, 3), cut_left=True, frame=2, cut_right=True)
    states, boundaries = base_targets([cut], 6, [])
    assert states[0].tolist() == [3, 1, 2, 3, 4, 4]
    assert marked(boundaries) == {(2 * DONOR, 3)}


@pytest.mark.parametrize(("strand", "frame", "state"), [(1, 2, 6), (-1, 2, 4), (-1, 0, 5)])
def test_a_window_inside_an_intron(strand: int, frame: int, state: int) -> None:
    states, boundaries = base_targets(
        [gene(strand, cut_left=True, cut_right=True, frame=frame)], 4, []
    )
    assert states[int(strand < 0)].tolist() == [state] * 4
    assert not boundaries.any()


def test_untranslated_parts_join_the_coding_part_of_their_exon() -> None:
    parts = (("utr", 0, 1), ("utr", 4, 5), ("cds", 6, 8), ("utr", 9, 9))
    states, boundaries = base_targets([gene(1, *parts, cut_left=True, frame=0)], 11, [])
    assert states[0].tolist() == [7, 7, 4, 4, 7, 7, 1, 2, 3, 7, 0]
    assert marked(boundaries) == {(2 * DONOR, 1), (2 * ACCEPTOR, 4), (2 * START, 6), (2 * STOP, 8)}


def test_the_longer_gene_of_one_strand_wins_whatever_the_order() -> None:
    short, long = gene(1, ("cds", 0, 5)), gene(1, ("cds", 4, 12))
    for genes in ([short, long], [long, short]):
        states, _ = base_targets(genes, 13, [])
        assert states[0].tolist() == [1, 2, 3, 1, 1, 2, 3, 1, 2, 3, 1, 2, 3]


def test_coding_bases_of_a_nested_gene_win_over_the_intron_round_it() -> None:
    outer, inner = gene(1, ("cds", 0, 2), ("cds", 12, 14)), gene(1, ("cds", 5, 7))
    states, _ = base_targets([outer, inner], 15, [])
    assert states[0].tolist() == [1, 2, 3, 4, 4, 1, 2, 3, 4, 4, 4, 4, 1, 2, 3]


def test_ignored_intervals_spare_the_genes_of_their_strand() -> None:
    states, _ = base_targets([gene(1, ("cds", 0, 2))], 6, [(1, 5)])
    assert states[0].tolist() == [1, 2, 3, IGNORE, IGNORE, 0]
    assert states[1].tolist() == [0, IGNORE, IGNORE, IGNORE, IGNORE, 0]


def test_boundaries_of_all_isoforms_are_marked_and_the_first_is_painted() -> None:
    isoforms = WindowGene(
        "protein_coding",
        1,
        (WindowTranscript((Part("cds", 0, 5),)), WindowTranscript((Part("cds", 3, 5),))),
    )
    states, boundaries = base_targets([isoforms], 6, [])
    assert states[0].tolist() == [1, 2, 3, 1, 2, 3]
    assert marked(boundaries) == {(0, 0), (0, 3), (2 * STOP, 5)}


@st.composite
def contigs(draw: st.DrawFn) -> tuple[list[Gene], int]:
    """Genes with introns that do not overlap, and the contig's length."""
    genes, at = [], draw(st.integers(1, 5))
    for number in range(draw(st.integers(1, 3))):
        sizes = draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
        sizes[-1] += -sum(sizes) % 3
        spans = []
        for size in sizes:
            spans.append((at, at + size))
            at += size + draw(st.integers(1, 9))
        strand = draw(st.sampled_from([1, -1]))
        order = spans if strand > 0 else spans[::-1]
        before, phases = 0, {}
        for span in order:
            phases[span] = -before % 3
            before += span[1] - span[0]
        transcript = Transcript(
            id=f"t{number}",
            exons=tuple(Exon(*span) for span in spans),
            cds=tuple(Cds(*span, phases[span]) for span in spans),
        )
        genes.append(Gene(id=f"g{number}", contig="c", strand=strand, transcripts=(transcript,)))
    return genes, at + draw(st.integers(1, 5))


@pytest.mark.slow
@given(contigs(), st.data())
def test_a_window_shows_what_the_whole_contig_shows_there(drawn, data) -> None:
    genes, length = drawn
    index = GeneIndex(genes)
    whole, edges = base_targets(index.cut(0, length), length, [])
    start = data.draw(st.integers(0, length - 1))
    end = data.draw(st.integers(start + 1, length))
    states, boundaries = base_targets(index.cut(start, end), end - start, [])
    assert (states == whole[:, start:end]).all()
    # An exon that ends exactly at a cut edge: the intron and its splice site lie outside.
    inner = slice(1, end - start - 1)
    assert (boundaries[:, inner] == edges[:, start:end][:, inner]).all()
    turned, turned_edges = base_targets(index.cut(start, end, reverse=True), end - start, [])
    assert (turned == states[::-1, ::-1]).all()
    swapped = boundaries[[1, 0, 3, 2, 5, 4, 7, 6]][:, ::-1]
    assert (turned_edges == swapped).all()
