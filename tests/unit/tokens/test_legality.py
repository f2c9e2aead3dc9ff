"""What genes violate; and that the grammar refuses exactly the genes with a violation."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import make_gene
from genet5.genome.gene import Gene
from genet5.genome.sequence import decode_bases, encode_bases, reverse_complement
from genet5.tokens.cut import GeneIndex, wrapped_genes
from genet5.tokens.legality import violations
from genet5.tokens.rules import GrammarOptions, prokaryote_options
from genet5.tokens.structure import encode_window
from genet5.tokens.vocabulary import StructureVocabulary
from genet5.tokens.window import WindowStructure
from replay import automaton_accepts, first_illegal, view_violations
from views import reverse_gene

V = StructureVocabulary()
EUKARYOTE, PROKARYOTE = GrammarOptions(min_intron=6), prokaryote_options()


def violated(gene: Gene, bases, code, options):
    parts = [("cds", piece.start, piece.end) for piece in gene.canonical.cds]
    return violations(parts, gene.strand, bases, code, options)


def found(dna: str, *blocks: tuple[int, int], options=PROKARYOTE, code: int = 11):
    """Violations of a gene on `+`, which must be those of its mirror image on `-`."""
    gene, bases = make_gene(*blocks), encode_bases(dna)
    answer = violated(gene, bases, code, options)
    mirrored = reverse_gene(gene, len(dna))
    assert violated(mirrored, reverse_complement(bases), code, options) == answer
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


def test_the_genetic_code_defines_the_stops():
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


LEVELS = st.sampled_from(["strict", "splice_free", "off"])


@pytest.mark.slow
@given(
    genes_on_dna(),
    st.sampled_from([EUKARYOTE, replace(EUKARYOTE, at_ac=True), PROKARYOTE]),
    LEVELS,
    st.sampled_from([1, 4, 11]),
)
def test_automaton_and_replay_refuse_exactly_the_genes_with_a_violation(
    made: tuple[str, Gene], options, level, code
):
    dna, gene = made
    options = replace(options, level=level)
    bases = encode_bases(dna)
    index = GeneIndex([gene])
    violated_by = index.violations(0, bases, code, options)
    assert violated_by == violated(gene, bases, code, options)
    labels = encode_window(WindowStructure(code, None, index.cut(0, len(dna))), V)
    assert automaton_accepts(labels, bases, code, options) == (not violated_by)
    assert (first_illegal(labels, bases, code, options, V) is None) == (not violated_by)


@pytest.mark.slow
@given(genes_on_dna(), st.sampled_from([EUKARYOTE, PROKARYOTE]), LEVELS, st.data())
def test_what_a_window_shows_of_a_legal_gene_is_legal_with_open_ends(made, options, level, data):
    dna, gene = made
    options, bases = replace(options, level=level), encode_bases(dna)
    begin = data.draw(st.integers(0, len(dna) - 1))
    end = data.draw(st.integers(begin + 1, len(dna)))
    (shown, window) = GeneIndex([gene]).cut(begin, end), bases[begin:end]
    whole = violated(gene, bases, 1, options)
    for view in shown:
        cut = view_violations(view, window, 1, options)
        assert not cut or whole
        labels = encode_window(WindowStructure(1, None, shown), V)
        assert automaton_accepts(labels, window, 1, options) == (not cut)
        assert (first_illegal(labels, window, 1, options, V) is None) == (not cut)


def test_open_ends_may_begin_and_end_anywhere_in_a_codon_or_an_intron():
    bases = encode_bases("AAATGGTCC")  # ..A AAT GGT C..
    assert violations([("cds", 0, 9)], 1, bases, 11, PROKARYOTE) != ()
    ends = {"open_left": True, "open_right": True}
    assert violations([("cds", 0, 9)], 1, bases, 11, PROKARYOTE, frame=2, **ends) == ()
    assert violations([("cds", 0, 5)], 1, bases, 11, PROKARYOTE, frame=2, **ends) == ("intron",)
    assert violations([("cds", 0, 5)], 1, bases, 11, EUKARYOTE, frame=2, **ends) == ()
    assert violations([("cds", 0, 4)], 1, bases, 11, EUKARYOTE, frame=2, **ends) == ("splice site",)
    assert violations([], 1, bases, 11, EUKARYOTE, **ends) == ()
    assert violations([], 1, bases, 11, PROKARYOTE, **ends) == ("intron",)


def test_a_gene_over_the_origin_is_read_on():
    bases = encode_bases("AATAGCCATGC")  # ATG CAA TAG over the origin
    assert violations([("cds", 7, 16)], 1, bases, 11, PROKARYOTE) == ()
    gene = make_gene((7, 16))
    index = GeneIndex(wrapped_genes([gene], len(bases)))
    assert [index.violations(number, bases, 11, PROKARYOTE) for number in (0, 1)] == [(), ()]


@pytest.mark.parametrize(
    ("level", "expected"), [("strict", ("splice site",)), ("splice_free", ()), ("off", ())]
)
def test_levels_ask_for_splice_sites_or_not(level, expected):
    options = replace(EUKARYOTE, level=level)
    assert found("ATGACCCCCCAATAG", (0, 4), (10, 15), options=options) == expected


def test_at_level_off_only_order_and_introns_count():
    off, off_prokaryote = replace(EUKARYOTE, level="off"), replace(PROKARYOTE, level="off")
    assert found("CCCCCC", (0, 2), (3, 5), options=off) == ()
    assert found("CCCCCC", (0, 2), (3, 5), options=off_prokaryote) == ("intron",)
    assert found("CCCCCC", (0, 3), (2, 5), options=off) == ("frame shift",)


def test_parts_of_other_kinds_obey_splice_rules_only():
    bases = encode_bases("CCCCGTCCAGCCCCCCCCCC")
    assert violations([("exon", 0, 4), ("exon", 10, 12)], 1, bases, 1, EUKARYOTE) == ()
    shifted = [("exon", 0, 5), ("exon", 11, 12)]
    assert violations(shifted, 1, bases, 1, EUKARYOTE) == ("splice site",)
    utr = [("utr", 0, 4), ("utr", 10, 12), ("cds", 12, 15)]
    assert violations(utr, 1, bases, 1, EUKARYOTE) == ("length", "stop codon", "start codon")
