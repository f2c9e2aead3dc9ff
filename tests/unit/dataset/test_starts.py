"""Start codons of one stop, and what is taken out of the targets where they are unsure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from genet5.dataset.collate import collate
from genet5.dataset.per_base import IGNORE, START, STOP
from genet5.dataset.starts import NUM_RIVALS, find_starts, start_keys
from genet5.dataset.windows import Window
from genet5.genome.sequence import encode_bases, reverse_complement
from genet5.tokens.sequence import KmerTokenizer
from genet5.tokens.structure import decode_window, encode_window
from genet5.tokens.vocabulary import StructureVocabulary
from genet5.tokens.window import Part, WindowGene, WindowStructure, WindowTranscript

VOCABULARY = StructureVocabulary()
#       0  3  6  9  12 15 18 21 24 27 30
TEXT = "ATGTAAGTGCCCATGCCCTTGCCCATGCCCTAAC"
FIRST, LAST = 12, 32  # ATG ... TAA; in frame: ATG 0 (beyond a stop), GTG 6, TTG 18, ATG 24
UPSTREAM = WindowGene("protein_coding", 1, (WindowTranscript((Part("cds", 1, 6),)),))
"""Ends on the first base of GTG 6."""


def gene(first: int = FIRST, last: int = LAST, strand: int = 1, **cut) -> WindowGene:
    return WindowGene(
        "protein_coding", strand, (WindowTranscript((Part("cds", first, last),), **cut),)
    )


def window(*genes: WindowGene, strand: int = 1) -> Window:
    """TEXT or its reverse complement with genes given as on TEXT's strand."""
    bases = encode_bases(TEXT)
    if strand < 0:
        bases, size = reverse_complement(bases), len(TEXT)
        genes = tuple(
            gene(
                size - 1 - g.transcripts[0].parts[0].last,
                size - 1 - g.transcripts[0].parts[0].first,
                -1,
            )
            for g in reversed(genes)
        )
    ids, starts = KmerTokenizer(3).encode(bases)
    labels = encode_window(WindowStructure(11, None, genes), VOCABULARY)
    return Window(
        bases=bases, input_ids=ids, token_start_bp=starts, labels=labels,
        label_weights=np.ones(len(labels), dtype=np.float32), genetic_code=11,
        clade="prokaryotes", genome="g", contig="c", start=0, strand=strand,
    )  # fmt: skip


def genes_of(shown: Window) -> tuple[WindowGene, ...]:
    return decode_window(shown.labels, VOCABULARY).genes


def unsure(shown: Window, index: int = 0) -> Window:
    """The window with the start of gene `index` unsure."""
    found = find_starts(shown, genes_of(shown), VOCABULARY)
    weights = shown.label_weights.copy()
    weights[found[index].at.label] = 0
    return replace(shown, label_weights=weights)


def per_strand(array: np.ndarray, strand: int) -> list[int]:
    """A row in the reading direction of the strand."""
    return array.tolist()[::strand]


@pytest.mark.parametrize("strand", [1, -1])
def test_rivals_are_in_frame_between_the_stop_upstream_and_half_the_gene(
    strand: int,
) -> None:
    shown = window(gene(), strand=strand)
    (found,) = find_starts(shown, genes_of(shown), VOCABULARY)
    where = [found.at.base, *found.rivals.tolist()]
    if strand < 0:
        where = [len(TEXT) - 1 - base for base in where]
    assert where == [12, 6, 18]  # 24 would leave less than half of the gene
    assert shown.labels[found.at.label] == -1 - found.at.base


def test_a_gene_that_the_edge_cuts_has_no_start() -> None:
    shown = window(gene(0, 10, cut_left=True, frame=0))
    assert find_starts(shown, genes_of(shown), VOCABULARY) == []


def test_keys_hold_base_and_strand_with_the_true_start_first() -> None:
    for strand in (1, -1):
        shown = window(gene(), strand=strand)
        (keys,) = start_keys(find_starts(shown, genes_of(shown), VOCABULARY), genes_of(shown))
        bases = [12, 6, 18] if strand > 0 else [21, 27, 15]
        expected = [2 * base + (strand < 0) for base in bases]
        assert keys.tolist() == expected + [-1] * (NUM_RIVALS - 2)


@pytest.mark.parametrize("strand", [1, -1])
def test_an_unsure_start_leaves_states_open_from_the_first_to_the_last_candidate(strand) -> None:
    targets = collate([unsure(window(gene(), strand=strand))]).targets
    side = int(strand < 0)
    states = per_strand(targets.states[0, side].numpy(), strand)
    sure = per_strand(
        collate([window(gene(), strand=strand)]).targets.states[0, side].numpy(), strand
    )
    assert states == sure[:6] + [IGNORE] * 12 + sure[18:]
    starts = per_strand(targets.boundaries[0, 2 * START + side].numpy(), strand)
    assert starts == [0] * 6 + [IGNORE] * 13 + [0] * 15
    stops = per_strand(targets.boundaries[0, 2 * STOP + side].numpy(), strand)
    assert [base for base, is_stop in enumerate(stops) if is_stop] == [LAST]


def test_what_a_neighbour_covers_for_sure_keeps_its_state_and_its_stop() -> None:
    targets = collate([unsure(window(UPSTREAM, gene()), 1)]).targets
    states = targets.states[0, 0].tolist()
    assert states[1:7] == [1, 2, 3, 1, 2, 3]  # base 6 lies between the candidates
    assert states[7:18] == [IGNORE] * 11
    assert targets.boundaries[0, 2 * STOP, 6] == 1
    assert targets.boundaries[0, 2 * START, 1] == 1


def test_a_weightless_gene_is_illegal_and_not_unsure() -> None:
    shown = window(gene())
    illegal = replace(shown, label_weights=np.zeros_like(shown.label_weights))
    assert (collate([illegal]).targets.states != IGNORE).all()


def test_bases_weigh_as_their_gene_does_if_it_weighs_more_than_others() -> None:
    shown = window(gene())
    heavy = replace(shown, label_weights=np.full_like(shown.label_weights, 3))
    weights = collate([heavy]).targets.base_weights[0]
    assert weights[0].tolist() == [1.0] * FIRST + [3.0] * (LAST + 1 - FIRST) + [1.0]
    assert (weights[1] == 1).all()
    light = replace(shown, label_weights=np.zeros_like(shown.label_weights))
    assert (collate([light]).targets.base_weights == 1).all()
