"""Label weights of a bake: genes that the grammar would not write have none, in any window."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from genet5.dataset.targets import GrammarCheck
from genet5.genome.gene import Cds, Exon, Gene, Transcript
from genet5.genome.sequence import encode_bases
from genet5.tokens.cut import GeneIndex, wrapped_genes
from genet5.tokens.grammar import prokaryote_options
from genet5.tokens.structure import encode_window
from genet5.tokens.vocabulary import StructureVocabulary
from genet5.tokens.window import WindowStructure

V = StructureVocabulary()
LEGAL, NO_START = "ATGAAAAAATAG", "CTGAAAAAATAG"
TEXT = "CC" + LEGAL + "CC" + NO_START + "CC"


def gene(start: int, end: int, name: str) -> Gene:
    transcript = Transcript(id=name, exons=(Exon(start, end),), cds=(Cds(start, end, 0),))
    return Gene(id=name, contig="c", strand=1, transcripts=(transcript,))


def weights(genes: list[Gene], start: int, end: int, text: str = TEXT) -> list[list[float]]:
    """Weights of the labels of each gene that the window shows."""
    index, bases = GeneIndex(wrapped_genes(genes, len(text))), encode_bases(text)
    check = GrammarCheck(index, bases, 11, prokaryote_options())
    shown = index.numbered_cut(start, end)
    labels = encode_window(WindowStructure(11, None, tuple(g for _, g in shown)), V)
    found = check.label_weights(labels, shown, V)
    assert found.dtype == np.float32
    assert len(found) == len(labels)
    begins = [*np.flatnonzero(labels >= V.first_type).tolist(), len(labels) - 1]
    outside = [*found[: begins[0]], found[-1]]
    assert outside == [1.0] * len(outside)
    return [found[a:b].tolist() for a, b in pairwise(begins)]


def test_all_labels_of_a_gene_with_a_violation_have_weight_0() -> None:
    found = weights([gene(2, 14, "legal"), gene(16, 28, "odd")], 0, len(TEXT))
    assert found == [[1.0] * 6, [0.0] * 6]


def test_a_violation_counts_in_windows_that_do_not_show_it() -> None:
    assert weights([gene(16, 28, "odd")], 20, len(TEXT)) == [[0.0] * 8]
    assert weights([gene(2, 14, "legal")], 6, len(TEXT)) == [[1.0] * 8]


def test_of_legal_genes_that_begin_alike_only_the_first_has_weight() -> None:
    found = weights([gene(2, 14, "one"), gene(2, 14, "same")], 0, len(TEXT))
    assert found == [[1.0] * 6, [0.0] * 6]


def test_a_gene_over_the_origin_is_checked_as_a_whole() -> None:
    text = LEGAL[6:] + "CC" + LEGAL[:6]
    assert weights([gene(8, 20, "over")], 0, 10, text) == [[1.0] * 8, [1.0] * 7]
    text = LEGAL[6:] + "CC" + NO_START[:6]
    assert weights([gene(8, 20, "over")], 0, 10, text) == [[0.0] * 8, [0.0] * 7]


def test_a_window_without_genes_has_weight_1_everywhere() -> None:
    check = GrammarCheck(GeneIndex([]), encode_bases(TEXT), 11, prokaryote_options())
    labels = encode_window(WindowStructure(11, None, ()), V)
    assert check.label_weights(labels, (), V).tolist() == [1.0, 1.0, 1.0]
