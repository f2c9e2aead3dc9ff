"""The coding chains of genes in a form that can be compared: what a scorer sees of a gene.

A chain is the CDS pieces of one transcript, ascending, touching pieces joined, on a given contig strand. On a circular
contig it starts within the contig's length and may run beyond it, so that a gene over the origin has one form only.
Many chains of one contig become columns of integers (`Pieces`), which NumPy compares.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from genet5.genome.gene import Gene, Transcript
from genet5.score.intervals import Spans, union

Ints: TypeAlias = NDArray[np.int64]
Chain: TypeAlias = tuple[str, int, tuple[int, ...]]
"""(contig, strand, (start, end, start, end ...)): one transcript's CDS."""
Stop: TypeAlias = tuple[int, int]
"""(strand, forward-strand coordinate of the stop codon's last base) on a contig."""


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """Stretches of one contig as columns: coding exons, introns or whole exons."""

    owner: Ints
    """Index of the chain that each belongs to."""
    strand: Ints
    start: Ints
    end: Ints


@dataclass(frozen=True, slots=True)
class Axis:
    """Puts (strand, position) of one contig on one line of integers, the reverse strand behind the forward one.

    Args:
        reach_bp: No gene of the contig ends beyond it.
        length_bp: The contig's length, where known; positions beyond wrap round.
    """

    reach_bp: int
    length_bp: int | None = None

    @classmethod
    def of(cls, genes: Iterable[Gene], length_bp: int | None) -> Axis:
        """Make an axis that holds all genes of a contig."""
        return cls(max([length_bp or 0, *(gene.end for gene in genes)]), length_bp)

    def place(self, pieces: Pieces, *, flip: bool = False) -> tuple[Ints, Ints, Ints]:
        """Return owners, starts and ends on the line; a piece over the origin becomes two. `flip` changes strands."""
        owner, start, end = pieces.owner, pieces.start, pieces.end
        forward = pieces.strand < 0 if flip else pieces.strand > 0
        offset = np.where(forward, 0, self.reach_bp + 1)  # a gap: strands never touch
        length = self.length_bp
        if length is not None and (end > length).any():
            behind = start >= length
            start, end = start - length * behind, end - length * behind
            over = (end > length) & ~behind
            tails = end[over] - length
            owner, offset = (np.concatenate([x, x[over]]) for x in (owner, offset))
            start = np.concatenate([start, np.zeros_like(tails)])
            end = np.concatenate([np.where(over, length, end), tails])
        return owner, offset + start, offset + end

    def spans(self, pieces: Pieces) -> Spans:
        """Return the bases of the pieces as a set."""
        return union(*self.place(pieces)[1:])


def chain_of(gene: Gene, transcript: Transcript, length_bp: int | None) -> Chain:
    """Return the chain of a transcript that has a CDS; `length_bp` is that of its contig, where known."""
    edges: list[int] = []
    for piece in transcript.cds:
        if edges and edges[-1] == piece.start:
            edges[-1] = piece.end
        else:
            edges += (piece.start, piece.end)
    if length_bp and edges[0] >= length_bp:
        edges = [edge - length_bp for edge in edges]
    return gene.contig, gene.strand, tuple(edges)


def exons_of(chains: Sequence[Chain]) -> Pieces:
    """Return the coding exons of chains, one chain behind the other."""
    counts = [len(edges) // 2 for _, _, edges in chains]
    edges = np.fromiter(chain.from_iterable([c[2] for c in chains]), dtype=np.int64)
    owner = np.repeat(np.arange(len(chains)), counts)
    strand = np.array([strand for _, strand, _ in chains], dtype=np.int64)[owner]
    return Pieces(owner, strand, edges[::2], edges[1::2])


def introns_of(exons: Pieces) -> Pieces:
    """Return the gaps between the coding exons of each chain."""
    inner = exons.owner[1:] == exons.owner[:-1]
    return Pieces(
        exons.owner[:-1][inner], exons.strand[:-1][inner], exons.end[:-1][inner], exons.start[1:][inner]
    )  # fmt: skip


def gaps_of(chain: Chain) -> set[tuple[int, int]]:
    """Return the introns of one chain."""
    edges = chain[2]
    return set(zip(edges[1:-1:2], edges[2::2], strict=True))


def stop_of(chain: Chain, length_bp: int | None) -> Stop:
    """Return the 3' end of a chain."""
    _, strand, edges = chain
    stop = edges[-1] - 1 if strand > 0 else edges[0]
    return strand, stop % length_bp if length_bp else stop


def bodies_of(transcripts: Sequence[tuple[int, Transcript]]) -> Pieces:
    """Return all exons and CDS pieces of transcripts, each given with its strand."""
    rows = []
    for owner, (strand, transcript) in enumerate(transcripts):
        rows += [(owner, strand, exon.start, exon.end) for exon in transcript.exons]
        rows += [(owner, strand, piece.start, piece.end) for piece in transcript.cds]
    return Pieces(*np.array(rows, dtype=np.int64).reshape(-1, 4).T)
