"""The grammar's rules, one small window each."""

from __future__ import annotations

import numpy as np
import pytest

from genet5.errors import ConfigError, DataError
from genet5.genome.sequence import decode_bases, encode_bases, reverse_complement
from genet5.tokens.grammar import (
    Grammar,
    GrammarOptions,
    prokaryote_options,
)
from genet5.tokens.vocabulary import StructureVocabulary
from replay import first_illegal, legal_weights

V = StructureVocabulary()
IDS = {token: i for i, token in enumerate(V.tokens)}
GENE = "protein_coding"
PROKARYOTE = prokaryote_options()
EUKARYOTE = GrammarOptions(min_intron=6)


def labels(text):
    """Labels of a text.

    Numbers are bases, `cds` stands for <cds>, `f1` for <frame_1>, `gene` for protein_coding.
    """
    short = {"gene": GENE, "f0": "<frame_0>", "f1": "<frame_1>", "f2": "<frame_2>"}
    short["none"] = "<frame_none>"
    found = []
    for word in text.split():
        token = short.get(word, word if word in IDS else f"<{word}>")
        found.append(-1 - int(word) if word.isdigit() else IDS[token])
    return found


def grammar_after(dna, text, options=PROKARYOTE, code=11):
    """The grammar of one window after the labels of `text`."""
    grammar = Grammar([encode_bases(dna)], [code], options, V)
    for label in labels(text):
        grammar.advance([label])
    return grammar


def offered(dna, text, options=PROKARYOTE, code=11):
    """What may follow `text`: bases, or tokens without their brackets."""
    grammar = grammar_after(dna, text, options, code)
    if grammar.wants_position[0]:
        return np.flatnonzero(grammar.legal_positions()[0]).tolist()
    return {V.tokens[i].strip("<>") for i in np.flatnonzero(grammar.legal_tokens()[0])}


def flipped(dna):
    return decode_bases(reverse_complement(encode_bases(dna)))


FORWARD = "CCATGAAATAGCC"
REVERSE = flipped(FORWARD)


def test_a_window_may_be_empty_or_begin_with_a_gene():
    assert offered(FORWARD, "") == {"eos", GENE}
    assert offered(FORWARD, "eos") == {"pad"}


def test_a_gene_begins_with_a_start_codon_and_ends_with_its_first_stop():
    assert offered(FORWARD, "gene + tx cds") == [2]
    assert offered(FORWARD, "gene + tx cds 2") == [10]
    assert offered(FORWARD, "gene + tx cds 2 10") >= {"eos"}
    assert "cut_right" not in offered(FORWARD, "gene + tx cds 2 10")


def test_on_the_reverse_strand_the_stop_comes_first():
    assert offered(REVERSE, "gene - tx cds") == [2, 7]  # TCA at 7 reads to the edge
    assert offered(REVERSE, "gene - tx cds 2") == [10, 12]


def test_on_the_reverse_strand_a_stop_needs_a_start_or_the_edge():
    #      CTA TTT CTA: the second stop bars the first one's gene from any start
    assert offered("GGCTATTTCTAGG", "gene - tx cds") == [8]
    assert offered("GGCTATTTCTAGG", "gene - tx cds 8") == [12]
    assert offered("GGCTATTTCTAGG", "gene - tx cds 8 12") == {"cut_right"}


def test_on_the_reverse_strand_every_start_before_the_next_stop_is_an_end():
    assert offered("CTACATCATAAACATCTACATGG", "gene - tx cds 0") == [5, 8, 14]


def test_lower_case_counts_and_ambiguous_codons_are_neither_start_nor_stop():
    assert offered("ccatgaaatagcc", "gene + tx cds 2") == [10]
    assert offered("CCATGTNGTARTAGCC", "gene + tx cds 2") == [13]
    assert offered("CCANGAAATAGCC", "gene + tx") == {"cut_left"}


def test_the_genetic_code_decides_what_stops():
    dna = "CCATGTGAAAATAACC"
    assert offered(dna, "gene + tx cds 2", code=11) == [7]
    assert offered(dna, "gene + tx cds 2", code=4) == [13]


