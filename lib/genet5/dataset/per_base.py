"""Per-base targets of a window: a state for each strand, and the boundaries between states.

States of a base, one row for each strand: 0 intergenic; 1, 2, 3 the three positions of a codon in
reading direction; 4, 5, 6 an intron with k coding bases before it, by k % 3; 7 any other exonic
base (UTR, exons of non-coding genes). Where genes of one strand overlap, coding wins over other
exonic bases and these over introns; among equals the longer gene wins. States follow the first
(canonical) transcript; boundaries are marked for every transcript.

Boundary row 2 * kind + (strand < 0) with kind 0 start, 1 stop, 2 donor, 3 acceptor. The base marked
is the one that a position label names: the first base of the start codon, the last base of the stop
codon, the last exon base before an intron and the first exon base after it, all in reading
direction. Cut ends are no boundaries.

Cost: one slice assignment for each part of a transcript and one for each intron (about 0.1 ms for 6
kb of bacteria).

Example:
    >>> from genet5.tokens.window import Part, WindowTranscript
    >>> gene = WindowGene("protein_coding", 1, (WindowTranscript((Part("cds", 1, 6),)),))
    >>> states, boundaries = base_targets([gene], 9, [])
    >>> states[0].tolist(), [int(row.argmax()) for row in boundaries[[0, 2]]]
    ([0, 1, 2, 3, 1, 2, 3, 0, 0], [1, 6])
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from genet5.genome.frames import (
    base_on_strand,
    five_three,
    frame_to_right,
    frames_to_right,
    leftmost_frame,
    strand_index,
)
from genet5.tokens.window import Part, WindowGene, WindowTranscript

INTERGENIC = 0
FIRST_CODING = 1
FIRST_INTRON = 4
OTHER_EXONIC = 7
NUM_STATES = 8
IGNORE = -100
"""Target of a base that takes no part in the loss."""
START, STOP, DONOR, ACCEPTOR = range(4)
NUM_BOUNDARIES = 8

_LONGEST = 1 << 16  # codon patterns this long are kept ready; windows are shorter
_PATTERNS = tuple(
    (FIRST_CODING + frames_to_right(leftmost_frame(strand), _LONGEST + 3, strand)).astype(np.int8)
    for strand in (1, -1)
)


def base_targets(
    genes: Sequence[WindowGene], length_bp: int, ignore: Sequence[tuple[int, int]]
) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """Paint a window's genes.

    Args:
        genes: The genes that the window's labels describe.
        length_bp: Bases of the window.
        ignore: Half-open intervals of which the truth is not known (pseudogenes, partial genes);
            bases there that no gene of the same strand covers get IGNORE.

    Returns:
        States (2, length_bp) int8, row 0 forward and row 1 reverse; boundaries (8, length_bp) bool.
    """
    states = np.zeros((2, length_bp), dtype=np.int8)
    boundaries = np.zeros((NUM_BOUNDARIES, length_bp), dtype=np.bool_)
    by_length = sorted(genes, key=lambda gene: _shown_bp(gene.transcripts[0], length_bp))
    for paint in (_paint_introns, _paint_other, _paint_coding):
        for gene in by_length:
            paint(states[strand_index(gene.strand)], gene.transcripts[0], gene.strand)
    for gene in genes:
        for transcript in gene.transcripts:
            _mark(boundaries[strand_index(gene.strand) :: 2], transcript, gene.strand)
    for start, end in ignore:
        interval = states[:, max(start, 0) : end]
        interval[interval == INTERGENIC] = IGNORE
    return states, boundaries


def base_weights(
    genes: Sequence[WindowGene], weights: Sequence[float], length_bp: int
) -> NDArray[np.float32]:
    """Return the weight of each base on each strand, (2, length_bp): that of its gene if above 1.

    Args:
        genes: The genes that the window's labels describe.
        weights: Weight of each gene's labels; up to 1 (0 = the grammar calls it illegal) a gene's
            bases weigh as all others.
        length_bp: Bases of the window.
    """
    weighed = np.ones((2, length_bp), dtype=np.float32)
    for gene, weight in zip(genes, weights, strict=True):
        if weight > 1:
            first, end = _extent(gene.transcripts[0], length_bp)
            row = weighed[strand_index(gene.strand), first:end]
            np.maximum(row, weight, out=row)
    return weighed


def _shown_bp(transcript: WindowTranscript, length_bp: int) -> int:
    first, end = _extent(transcript, length_bp)
    return end - first


def _extent(transcript: WindowTranscript, length_bp: int) -> tuple[int, int]:
    """Return the half-open interval that the transcript covers, with introns at a cut edge."""
    first = 0 if transcript.cut_left or not transcript.parts else transcript.parts[0].first
    end = (
        length_bp if transcript.cut_right or not transcript.parts else transcript.parts[-1].last + 1
    )
    return first, end


def _leftmost_codon_position(transcript: WindowTranscript, strand: int) -> int:
    """Return the codon position of the leftmost coding base in the window."""
    if transcript.cut_left and transcript.frame is not None:
        return transcript.frame
    return leftmost_frame(strand)


def _paint_coding(row: NDArray[np.int8], transcript: WindowTranscript, strand: int) -> None:
    position = _leftmost_codon_position(transcript, strand)
    for part in transcript.parts:
        if part.kind != "cds":
            continue
        length = part.last - part.first + 1
        begin = base_on_strand(position, 3, strand)
        row[part.first : part.last + 1] = _PATTERNS[strand_index(strand)][begin : begin + length]
        position = frame_to_right(position, length, strand)


def _paint_other(row: NDArray[np.int8], transcript: WindowTranscript, strand: int) -> None:
    for part in transcript.parts:
        if part.kind != "cds":
            row[part.first : part.last + 1] = OTHER_EXONIC


def _paint_introns(row: NDArray[np.int8], transcript: WindowTranscript, strand: int) -> None:
    """Introns between parts, and those that a cut edge lies in."""
    position = _leftmost_codon_position(transcript, strand)
    after = strand_index(strand)  # on -, the base read next is the one left of the intron
    parts, begin = transcript.parts, 0
    for part in parts:
        if part.first > begin and (begin > 0 or transcript.cut_left):
            row[begin : part.first] = FIRST_INTRON + (position + after) % 3
        if part.kind == "cds":
            position = frame_to_right(position, part.last - part.first + 1, strand)
        begin = part.last + 1
    if transcript.cut_right and begin < len(row):
        row[begin:] = FIRST_INTRON + (position + after) % 3


def _mark(rows: NDArray[np.bool_], transcript: WindowTranscript, strand: int) -> None:
    """Set the boundaries of one transcript in the four rows of its strand."""
    parts = transcript.parts
    left_kind, right_kind = five_three(START, STOP, strand)
    coding = [index for index, part in enumerate(parts) if part.kind == "cds"]
    if coding and (coding[0] > 0 or not transcript.cut_left):
        rows[left_kind, parts[coding[0]].first] = True
    if coding and (coding[-1] < len(parts) - 1 or not transcript.cut_right):
        rows[right_kind, parts[coding[-1]].last] = True
    ends_kind, begins_kind = five_three(DONOR, ACCEPTOR, strand)
    for last, first in _introns(parts, transcript, rows.shape[1]):
        if last is not None:
            rows[ends_kind, last] = True
        if first is not None:
            rows[begins_kind, first] = True


def _introns(
    parts: Sequence[Part], transcript: WindowTranscript, length_bp: int
) -> Iterator[tuple[int | None, int | None]]:
    """Exon bases left and right of each intron; None where it lies beyond the window."""
    if not parts:
        return
    if transcript.cut_left and parts[0].first > 0:
        yield None, parts[0].first
    for left, right in pairwise(parts):
        if right.first > left.last + 1:
            yield left.last, right.first
    if transcript.cut_right and parts[-1].last < length_bp - 1:
        yield parts[-1].last, None
