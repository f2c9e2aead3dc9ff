"""Drafts are mended: the gene at hand is completed, the genes after it follow."""

from __future__ import annotations

import numpy as np

from genet5.decode.draft import Closer, Drafter, Labels
from genet5.genome.sequence import encode_bases
from genet5.tokens.grammar import prokaryote_options
from genet5.tokens.signals import build_signals
from genet5.tokens.vocabulary import StructureVocabulary

V = StructureVocabulary()
CDS = V.first_type
PROMPT = [V.bos, V.code(11)]
TEXT = "CC" + "ATG" + "GCC" * 5 + "ATG" + "GCC" * 5 + "TAA" + "CC"
FIRST, SECOND, LAST = 2, 20, 40


def gene(strand: int, first: int, last: int) -> Labels:
    return [CDS, V.strand(strand), V.tx, V.cds, -1 - first, -1 - last]


def drafter_of(*genes: Labels, pool: tuple[Labels, ...] = (), closes: bool = False) -> Drafter:
    closer = None
    if closes:
        signals = build_signals([encode_bases(TEXT)], [11], prokaryote_options())
        closer = Closer(signals, np.zeros((1, 8, len(TEXT)), dtype=np.float32), V)
    return Drafter([list(genes)], [[*genes, *pool]], V, closer, is_spliced=not closes)


def mended(drafter: Drafter, at: int, label: int, chosen: Labels = ()) -> Labels:
    """The draft after the decoder wrote `label` in place of the draft's label number `at`."""
    draft = drafter.begin(0)
    written = [*PROMPT, *draft[:at], label]
    return drafter.mend(0, written, draft[at:], [label, *chosen])


A, B, C = gene(1, 100, 399), gene(-1, 500, 799), gene(1, 900, 1199)


def test_a_draft_holds_all_genes_and_the_end() -> None:
    assert drafter_of(A, B).begin(0) == [*A, *B, V.eos]


def test_a_moved_start_leaves_the_rest_of_the_draft() -> None:
    assert mended(drafter_of(A, B, C), 4, -1 - 130) == [A[5], *B, *C, V.eos]
    assert mended(drafter_of(A, B, C), 11, -1 - 700) == [*C, V.eos]


def test_later_starts_move_to_where_the_decoder_would_have_put_them() -> None:
    drafter, draft = drafter_of(A, B, C), [*A, *B, *C, V.eos]
    chosen = [*draft[5:11], -1 - 769, *draft[12:16], -1 - 930, *draft[17:]]
    assert mended(drafter, 4, -1 - 130, chosen) == [
        A[5],
        *gene(-1, 500, 769),
        *gene(1, 930, 1199),
        V.eos,
    ]


def test_a_gene_that_was_not_drafted_is_completed_from_the_pool() -> None:
    more = gene(-1, 420, 480)
    drafter = drafter_of(A, C, pool=(more,))
    assert mended(drafter, 7, V.minus) == [*more[2:], *C, V.eos]


def test_a_gene_that_the_decoder_left_out_is_not_drafted_again() -> None:
    assert mended(drafter_of(A, B, C), 7, V.plus) == [*C[2:], V.eos]


def test_what_is_not_known_is_left_open() -> None:
    draft = mended(drafter_of(A, C), 7, V.minus)
    assert draft == [V.tx, V.cds, V.pad, *C, V.eos]


def test_a_gene_may_end_in_a_start_codon_that_the_left_edge_cuts() -> None:
    """Reverse strand: base 0 is the first base of an ATG, whose others lie beyond the edge."""
    bases = encode_bases("T" + "GCC" * 9 + "TTA" + "GCC" * 9)
    options = prokaryote_options()
    signals = build_signals([bases], [11], options)
    closer = Closer(signals, np.zeros((1, 8, len(bases)), dtype=np.float32), V)
    begun = [CDS, V.minus, V.tx, V.cut_left, V.frame_0]
    assert closer.complete(0, begun) == [V.cds, -1, -1]


def test_a_frame_is_closed_at_its_stop() -> None:
    drafter = drafter_of(gene(-1, 10, 30), closes=True)
    written = [*PROMPT, *gene(1, SECOND, LAST)[:5]]
    assert drafter.mend(0, written, [], [])[:1] == [-1 - LAST]
    written = [*PROMPT, CDS, V.plus, V.tx, V.cut_left, V.frame_0 + 2]
    assert drafter.mend(0, written, [], [])[0] == V.cds