def test_start_codons_are_an_option():
    dna = "CCGTGAAATAGCC"
    assert offered(dna, "gene + tx cds") == [2]
    assert "+" in offered(dna, "gene")
    assert offered(dna, "gene + tx", prokaryote_options(start_codons=("ATG",))) == {"cut_left"}


def test_a_gene_without_stop_in_the_window_is_cut_at_its_right_edge():
    assert offered("CCATGAAAAA", "gene + tx cds 2") == [9]
    assert offered("CCATGAAAAA", "gene + tx cds 2 9") == {"cut_right"}


def test_a_start_codon_may_be_cut_by_the_right_edge():
    assert offered("CCCCCAT", "gene + tx cds", prokaryote_options(start_codons=("ATG",))) == [5]


def test_a_gene_cut_left_begins_at_base_0_in_its_frame():
    dna = "CCATAGCATAAC"
    assert offered(dna, "gene + tx") == {"cut_left"}
    assert offered(dna, "gene + tx cut_left") == {"frame_0", "frame_1", "frame_2"}
    assert offered(dna, "gene + tx cut_left f0 cds") == [0]
    assert offered(dna, "gene + tx cut_left f0 cds 0") == [5]
    assert offered(dna, "gene + tx cut_left f1 cds 0") == [10]
    assert offered(dna, "gene + tx cut_left f2 cds 0") == [11]


def test_a_stop_codon_may_be_cut_by_the_left_edge():
    assert offered("AACCCC", "gene + tx cut_left f1 cds 0") == [1, 5]  # T|AA, or A|AA
    assert offered("GCCCCC", "gene + tx cut_left f2 cds 0") == [0, 5]  # TA|G


def test_on_the_reverse_strand_a_frame_is_offered_only_if_its_gene_can_be_completed():
    # read left to right, CTA stops: at 0 in frame 2, at 7 in frame 0; frame 1 reads to the edge
    atg = prokaryote_options(start_codons=("ATG",))
    assert offered("CTACTAACTA", "gene - tx cut_left", atg) == {"frame_1"}
    # with GTG in the set, C may be the last base of a start codon (CAC) that the edge cuts
    assert offered("CTACTAACTA", "gene - tx cut_left") == {"frame_0", "frame_1"}
    assert offered("CTACTAACTA", "gene - tx cut_left f0 cds 0") == [0]


def test_genes_come_in_order_and_never_twice():
    dna = FORWARD + FORWARD
    assert offered(dna, "gene + tx cds") == [2, 15]
    assert offered(dna, "gene + tx cds 2 10 gene + tx cds") == [15]
    assert offered(dna, "gene + tx cds 15 23 gene") == {"-"}
    assert offered(dna, "gene + tx cds 15 23 gene - tx cds") == [25]  # CTA or so, cut by the edge


def test_introns_need_their_splice_sites_and_their_length():
    #      ATG GT CCCCC AG AAA TAG
    dna = "CCATGGTCCCCCAGAAATAGCC"
    assert offered(dna, "gene + tx cds 2", EUKARYOTE) == [4, 18, 19]  # GC after 18
    assert offered(dna, "gene + tx cds 2 4", EUKARYOTE) == {"cds", "cut_right"}
    assert offered(dna, "gene + tx cds 2 4 cds", EUKARYOTE) == [14, 20]
    assert offered(dna, "gene + tx cds 2 4 cds 14", EUKARYOTE) == [18, 19]
    assert offered(dna, "gene + tx cds 2 4 cds 14 19", EUKARYOTE) >= {"eos"}
    assert offered(dna, "gene + tx cds 2 4", GrammarOptions(min_intron=16)) == {"cut_right"}
    assert offered(dna, "gene + tx cds 2", PROKARYOTE) == [19]


def test_introns_on_the_reverse_strand_are_mirrored():
    dna = flipped("CCATGGTCCCCCAGAAATAGCC")
    assert offered(dna, "gene - tx cds 2 7 cds", EUKARYOTE) == [17]
    assert 19 in offered(dna, "gene - tx cds 2 7 cds 17", EUKARYOTE)


