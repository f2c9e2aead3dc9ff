r"""Read and write GFF3: the only place where 1-based closed coordinates exist.

`read_gff3` streams the file line by line (`gff3_lines`), makes genes of each contig (`gff3_genes`, `gff3_cds`), and
`write_gff3` (`gff3_write`) writes a valid sorted file that reads back as the same genes.

Example:
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "a.gff3")
    >>> _ = path.write_text("c1\t.\tgene\t11\t40\t.\t-\t.\tID=g\nc1\t.\tCDS\t11\t40\t.\t-\t0\tID=c;Parent=g\n")
    >>> (gene,) = read_gff3(path).genes
    >>> gene.id, gene.type, gene.start, gene.end, gene.strand
    ('g', 'protein_coding', 10, 40, -1)
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from genet5.genome.annotation import Annotation, without_garbage_collection
from genet5.genome.files import damage_as_data_error, open_text
from genet5.genome.gff3_genes import build_genes
from genet5.genome.gff3_lines import LineReader, Trouble
from genet5.genome.gff3_write import write_gff3

__all__ = ["Annotation", "parse_gff3", "read_gff3", "write_gff3"]


def read_gff3(path: Path, *, skip_bad: bool = False) -> Annotation:
    """Read all genes of a plain, gzip or bgzip GFF3 file.

    Args:
        path: The file.
        skip_bad: Leave bad records out and count them by cause, instead of raising.

    Raises:
        DataError: The file is damaged or no GFF3, or a record is bad; names the file and the line.
    """
    with damage_as_data_error(path), open_text(path) as lines:
        return parse_gff3(lines, path, skip_bad=skip_bad)


def parse_gff3(lines: Iterable[str], path: Path, *, skip_bad: bool = False) -> Annotation:
    """Read all genes from the lines of a GFF3 file; `path` is for messages. Else as `read_gff3`."""
    trouble = Trouble(path, skip_bad)
    reader = LineReader(path, trouble)
    with without_garbage_collection():
        reader.read(lines)
        tables = reader.tables.values()
        genes = [gene for table in tables for gene in build_genes(table, trouble)]
    return Annotation.of(tables, genes, trouble)
