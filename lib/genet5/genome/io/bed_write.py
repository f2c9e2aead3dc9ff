"""Write transcripts as BED12: one line each, coding part thick, exons as blocks; 0-based half-open.

The format is that of UCSC and bedtools. A transcript over the origin of a circular contig becomes
two lines of the same name, since blocks must lie on the contig.

Example:
    >>> import sys
    >>> from genet5.genome.gene import Cds, Exon, Transcript
    >>> exons = (Exon(2, 6), Exon(10, 15))
    >>> mrna = Transcript(id="t", exons=exons, cds=(Cds(2, 6, 0), Cds(10, 12, 2)))
    >>> gene = Gene(id="g", contig="c1", strand=1, transcripts=(mrna,), score=0.5)
    >>> BedWriter(sys.stdout).contig("c1", 20, [gene])  # doctest: +NORMALIZE_WHITESPACE
    c1 2 15 t 500 + 2 12 0 2 4,5 0,8
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TextIO

from genet5.genome.frames import strand_sign
from genet5.genome.gene import Gene, Transcript
from genet5.genome.io.contig_names import gff3_name

Intervals = list[tuple[int, int]]


class BedWriter:
    """Writes a file contig by contig, gene by gene.

    Args:
        out: Where to.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def header(self, contigs: Iterable[tuple[str, int]]) -> None:
        """Write nothing: BED has no header that all programs accept."""

    def contig(
        self, name: str, length: int, genes: Iterable[Gene], *, is_circular: bool = False
    ) -> None:
        """Write the genes of a contig, which ascend by start and end.

        Args:
            name: Of the contig.
            length: In bases; 0 = unknown, and no gene lies over an origin.
            genes: All of the contig.
            is_circular: Has no word in BED.
        """
        for gene in genes:
            for transcript in gene.transcripts:
                self._out.writelines(_lines(gff3_name(name), length, gene, transcript))


def _lines(contig: str, length: int, gene: Gene, transcript: Transcript) -> Iterator[str]:
    gene = gene.scored_as(transcript)
    exons = [(exon.start, exon.end) for exon in transcript.exons]
    coding = [(part.start, part.end) for part in transcript.cds]
    for first, last in [(0, length), (length, 2 * length)] if length else [(0, 1 << 62)]:
        blocks = _within(exons, first, last)
        if blocks:
            thick = _within(coding, first, last) or [(blocks[0][0], blocks[0][0])]
            yield _line(contig, gene, transcript.id, blocks, (thick[0][0], thick[-1][1]))


def _within(intervals: Intervals, first: int, last: int) -> Intervals:
    """Return what of the intervals lies in first..last, counted from first."""
    cut = [(max(start, first) - first, min(end, last) - first) for start, end in intervals]
    return [(start, end) for start, end in cut if start < end]


def _line(contig: str, gene: Gene, name: str, blocks: Intervals, thick: tuple[int, int]) -> str:
    start, end = blocks[0][0], blocks[-1][1]
    score = 0 if gene.score is None else round(1000 * min(max(gene.score, 0.0), 1.0))
    columns = [
        contig, start, end, "_".join(name.split()) or ".", score, strand_sign(gene.strand),
        *thick, 0, len(blocks), ",".join(str(b - a) for a, b in blocks),
        ",".join(str(a - start) for a, _ in blocks),
    ]  # fmt: skip
    return "\t".join(map(str, columns)) + "\n"