@pytest.mark.parametrize(
    ("donor", "acceptor", "plain", "with_at_ac"),
    [
        ("GT", "AG", True, True),
        ("GC", "AG", True, True),
        ("AT", "AC", False, True),
        ("GT", "AC", False, False),
        ("AT", "AG", False, False),
        ("GG", "AG", False, False),
    ],
)
def test_splice_sites_go_in_pairs(donor, acceptor, plain, with_at_ac):
    dna = f"CCATG{donor}CCCCC{acceptor}CCCTAGCC"
    gene = labels("gene + tx cds 2 4 cds 14 19")
    row = [V.bos, V.code(1), *gene, V.eos]
    for at_ac, legal in ((False, plain), (True, with_at_ac)):
        options = GrammarOptions(min_intron=6, at_ac=at_ac)
        assert (first_illegal(row, encode_bases(dna), 1, options, V) is None) == legal
    free = GrammarOptions(level="splice_free", min_intron=6)
    assert first_illegal(row, encode_bases(dna), 1, free, V) is None


def test_a_stop_codon_split_by_an_intron_stops():
    dna = "CCATGTGTCCCCCAGAATTTTT"  # ATG T|GT CCCCC AG|AA
    assert offered(dna, "gene + tx cds 2 5 cds", EUKARYOTE) == [15]
    assert offered(dna, "gene + tx cds 2 5 cds 15", EUKARYOTE) == [16]
    assert offered(dna, "gene + tx cds 2 5 cds 15 16", EUKARYOTE) == {"eos", GENE}


def test_a_start_codon_may_be_split_by_an_intron():
    dna = "CCAGTCCCCCAGTGAAATAGCC"  # A|GT CCCCC AG|TG
    assert 2 in offered(dna, "gene + tx cds", EUKARYOTE)
    assert offered(dna, "gene + tx cds 2", EUKARYOTE) == [2]
    assert offered(dna, "gene + tx cds 2 2 cds", EUKARYOTE) == [12]
    assert 19 in offered(dna, "gene + tx cds 2 2 cds 12", EUKARYOTE)


def test_a_window_may_lie_wholly_in_an_intron():
    assert "cut_right" in offered("CCCCCCCC", "gene - tx cut_left f1", EUKARYOTE)
    assert offered("CCCCCCCC", "gene - tx cut_left f1 cut_right", EUKARYOTE) == {"eos", GENE}
    assert "cut_right" not in offered("CCCCCCCC", "gene + tx cut_left f1", PROKARYOTE)


def test_a_gene_cut_in_an_intron_begins_after_an_acceptor():
    dna = "GCCCAGCCCC"  # base 0 may be the G of an AG whose A lies outside
    assert offered(dna, "gene + tx cut_left f0 cds", EUKARYOTE) == [0, 1, 6]


def test_utr_parts_touch_the_cds_without_splice_rule():
    options = GrammarOptions(min_intron=6, utr=True)
    row = [V.bos, V.code(1), *labels("gene + tx utr 0 1 cds 2 10 utr 11 12"), V.eos]
    assert first_illegal(row, encode_bases(FORWARD), 1, options, V) is None
    assert first_illegal(row, encode_bases(FORWARD), 1, EUKARYOTE, V) == 5
    assert offered(FORWARD, "gene + tx utr 0 1 cds", options) == [2]


def test_parts_of_other_types_obey_order_and_splice_rules_only():
    options = GrammarOptions(min_intron=6, gene_types=("tRNA",))
    dna = "CCCCGTCCCCAGCC"
    assert offered(dna, "tRNA - tx", options) == {"exon", "cut_left"}
    assert offered(dna, "tRNA + tx exon 0", options) == list(range(14))
    assert offered(dna, "tRNA + tx exon 0 3", options) == {"eos", "tRNA", "exon", "cut_right"}
    assert offered(dna, "tRNA + tx exon 0 3 exon", options) == [12]
    assert offered(dna, "tRNA + tx exon 0 4", options) == {"eos", "tRNA"}


def test_isoforms_are_offered_up_to_their_number():
    two = GrammarOptions(min_intron=6, isoforms=2)
    assert "tx" in offered(FORWARD, "gene + tx cds 2 10", two)
    assert "tx" not in offered(FORWARD, "gene + tx cds 2 10 tx cds 2 10", two)
    assert "tx" not in offered(FORWARD, "gene + tx cds 2 10", EUKARYOTE)


