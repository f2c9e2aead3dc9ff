"""The coding chains of genes, in a form that can be compared.

A chain is the CDS intervals of one transcript, ascending, touching ones joined, on a contig strand.
On a circular contig it starts within the contig's length and may run beyond it, so that a gene over
the origin has one form only. Many chains become columns of integers (`Columns`), which NumPy
compares.

Example:
    >>> stop_of(("chr1", -1, (100, 160, 200, 320)), {})
    ('chr1', -1, 100)
    >>> gaps_of(("chr1", -1, (100, 160, 200, 320)))
    {(160, 200)}
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from genet5.genome.frames import three_prime_base
from genet5.genome.gene import Gene, Transcript
from genet5.score.intervals import Spans, union

Ints: TypeAlias = NDArray[np.int64]
Chain: TypeAlias = tuple[str, int, tuple[int, ...]]
"""(contig, strand, (start, end, start, end ...)): one transcript's CDS."""
Stop: TypeAlias = tuple[str, int, int]
"""(contig, strand, forward-strand coordinate of the stop codon's last base)."""

_NOWHERE = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Intervals on contigs, as columns: coding exons, introns or whole exons."""

    owner: Ints
    """Index of the chain of each interval."""
    contig: Ints
    """Index of the contig on the axis."""
    strand: Ints
    start: Ints
    end: Ints


class Axis:
    """Puts (contig, strand, position) on one line of integers, so that many contigs are one array.

    Args:
        reach_bp: Contig -> a coordinate beyond which no gene ends.
        lengths_bp: Lengths of contigs, where known; positions beyond them wrap around.
    """

    def __init__(self, reach_bp: Mapping[str, int], lengths_bp: Mapping[str, int]) -> None:
        self.lengths_bp = lengths_bp
        self._index = {name: number for number, name in enumerate(reach_bp)}
        self._lengths = np.array(
            [lengths_bp.get(name, _NOWHERE) for name in reach_bp], dtype=np.int64
        )
        room = (
            np.array(list(reach_bp.values()), dtype=np.int64) + 1
        )  # one more: strands never touch
        self._reverse = room
        self._offsets = np.cumsum(2 * room) - 2 * room

    def exons(self, chains: Collection[Chain]) -> Columns:
        """Return the coding exons of chains, one chain after the other."""
        counts = [len(edges) // 2 for _, _, edges in chains]
        edges = np.fromiter(chain.from_iterable([c[2] for c in chains]), dtype=np.int64)
        owner = np.repeat(np.arange(len(chains)), counts)
        contig = np.array([self._index[name] for name, _, _ in chains], dtype=np.int64)[owner]
        strand = np.array([strand for _, strand, _ in chains], dtype=np.int64)[owner]
        return Columns(owner, contig, strand, edges[::2], edges[1::2])

    def bodies(self, transcripts: Sequence[tuple[Gene, Transcript]]) -> Columns:
        """Return all exons and CDS intervals of transcripts, each given with its gene."""
        rows = []
        for owner, (gene, transcript) in enumerate(transcripts):
            head = (owner, self._index[gene.contig], gene.strand)
            rows += [(*head, exon.start, exon.end) for exon in transcript.exons]
            rows += [(*head, cds.start, cds.end) for cds in transcript.cds]
        return Columns(*np.array(rows, dtype=np.int64).reshape(-1, 5).T)

    def base(self, columns: Columns, *, flip: bool = False) -> Ints:
        """Return the offset of each interval's contig strand; `flip` takes the other strand."""
        forward = columns.strand < 0 if flip else columns.strand > 0
        return self._offsets[columns.contig] + np.where(forward, 0, self._reverse[columns.contig])

    def place(self, columns: Columns, *, flip: bool = False) -> tuple[Ints, Ints, Ints]:
        """Return owners, starts and ends on the line; an interval over the origin becomes two."""
        owner, start, end = columns.owner, columns.start, columns.end
        base, length = self.base(columns, flip=flip), self._lengths[columns.contig]
        if (end > length).any():
            beyond = np.where(start >= length, length, 0)
            start, end = start - beyond, end - beyond
            over = (end > length) & (beyond == 0)
            tails = (end - length)[over]
            owner, base = (np.concatenate([x, x[over]]) for x in (owner, base))
            start = np.concatenate([start, np.zeros_like(tails)])
            end = np.concatenate([np.where(over, length, end), tails])
        return owner, base + start, base + end

    def spans(self, columns: Columns) -> Spans:
        """Return the bases of the intervals as a set."""
        return union(*self.place(columns)[1:])


def chain_of(gene: Gene, transcript: Transcript, length_bp: int | None) -> Chain:
    """Return the chain of a coding transcript; `length_bp` is that of its contig, if known."""
    edges: list[int] = []
    for cds in transcript.cds:
        if edges and edges[-1] == cds.start:
            edges[-1] = cds.end
        else:
            edges += (cds.start, cds.end)
    if length_bp and edges[0] >= length_bp:
        edges = [edge - length_bp for edge in edges]
    return gene.contig, gene.strand, tuple(edges)


def introns_of(exons: Columns) -> Columns:
    """Return the gaps between the coding exons of each chain."""
    inner = exons.owner[1:] == exons.owner[:-1]
    owner, contig, strand = (x[1:][inner] for x in (exons.owner, exons.contig, exons.strand))
    return Columns(owner, contig, strand, exons.end[:-1][inner], exons.start[1:][inner])


def gaps_of(chain: Chain) -> set[tuple[int, int]]:
    """Return the introns of one chain."""
    edges = chain[2]
    return set(zip(edges[1:-1:2], edges[2::2], strict=True))


def stop_of(chain: Chain, lengths_bp: Mapping[str, int]) -> Stop:
    """Return the 3' end of a chain."""
    contig, strand, edges = chain
    stop = three_prime_base(edges[0], edges[-1], strand)
    length = lengths_bp.get(contig, 0)
    return contig, strand, stop % length if length else stop
