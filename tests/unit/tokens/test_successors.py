"""The table of successors against written windows."""

from itertools import pairwise

from genet5.tokens.structure import encode_window
from genet5.tokens.successors import successors
from genet5.tokens.vocabulary import StructureVocabulary
from genet5.tokens.window import Part, WindowGene, WindowStructure, WindowTranscript

GENES = (
    WindowGene("protein_coding", -1, (WindowTranscript((), True, True, 1),)),
    WindowGene(
        "protein_coding",
        1,
        (
            WindowTranscript((Part("cds", 0, 9),), cut_left=True, frame=2),
            WindowTranscript((Part("utr", 0, 3), Part("cds", 4, 9)), cut_left=True),
        ),
    ),
    WindowGene("tRNA", 1, (WindowTranscript((Part("exon", 5, 9), Part("exon", 30, 39))),)),
    WindowGene("protein_coding", 1, (WindowTranscript((Part("cds", 50, 99),), cut_right=True),)),
)


def token_pairs(labels, num_tokens):
    """(row of the table, token) for each token but the first."""
    for before, label in pairwise(labels):
        if label >= 0:
            yield (before if before >= 0 else num_tokens), label


def test_every_written_token_is_a_successor_of_the_label_before_it():
    vocabulary = StructureVocabulary()
    table = successors(len(vocabulary))
    for clade in (None, "plants"):
        for genes in (GENES, GENES[:1], ()):
            labels = encode_window(WindowStructure(11, clade, genes), vocabulary).tolist()
            assert all(table[pair] for pair in token_pairs(labels, len(vocabulary)))


def test_nothing_follows_the_end_and_only_positions_follow_a_kind():
    vocabulary = StructureVocabulary()
    table = successors(len(vocabulary))
    for token in (vocabulary.pad, vocabulary.eos, vocabulary.cds, vocabulary.utr, vocabulary.exon):
        assert not table[token].any()
    assert not table[:, [vocabulary.pad, vocabulary.bos]].any()


def test_appended_gene_types_stand_where_gene_types_stand():
    vocabulary = StructureVocabulary().appended(("snoRNA",))
    table = successors(len(vocabulary))
    first, added = vocabulary.first_type, vocabulary.gene_type("snoRNA")
    assert (table[:, added] == table[:, first]).all()
    assert (table[added] == table[first]).all()
