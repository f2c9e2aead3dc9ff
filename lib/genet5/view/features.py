"""Intervals of a genome browser's track: BED lines, compressed as they come.

Memory holds the compressed lines alone, up to a limit; what comes later is counted.

Example:
    >>> import gzip
    >>> from genet5.genome.gene import Cds, Exon, Gene, Transcript
    >>> mrna = Transcript(id="t", exons=(Exon(2, 8),), cds=(Cds(2, 8, 0),))
    >>> features = Features()
    >>> features.add_genes("c", 20, [Gene(id="g", contig="c", strand=1, transcripts=(mrna,))])
    >>> gzip.decompress(features.data()).decode().split()[:4]
    ['c', '2', '8', 'g']
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence
from dataclasses import replace

from genet5.genome.gene import Gene
from genet5.genome.io.bed_write import BedWriter
from genet5.genome.io.contig_names import gff3_name

MOST_BYTES = 3_000_000
_GZIP = 31
"""zlib's word for a gzip header; it has no time stamp."""


class Features:
    """Gathers one track's intervals.

    Args:
        most_bytes: Compressed bytes after which intervals are left out.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._packer = zlib.compressobj(9, zlib.DEFLATED, _GZIP)
        self._parts: list[bytes] = []
        self._size = 0
        self.count = 0
        """Genes or intervals that are in it."""
        self.left_out = 0
        """Those that came too late."""

    def add_genes(self, contig: str, length_bp: int, genes: Sequence[Gene]) -> None:
        """Take genes of a contig, by their names or IDs.

        Args:
            contig: Its name.
            length_bp: Its length; a gene over an origin becomes two intervals.
            genes: Some of its genes.
        """
        text = io.StringIO()
        BedWriter(text).contig(contig, length_bp, [_labelled(gene) for gene in genes])
        self._add(text.getvalue(), len(genes))

    def add_interval(
        self, contig: str, start: int, end: int, *, name: str, strand: str = ".", color: str = "0"
    ) -> None:
        """Take one interval.

        Args:
            contig: Name of the contig.
            start: First base, 0-based.
            end: One past the last.
            name: What stands beside it.
            strand: +, - or . for none.
            color: "R,G,B", or "0" for the track's own.
        """
        columns = gff3_name(contig), start, end, name, 0, strand, start, end, color
        self._add("\t".join(map(str, columns)) + "\n", 1)

    def data(self) -> bytes:
        """Return all as gzip; nothing can be added any more."""
        self._parts.append(self._packer.flush())
        return b"".join(self._parts)

    def _add(self, lines: str, count: int) -> None:
        if self._size > self._most:
            self.left_out += count
            return
        self.count += count
        self._parts.append(self._packer.compress(lines.encode()))
        self._size += len(self._parts[-1])


def _labelled(gene: Gene) -> Gene:
    """The gene with transcripts that are named as people know it: by name, else ID."""
    label = gene.name or gene.id
    several = len(gene.transcripts) > 1
    return replace(
        gene,
        transcripts=tuple(
            replace(transcript, id=f"{label} {number}" if several else label)
            for number, transcript in enumerate(gene.transcripts, 1)
        ),
    )
