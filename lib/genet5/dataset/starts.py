"""Start codons of one stop: which others a gene could begin at, and what is unknown of unsure ones.

The *rivals* of a gene's start are the other start codons in frame with it, from the stop codon
upstream of the gene to the middle of its shown first CDS part. The pointer and the boundary head
can be made to choose among them (`train.loss`). Where a genome's starts are not trusted
(`genet5 bake --unsure_starts`), the label that names a gene's start has weight 0 while its gene has
weight; then the bases between the first and the last of the candidates have no state, and none of
them a start. Whatever another gene on the strand covers for sure keeps its state.

Everything is computed in reading direction, on the strand's own bases. Cost: two table look-ups for
each base of a window, and some steps of NumPy for each gene (0.2 ms for 6 kb of bacteria).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genet5.config.clades import traits_of
from genet5.dataset.per_base import IGNORE, START
from genet5.dataset.windows import Window
from genet5.genome.codes import CODONS, genetic_code
from genet5.genome.frames import (
    base_on_strand,
    five_prime,
    five_three,
    in_reading_order,
    interval_on_strand,
    strand_index,
)
from genet5.genome.sequence import codon_index, on_strand
from genet5.tokens.vocabulary import StructureVocabulary, encode_position
from genet5.tokens.window import WindowGene

NUM_RIVALS = 8
"""Most rivals of a start that are listed: the nearest ones."""


@dataclass(frozen=True, slots=True)
class StartLabel:
    """The label of a window that names a gene's start."""

    gene: int
    """Index of the gene in the window."""
    begin: int
    """Index of the gene's first label, its type."""
    label: int
    """Index of the label."""
    base: int
    """First base of the gene in reading direction, counted on the forward strand."""


@dataclass(frozen=True, slots=True)
class GeneStart:
    """A start and what else it could be."""

    at: StartLabel
    rivals: NDArray[np.int64]
    """First bases of the other candidates, counted on the forward strand, nearest first."""


def start_labels(
    labels: NDArray[np.int32], genes: Sequence[WindowGene], vocabulary: StructureVocabulary
) -> list[StartLabel]:
    """Find the labels that name the start of a coding gene; of each gene's first transcript.

    Args:
        labels: (T,) of a window.
        genes: The genes that they describe, in their order.
        vocabulary: The labels'.
    """
    begins = np.flatnonzero(labels >= vocabulary.first_type).tolist()
    found = []
    for index, (gene, begin) in enumerate(zip(genes, begins, strict=True)):
        base = _start_of(gene)
        if base is not None:
            label = begin + int(np.flatnonzero(labels[begin:] == encode_position(base))[0])
            found.append(StartLabel(index, begin, label, base))
    return found


def _start_of(gene: WindowGene) -> int | None:
    """The first base of a gene in reading direction, where the window shows it as coding."""
    transcript = gene.transcripts[0]
    is_cut, _ = five_three(transcript.cut_left, transcript.cut_right, gene.strand)
    if is_cut or not transcript.parts:
        return None
    part = five_prime(transcript.parts, gene.strand)
    if part.kind != "cds":
        return None
    return five_three(part.first, part.last, gene.strand)[0]


class _Codons:
    """Start and stop codons of a window's strand, in reading direction."""

    def __init__(self, window: Window, strand: int) -> None:
        codons = codon_index(on_strand(window.bases, strand))
        starts, stops = _tables(window.clade, window.genetic_code)
        self.is_start, self.is_stop = starts[codons], stops[codons]

    def rivals(self, start: int, end: int) -> NDArray[np.int64]:
        """Start codons in frame with `start`, from the stop upstream to before `end`."""
        upstream = np.arange(start - 3, -1, -3)
        stops = np.flatnonzero(self.is_stop[upstream])
        upstream = upstream[: stops[0] if len(stops) else None]
        found = np.concatenate((upstream, np.arange(start + 3, max(start + 3, end), 3)))
        found = found[self.is_start[found]]
        return found[np.argsort(np.abs(found - start), kind="stable")]


