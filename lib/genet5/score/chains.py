"""The coding chains of genes in a form that can be compared: what a scorer sees of a gene.

A chain is the CDS pieces of one transcript, ascending, touching pieces joined, on a given contig strand. On a circular
contig it starts within the contig's length and may run beyond it, so that a gene over the origin has one form only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from genet5.genome.gene import Gene, Transcript
from genet5.score.intervals import Spans, union

Chain: TypeAlias = tuple[str, int, tuple[int, ...]]
"""(contig, strand, (start, end, start, end ...)): one transcript's CDS."""
Piece: TypeAlias = tuple[str, int, int, int]
"""(contig, strand, start, end): one coding exon or one intron."""
Stop: TypeAlias = tuple[str, int, int]
"""(contig, strand, forward-strand coordinate of the stop codon's last base)."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Puts (contig, strand, position) on one line of integers, so that whole genomes are one array.

    Args:
        offsets: Start of each (contig, strand) on the line.
        lengths_bp: Contig lengths, where known; positions beyond wrap round.
    """

    offsets: Mapping[tuple[str, int], int]
    lengths_bp: Mapping[str, int]

    @classmethod
    def of(cls, genes: Iterable[Gene], lengths_bp: Mapping[str, int]) -> Axis:
        """Make an axis that holds all contigs of the genes."""
        reach = dict(lengths_bp)
        for gene in genes:
            reach[gene.contig] = max(reach.get(gene.contig, 0), gene.end)
        offsets, here = {}, 0
        for contig, length in reach.items():
            for strand in (1, -1):
                offsets[contig, strand] = here
                here += length + 1  # a gap, so that neighbours never touch
        return cls(offsets, lengths_bp)

    def place(self, pieces: Iterable[Piece]) -> tuple[list[int], list[int]]:
        """Return starts and ends on the line; a piece over the origin becomes two."""
        starts: list[int] = []
        ends: list[int] = []
        for contig, strand, start, end in pieces:
            offset, length = self.offsets[contig, strand], self.lengths_bp.get(contig, end)
            for left, right in _wrap(start, end, length):
                starts.append(offset + left)
                ends.append(offset + right)
        return starts, ends

    def spans(self, pieces: Iterable[Piece]) -> Spans:
        """Return the bases of the pieces as a set."""
        starts, ends = self.place(pieces)
        return union(np.array(starts, dtype=np.int64), np.array(ends, dtype=np.int64))


def chain_of(gene: Gene, transcript: Transcript, lengths_bp: Mapping[str, int]) -> Chain:
    """Return the chain of a transcript that has a CDS."""
    edges: list[int] = []
    for piece in transcript.cds:
        if edges and edges[-1] == piece.start:
            edges[-1] = piece.end
        else:
            edges += (piece.start, piece.end)
    length = lengths_bp.get(gene.contig, 0)
    if length and edges[0] >= length:
        edges = [edge - length for edge in edges]
    return gene.contig, gene.strand, tuple(edges)


def pieces_of(chain: Chain) -> list[Piece]:
    """Return the coding exons of a chain."""
    contig, strand, edges = chain
    return [(contig, strand, *pair) for pair in zip(edges[::2], edges[1::2], strict=True)]


def introns_of(chain: Chain) -> list[Piece]:
    """Return the gaps between the coding exons of a chain."""
    contig, strand, edges = chain
    return [(contig, strand, *pair) for pair in zip(edges[1:-1:2], edges[2::2], strict=True)]


def stop_of(chain: Chain, lengths_bp: Mapping[str, int]) -> Stop:
    """Return the 3' end of a chain."""
    contig, strand, edges = chain
    stop = edges[-1] - 1 if strand > 0 else edges[0]
    length = lengths_bp.get(contig, 0)
    return contig, strand, stop % length if length else stop


def body_of(gene: Gene, transcripts: Sequence[Transcript]) -> list[Piece]:
    """Return all exons and CDS pieces of some transcripts of a gene."""
    pieces: list[Piece] = []
    for transcript in transcripts:
        pieces += ((gene.contig, gene.strand, exon.start, exon.end) for exon in transcript.exons)
        pieces += ((gene.contig, gene.strand, cds.start, cds.end) for cds in transcript.cds)
    return pieces


def _wrap(start: int, end: int, length: int) -> list[tuple[int, int]]:
    if end <= length:
        return [(start, end)]
    if start >= length:
        return [(start - length, end - length)]
    return [(start, length), (0, end - length)]
