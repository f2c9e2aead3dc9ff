r"""Read and write GFF3.

`Gff3File` reads one contig at a time: `gff3_lines` sorts the contig's lines into a table,
`gff3_links` settles which transcript and CDS belong to which gene, `gff3_genes` makes the genes by
the rules of `assemble` and `transcripts`. `read_gff3` does so for all contigs. `write_gff3`
(`gff3_write`) writes a valid sorted file that reads back as the same genes.

Example:
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "a.gff3")
    >>> gene = "c1\t.\tgene\t11\t40\t.\t-\t.\tID=g\n"
    >>> _ = path.write_text(gene + "c1\t.\tCDS\t11\t40\t.\t-\t0\tID=c;Parent=g\n")
    >>> (gene,) = read_gff3(path).genes
    >>> gene.id, gene.type, gene.start, gene.end, gene.strand
    ('g', 'protein_coding', 10, 40, -1)
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from genet5.genome.gene import Gene
from genet5.genome.io.annotation import Annotation
from genet5.genome.io.contig_lines import LineFile, in_memory
from genet5.genome.io.feature_table import ContigTable
from genet5.genome.io.files import open_seekable
from genet5.genome.io.gff3_genes import build_genes
from genet5.genome.io.gff3_lines import LineReader
from genet5.genome.io.gff3_write import write_gff3
from genet5.genome.io.read_options import DEFAULT_OPTIONS, ReadOptions
from genet5.genome.io.read_report import ReadReport

__all__ = ["Annotation", "Gff3File", "parse_gff3", "read_gff3", "write_gff3"]


class Gff3File(LineFile):
    """An open GFF3 file, to be read contig by contig.

    A gene lies on one contig: its ID may stand for another gene on another contig.
    """

    ENDS = (b">", b"##FASTA")

    def _genes(
        self, table: ContigTable, lines: Iterable[tuple[int, str]], report: ReadReport
    ) -> list[Gene]:
        LineReader(table, report).read(lines)
        return build_genes(table, report)


def read_gff3(path: Path, options: ReadOptions = DEFAULT_OPTIONS) -> Annotation:
    """Read all genes of a plain, gzip or bgzip GFF3 file.

    Raises:
        DataError: The file is damaged or no GFF3, or a record is bad; names the file and the line.
    """
    with open_seekable(path) as raw:
        return Gff3File(raw, path, options).read_all()


def parse_gff3(
    lines: Iterable[str], path: Path, options: ReadOptions = DEFAULT_OPTIONS
) -> Annotation:
    """Read all genes from the lines of a GFF3 file; `path` is for messages. Else as `read_gff3`."""
    return Gff3File(in_memory(lines), path, options).read_all()
