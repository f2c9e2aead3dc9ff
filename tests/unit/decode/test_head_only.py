"""Open reading frames that look coding and were not decoded."""

from __future__ import annotations

import numpy as np
import pytest

from genet5.decode.head_only import find_head_only
from genet5.genome.sequence import encode_bases, reverse_complement
from genet5.tokens.grammar import prokaryote_options
from genet5.tokens.signals import build_signals
from genet5.tokens.window import Part, WindowGene, WindowTranscript

GENE = "ATGGCA" + "AAAATG" + "GCAAAA" * 20 + "TAA"
TEXT = "CCCTAGCC" + GENE + "CCTTAG"
FIRST, LAST = 8, 8 + len(GENE) - 1


def tracks(strand: int, begin: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits of a coding region from `begin` to LAST of TEXT."""
    logits = np.full((2, 3, length), -6.0, dtype=np.float32)
    boundaries = np.full((8, length), -5.0, dtype=np.float32)
    for base in range(begin, LAST + 1):
        place = base if strand > 0 else length - 1 - base
        logits[0 if strand > 0 else 1, (base - FIRST) % 3, place] = 4.0
    return logits, boundaries


def candidates(bases, logits, boundaries, decoded=(), options=None):
    options = options or prokaryote_options()
    signals = build_signals([bases], [11], options)
    return find_head_only(signals, 0, options, logits, boundaries, decoded)


@pytest.mark.parametrize("strand", [1, -1])
@pytest.mark.parametrize("begin", [FIRST, FIRST + 9])
def test_a_coding_frame_is_found_with_its_best_start(strand: int, begin: int) -> None:
    bases = encode_bases(TEXT)
    logits, boundaries = tracks(strand, begin, len(bases))
    window = bases if strand > 0 else reverse_complement(bases)
    ((gene, evidence),) = candidates(window, logits, boundaries)
    (part,) = gene.transcripts[0].parts
    assert gene.strand == strand
    ends = (
        (part.first, part.last)
        if strand > 0
        else (len(bases) - 1 - part.last, len(bases) - 1 - part.first)
    )
    assert ends == (begin, LAST)
    assert evidence.coding == LAST + 1 - begin
    assert evidence.state == pytest.approx(4.0 * evidence.coding)


def test_decoded_genes_are_left_alone() -> None:
    bases = encode_bases(TEXT)
    logits, boundaries = tracks(1, FIRST, len(bases))
    for strand, first, last in ((1, FIRST + 9, LAST), (-1, FIRST - 3, LAST - 20)):
        gene = WindowGene(
            "protein_coding", strand, (WindowTranscript((Part("cds", first, last),)),)
        )
        assert candidates(bases, logits, boundaries, [gene]) == []


def test_nothing_is_found_without_evidence_or_bases() -> None:
    for text in (TEXT, "A", "ATGTAA"):
        bases = encode_bases(text)
        logits = np.full((2, 3, len(bases)), -6.0, dtype=np.float32)
        boundaries = np.zeros((8, len(bases)), dtype=np.float32)
        assert candidates(bases, logits, boundaries) == []


def test_starts_stops_and_level_are_those_of_the_options() -> None:
    bases = encode_bases(TEXT)
    logits, boundaries = tracks(1, FIRST, len(bases))
    only_gtg = prokaryote_options(start_codons=("GTG",))
    assert candidates(bases, logits, boundaries, options=only_gtg) == []
    for level, number in (("splice_free", 1), ("off", 0)):
        options = prokaryote_options(level=level)
        assert len(candidates(bases, logits, boundaries, options=options)) == number
