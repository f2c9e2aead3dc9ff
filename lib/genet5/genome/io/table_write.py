"""Write transcripts as a table of tab-separated values with a line of names; 1-based closed.

Example:
    >>> import sys
    >>> from genet5.genome.gene import Cds, Exon, Transcript
    >>> cds = Transcript(id="t", exons=(Exon(0, 9),), cds=(Cds(0, 9, 0),))
    >>> writer = TableWriter(sys.stdout)
    >>> gene = Gene(id="g", contig="c1", strand=-1, transcripts=(cds,), score=0.5)
    >>> writer.contig("c1", 20, [gene])
    ... # doctest: +NORMALIZE_WHITESPACE
    c1 1 9 - g t protein_coding 1 9 2 0.5000
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TextIO

from genet5.genome.frames import strand_sign
from genet5.genome.gene import Gene, Transcript
from genet5.genome.io.contig_names import gff3_name

COLUMNS = (
    "contig", "start", "end", "strand", "gene", "transcript", "type", "exons", "cds_bp",
    "amino_acids", "score", "start_score", "partial", "name", "product",
)  # fmt: skip
"""Names of the columns."""


class TableWriter:
    """Writes a file contig by contig, gene by gene.

    Args:
        out: Where to.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def header(self, contigs: Iterable[tuple[str, int]]) -> None:
        """Write the line of names."""
        self._out.write("\t".join(COLUMNS) + "\n")

    def contig(
        self, name: str, length: int, genes: Iterable[Gene], *, is_circular: bool = False
    ) -> None:
        """Write the genes of a contig, which ascend by start and end."""
        for gene in genes:
            for transcript in gene.transcripts:
                cells = _cells(gene, transcript)
                self._out.write("\t".join(map(_plain, cells)) + "\n")


def _cells(gene: Gene, transcript: Transcript) -> list[str]:
    gene = gene.scored_as(transcript)
    coding_bp = transcript.cds_length
    has_stop = bool(coding_bp) and not transcript.partial_3
    missing = [end for end, is_missing in _ends(transcript) if is_missing]
    products = [
        v for n, v in (*transcript.cds_attributes, *transcript.attributes) if n == "product"
    ]
    return [
        gff3_name(gene.contig),
        str(transcript.start + 1),
        str(transcript.end),
        strand_sign(gene.strand),
        gene.id,
        transcript.id,
        "pseudogene" if gene.pseudo else gene.type,
        str(len(transcript.exons)),
        str(coding_bp or ""),
        str(coding_bp // 3 - has_stop) if coding_bp else "",
        "" if gene.score is None else f"{gene.score:.4f}",
        "" if gene.start_score is None else f"{gene.start_score:.4f}",
        ",".join(missing),
        gene.name,
        products[0] if products else "",
    ]


def _ends(transcript: Transcript) -> tuple[tuple[str, bool], ...]:
    return ("5'", transcript.partial_5), ("3'", transcript.partial_3)


def _plain(text: str) -> str:
    """Return text of one cell; white space that would break the table is a blank."""
    return " ".join(text.split())
