"""Why genes break the rules; and that the grammar breaks with exactly those genes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genet5.genome.gene import Cds, Exon, Gene, Transcript
from genet5.genome.sequence import decode_bases, encode_bases, reverse_complement
from genet5.tokens.cut import GeneIndex, reverse_gene
from genet5.tokens.legality import breaches
from genet5.tokens.replay import first_illegal
from genet5.tokens.rules import GrammarOptions, prokaryote_options
from genet5.tokens.structure import encode_window
from genet5.tokens.vocabulary import StructureVocabulary
from genet5.tokens.window import WindowStructure

V = StructureVocabulary()
EUKARYOTE, PROKARYOTE = GrammarOptions(min_intron=6), prokaryote_options()


def make_gene(*blocks: tuple[int, int], strand: int = 1) -> Gene:
    cds = tuple(Cds(start, end, 0) for start, end in blocks)
    exons = tuple(Exon(start, end) for start, end in blocks)
    transcript = Transcript(id="t", exons=exons, cds=cds)
    return Gene(id="g", contig="c", strand=strand, transcripts=(transcript,))


def found(dna: str, *blocks: tuple[int, int], options=PROKARYOTE, code: int = 11):
    """Breaches of a gene on `+`, which must be those of its mirror image on `-`."""
    gene, bases = make_gene(*blocks), encode_bases(dna)
    mirrored = reverse_gene(gene, len(dna))
    answer = breaches(gene, gene.canonical, bases, code, options)
    other = breaches(mirrored, mirrored.canonical, reverse_complement(bases), code, options)
    assert other == answer
    return answer


@pytest.mark.parametrize(
    ("coding", "expected"),
    [
        ("ATGAAATAG", ()),
        ("gtgaaatga", ()),
        ("ATGTAG", ()),
        ("CTGAAATAG", ("start codon",)),
        ("ATGAAAAAA", ("stop codon",)),
        ("ATGTGAAAATAG", ("internal stop",)),
        ("ATGAAATA", ("length", "stop codon")),
        ("ATGNNNTAG", ()),
        ("ANGAAATAG", ("ambiguous base",)),
        ("ATGAAATAR", ("ambiguous base",)),
        ("TAG", ("length", "start codon")),
        ("TG", ("length",)),
    ],
)
def test_codons_that_break_the_rules(coding: str, expected: tuple[str, ...]):
    assert found(f"CC{coding}CC", (2, 2 + len(coding))) == expected


def test_the_genetic_code_says_what_a_stop_is():
    assert found("ATGTGATAA", (0, 9), code=11) == ("internal stop",)
    assert found("ATGTGATAA", (0, 9), code=4) == ()


@pytest.mark.parametrize(
    ("intron", "expected"),
    [
        ("GTCCAG", ()),
        ("gcccag", ()),
        ("ATCCAC", ("AT-AC intron",)),
        ("ATCCAG", ("splice site",)),
        ("GTCCNG", ("ambiguous base",)),
        ("GTCAG", ("short intron",)),
    ],
)
def test_introns_that_break_the_rules(intron: str, expected: tuple[str, ...]):
    dna, end = f"ATGA{intron}AATAG", 4 + len(intron)
    assert found(dna, (0, 4), (end, end + 5), options=EUKARYOTE) == expected
    assert found(dna, (0, 4), (end, end + 5)) == ("intron",)


def test_at_ac_introns_are_legal_by_option():
    options = replace(EUKARYOTE, at_ac=True)
    assert found("ATGAATCCACAATAG", (0, 4), (10, 15), options=options) == ()


def test_pieces_that_overlap_or_nearly_touch_shift_the_frame():
    assert found("ATGAATAG", (0, 4), (3, 8)) == ("frame shift",)
    assert found("ATGACAATAG", (0, 4), (5, 10)) == ("frame shift",)
    assert found("ATGACAATAG", (0, 4), (5, 10), options=EUKARYOTE) == ("frame shift",)
    assert found("ATGAAATAG", (0, 6), (6, 9)) == ()


@st.composite
def genes_on_dna(draw: st.DrawFn) -> tuple[str, Gene]:
    """A gene that is legal more often than not, on DNA made around it."""
    codons = draw(st.lists(st.sampled_from(["AAA", "GCT", "TGA", "NCA"]), max_size=4))
    coding = draw(st.sampled_from(["ATG", "ATG", "TTG", "ANG"])) + "".join(codons)
    coding += draw(st.sampled_from(["TAA", "TGA", "AAA", "TA", "TRA"]))
    splits = sorted(draw(st.sets(st.integers(1, len(coding) - 1), max_size=3)))
    dna, blocks, before = draw(st.sampled_from(["", "C", "GG"])), [], 0
    for split in [*splits, len(coding)]:
        start = len(dna)
        dna += coding[before:split]
        blocks.append((start, len(dna)))
        donor = draw(st.sampled_from(["GT", "GT", "GC", "AT"]))
        middle, acceptor = "C" * draw(st.integers(1, 4)), draw(st.sampled_from(["AG", "AG", "AC"]))
        dna += f"{donor}{middle}{acceptor}" if split < len(coding) else ""
        before = split
    dna += draw(st.sampled_from(["", "A", "CC"]))
    gene = make_gene(*blocks)
    if draw(st.booleans()):
        return decode_bases(reverse_complement(encode_bases(dna))), reverse_gene(gene, len(dna))
    return dna, gene


@given(genes_on_dna(), st.sampled_from([EUKARYOTE, replace(EUKARYOTE, at_ac=True), PROKARYOTE]))
def test_the_grammar_refuses_exactly_the_genes_with_a_breach(made: tuple[str, Gene], options):
    dna, gene = made
    bases = encode_bases(dna)
    shown = GeneIndex([gene]).cut(0, len(dna))
    labels = encode_window(WindowStructure(1, None, shown), V)
    breach = breaches(gene, gene.canonical, bases, 1, options)
    assert (first_illegal(labels, bases, 1, options, V) is None) == (not breach)