@functools.cache
def _tables(clade: str, code: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(65,) Which codons are starts and which stops; the last entry, index -1, is no codon."""
    starts = np.isin(CODONS, traits_of(clade).start_codons)
    stops = genetic_code(code).stop_table
    return np.append(starts & ~stops, False), np.append(stops, False)


def find_starts(
    window: Window, genes: Sequence[WindowGene], vocabulary: StructureVocabulary
) -> list[GeneStart]:
    """Find the starts that a window shows, and their rivals.

    Args:
        window: With its bases and labels.
        genes: The genes that the labels describe, in their order.
        vocabulary: The labels'.
    """
    length = len(window.bases)
    codons = {gene.strand: _Codons(window, gene.strand) for gene in genes}
    found = []
    for at in start_labels(window.labels, genes, vocabulary):
        gene = genes[at.gene]
        part = five_prime(gene.transcripts[0].parts, gene.strand)
        here = base_on_strand(at.base, length, gene.strand)
        rivals = codons[gene.strand].rivals(here, here + (part.last - part.first + 1) // 2)
        found.append(GeneStart(at, base_on_strand(rivals, length, gene.strand)))
    return found


def start_keys(starts: Sequence[GeneStart], genes: Sequence[WindowGene]) -> NDArray[np.int32]:
    """Write starts and their rivals as keys, 2 * base + (strand < 0).

    Returns:
        (n, 1 + NUM_RIVALS) int32, the true start first; -1 = no further rival.
    """
    keys = np.full((len(starts), 1 + NUM_RIVALS), -1, dtype=np.int32)
    for row, start in zip(keys, starts, strict=True):
        bases = np.append(start.at.base, start.rivals)[: 1 + NUM_RIVALS]
        row[: len(bases)] = 2 * bases + strand_index(genes[start.at.gene].strand)
    return keys


def unsure_starts(starts: Sequence[GeneStart], weights: NDArray[np.float32]) -> list[GeneStart]:
    """Those starts whose label has weight 0 although their gene has weight.

    Args:
        starts: Of a window.
        weights: (T,) of the window's labels.
    """
    return [s for s in starts if weights[s.at.label] == 0 and weights[s.at.begin] > 0]


def forget_starts(
    states: NDArray[np.int8],
    boundaries: NDArray[np.int8],
    genes: Sequence[WindowGene],
    unsure: Sequence[GeneStart],
) -> None:
    """Take unsure starts out of the targets, in place.

    Args:
        states: (2, L) of `dataset.per_base`.
        boundaries: (8, L) of it, as int8.
        genes: The window's genes.
        unsure: Their unsure starts.
    """
    length = states.shape[1]
    spans = {s.at.gene: _reading_span(s, genes[s.at.gene].strand, length) for s in unsure}
    for strand in {genes[index].strand for index in spans}:
        is_open = np.zeros(length, dtype=np.bool_)
        is_sure = np.zeros(length, dtype=np.bool_)
        side = strand_index(strand)
        start_row = in_reading_order(boundaries[2 * START + side], strand)
        for index, gene in enumerate(genes):
            if gene.strand == strand and gene.transcripts[0].parts:
                first, end = _reading_extent(gene, length)
                if index in spans:
                    begin, first = spans[index]
                    is_open[begin:first] = True
                    start_row[begin : first + 1] = IGNORE
                is_sure[first:end] = True
        in_reading_order(states[side], strand)[is_open & ~is_sure] = IGNORE


def _reading_span(start: GeneStart, strand: int, length: int) -> tuple[int, int]:
    """First and last candidate in reading direction."""
    bases = np.append(start.at.base, start.rivals)
    if strand < 0:
        bases = length - 1 - bases
    return int(bases.min()), int(bases.max())


def _reading_extent(gene: WindowGene, length: int) -> tuple[int, int]:
    transcript = gene.transcripts[0]
    first = 0 if transcript.cut_left else transcript.parts[0].first
    end = length if transcript.cut_right else transcript.parts[-1].last + 1
    return interval_on_strand(first, end, length, gene.strand)
