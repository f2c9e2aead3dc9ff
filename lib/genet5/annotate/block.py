"""Blocks: the candidates of a genome, some at a time.

Annotation passes candidates on as soon as no later window can change them. A block holds those of
an interval of a contig; none of them overlaps a candidate of another block, so that genes chosen
block by block are those chosen of the whole contig. Blocks come contig by contig, from left to
right.
"""

from __future__ import annotations

from dataclasses import dataclass

from genet5.annotate.candidate import GeneCandidate
from genet5.genome.io.fasta import AnyContig


@dataclass(frozen=True, slots=True)
class Block:
    """Candidates of one interval of a contig; every contig has one block at least."""

    index: int
    """Number of the contig in the run."""
    contig: AnyContig
    circular: bool
    """Whether genes may lie over the contig's origin; then the block is all of the contig."""
    candidates: list[GeneCandidate]
    """Sorted by start, end, strand, type and parts."""
    is_last: bool
    """Whether it is the contig's last."""
    code: int
    """NCBI number of the contig's genetic code."""
