"""Joined genes keep the rules of the grammar."""

from __future__ import annotations

from dataclasses import replace

import pytest

from genet5.annotate.candidate import GeneCandidate
from genet5.annotate.select import candidate_violations, gene_of
from genet5.decode.fragment import Interval
from genet5.genome.codes import genetic_code
from genet5.genome.extract import protein
from genet5.genome.sequence import Bases, encode_bases, reverse_complement
from genet5.tokens.grammar import GrammarOptions, prokaryote_options

SPLICED = GrammarOptions(min_intron=6)
UNSPLICED = prokaryote_options()


def candidate(strand: int, *blocks: tuple[int, int], **changes) -> GeneCandidate:
    parts = tuple(Interval("cds", *block) for block in blocks)
    whole = GeneCandidate("protein_coding", strand, parts, 0 if strand > 0 else 2)
    return replace(whole, **changes)


def both(text: str, *blocks: tuple[int, int]) -> list[tuple[Bases, GeneCandidate]]:
    """A gene on the forward strand and its mirror image."""
    bases = encode_bases(text)
    turned = [(len(bases) - b, len(bases) - a) for a, b in reversed(blocks)]
    return [(bases, candidate(1, *blocks)), (reverse_complement(bases), candidate(-1, *turned))]


@pytest.mark.parametrize(
    ("text", "legal"),
    [
        ("ccATGAAATAAcc", True),
        ("ccgtgaaatgacc", True),
        ("ccCTGAAATAAcc", False),
        ("ccATGTAATAAcc", False),
        ("ccATGAAAAAAcc", False),
        ("ccATGNNNTAAcc", True),
        ("ccNTGAAATAAcc", False),
    ],
)
def test_a_gene_reads_from_start_to_first_stop(text: str, legal: bool) -> None:
    for bases, gene in both(text, (2, 11)):
        assert (not candidate_violations(gene, bases, 11, UNSPLICED)) == legal
        assert not candidate_violations(gene, bases, 11, GrammarOptions(level="off"))


def test_the_genetic_code_counts() -> None:
    for bases, gene in both("ccATGTGATAAcc", (2, 11)):
        assert not candidate_violations(gene, bases, 4, UNSPLICED)
        assert candidate_violations(gene, bases, 11, UNSPLICED)


@pytest.mark.parametrize(
    ("intron", "legal"),
    [("GTccAG", True), ("gcccag", True), ("ATccAC", False), ("GTAG", False), ("GTccAC", False)],
)
def test_introns_have_splice_sites_and_a_length(intron: str, legal: bool) -> None:
    text = f"ATGA{intron}AATAA"
    blocks = ((0, 4), (4 + len(intron), len(text)))
    for bases, gene in both(text, *blocks):
        assert (not candidate_violations(gene, bases, 11, SPLICED)) == legal
        assert candidate_violations(gene, bases, 11, UNSPLICED)


def test_a_stop_codon_split_by_an_intron_is_found() -> None:
    text = "ATGT" + "GTccAG" + "AAAAATAA"
    for bases, gene in both(text, (0, 4), (10, 18)):
        assert candidate_violations(gene, bases, 11, SPLICED)


@pytest.mark.parametrize("cut", [0, 1, 2])
def test_partial_genes_are_read_in_their_frame(cut: int) -> None:
    whole = "ATGTCTGATAAACCCGGGTAA"  # other frames hold stops
    for strand in (1, -1):
        bases = encode_bases(whole[cut:])
        end = len(bases)
        gene = candidate(1, (0, end), frame=cut, partial_left=True)
        if strand < 0:
            bases = reverse_complement(bases)
            gene = candidate(-1, (0, end), partial_right=True)
        made = gene_of(gene, "c", "g", 0.5, 11)
        assert made.canonical.partial_5
        assert made.canonical.cds[0].phase == (-cut) % 3
        text = protein(bases, made, made.canonical, genetic_code(11))
        assert text == ("MSDKPG" if cut == 0 else "SDKPG")
        assert not candidate_violations(gene, bases, 11, UNSPLICED)


@pytest.mark.parametrize("cut", [0, 1, 2])
def test_genes_without_their_3_end(cut: int) -> None:
    bases = encode_bases("ATGTCTGATAAACCC"[: 15 - cut])
    gene = candidate(1, (0, len(bases)), partial_right=True)
    assert not candidate_violations(gene, bases, 11, UNSPLICED)
    turned = candidate(-1, (0, len(bases)), partial_left=True, frame=(2 - cut) % 3)
    assert not candidate_violations(turned, reverse_complement(bases), 11, UNSPLICED)
    assert gene_of(turned, "c", "g", 0.5, 11).canonical.partial_3


def test_a_genes_score_includes_that_of_its_start() -> None:
    starts = ((7, 0.6), (13, 0.3), (1, 0.0999), (19, 0.00001))
    gene = candidate(1, (7, 70), starts=starts, start_score=0.6)
    made = gene_of(gene, "c", "g", 0.5, 11, start_alternatives=5)
    assert (made.score, made.start_score) == (0.3, 0.6)
    assert made.start_alternatives == ((6, 0.3), (-6, 0.0999))
    assert gene_of(gene, "c", "g", 0.5, 11, start_alternatives=1).start_alternatives == ((6, 0.3),)


def test_other_starts_count_in_reading_direction() -> None:
    starts = ((69, 0.6), (63, 0.3), (75, 0.1))
    gene = candidate(-1, (7, 70), starts=starts, start_score=0.6)
    made = gene_of(gene, "c", "g", 1.0, 11, start_alternatives=2)
    assert made.start_alternatives == ((6, 0.3), (-6, 0.1))


def test_a_gene_whose_start_has_no_probability_keeps_its_score() -> None:
    made = gene_of(candidate(1, (7, 70)), "c", "g", 0.5, 11, start_alternatives=2)
    assert (made.score, made.start_score, made.start_alternatives) == (0.5, None, ())