def test_no_gene_begins_that_the_labels_left_could_not_close():
    assert offered(FORWARD * 3, "gene + tx cds 2 10") == {"eos", GENE}
    tight = prokaryote_options(max_labels=17)
    assert offered(FORWARD * 3, "gene + tx cds 2 10", tight) == {"eos"}


def test_off_knows_the_language_but_not_the_dna():
    off = prokaryote_options(level="off")
    assert offered("CCCCC", "gene - tx cds", off) == [0, 1, 2, 3, 4]
    assert offered("CCCCC", "gene - tx cds 2", off) == [2, 3, 4]
    assert offered("CCCCC", "gene - tx cds 2 3", off) == {"eos", GENE}


def test_prompts_name_the_code_and_the_clade():
    windows = [encode_bases("ACGT")] * 2
    grammar = Grammar(windows, [11, 4], PROKARYOTE, V, clades=["prokaryotes", None])
    assert grammar.prompt == [[V.bos, V.code(11), V.clade("prokaryotes")], [V.bos, V.code(4)]]


def test_rows_of_a_batch_can_be_dropped_and_repeated():
    windows = [encode_bases(dna) for dna in ("CCCCCCCC", FORWARD, REVERSE + "CCC")]
    grammar = Grammar(windows, [11] * 3, PROKARYOTE, V)
    start = labels("gene + tx cds 2")
    for plus in start[:2]:
        grammar.advance([V.eos, plus, plus if plus != V.plus else V.minus])
    assert grammar.finished.tolist() == [True, False, False]
    grammar.keep([2, 1, 1])
    for label in start[2:]:
        grammar.advance([label] * 3)
    masks = grammar.legal_positions()
    assert masks.shape == (3, 16)
    assert [np.flatnonzero(mask).tolist() for mask in masks] == [[10, 15], [10], [10]]
    assert grammar.wants_position.all()
    assert not grammar.legal_tokens().any()


@pytest.mark.parametrize("label", [V.bos, V.plus, -1, -100, 10_000])
def test_an_illegal_label_is_refused_and_changes_nothing(label):
    grammar = grammar_after(FORWARD, "gene + tx cds")
    with pytest.raises(DataError, match=f"label {label} in row 0"):
        grammar.advance([label])
    grammar.advance([-1 - 2])


def test_weights_are_zero_on_refused_genes_only():
    gene, spoilt = labels("gene + tx cds 2 10"), labels("gene + tx cds 15 22")
    head, tail = [V.bos, V.code(11)], [V.eos, V.pad]
    row = head + gene + spoilt + labels("gene + tx cds 28 36") + tail
    weights = legal_weights(row, encode_bases(FORWARD * 3), 11, PROKARYOTE, V)
    assert weights.dtype == np.float32
    assert weights.tolist() == [1.0] * 8 + [0.0] * 6 + [1.0] * 7 + [0.0]


@pytest.mark.parametrize(
    ("row", "index"),
    [
        ([V.bos, V.code(11), V.eos, V.pad], None),
        ([V.bos, V.code(11), V.clade("plants"), V.eos], None),
        ([V.bos, V.code(4), V.eos], 1),
        ([V.eos], 0),
        ([], 0),
        ([V.bos], 1),
        ([V.bos, V.code(11)], 2),
        ([V.bos, V.code(11), V.eos, V.eos], 3),
        ([V.bos, V.code(11), *labels("gene + tx cds 2 10")], 8),
        ([V.bos, V.code(11), *labels("gene + tx cds 2 11"), V.eos], 7),
    ],
)
def test_the_first_illegal_label_is_found(row, index):
    assert first_illegal(row, encode_bases(FORWARD), 11, PROKARYOTE, V) == index


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("level", "lax"),
        ("start_codons", ("ATX",)),
        ("start_codons", ()),
        ("gene_types", ()),
        ("min_intron", 0),
        ("isoforms", 0),
        ("max_labels", 9),
    ],
)
def test_options_outside_their_rule_are_refused(field, value):
    with pytest.raises(ConfigError, match=field):
        GrammarOptions(**{field: value})


def test_windows_must_have_bases_and_match_their_codes():
    with pytest.raises(DataError, match="without bases"):
        Grammar([encode_bases("")], [11], PROKARYOTE, V)
    with pytest.raises(DataError, match="genetic codes"):
        Grammar([encode_bases("A")], [11, 4], PROKARYOTE, V)
