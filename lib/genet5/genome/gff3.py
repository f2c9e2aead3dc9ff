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

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from genet5.genome.files import damage_as_data_error, open_text
from genet5.genome.gene import Gene
from genet5.genome.gff3_genes import build_genes
from genet5.genome.gff3_lines import LineReader, Trouble
from genet5.genome.gff3_write import write_gff3

__all__ = ["Annotation", "read_gff3", "write_gff3"]


@dataclass(frozen=True, slots=True)
class Annotation:
    """What a GFF3 file says about genes."""

    genes: tuple[Gene, ...]
    """By contig in the file's order, then by start and end."""
    contig_lengths: dict[str, int]
    """Of the contigs that a ##sequence-region line or a region feature gives a length, in the file's order."""
    circular: frozenset[str]
    """Contigs with Is_circular=true."""
    skipped: dict[str, int]
    """Left out, by cause: bad records (with `skip_bad`), and what a `Gene` cannot express (trans-splicing)."""


def read_gff3(path: Path, *, skip_bad: bool = False) -> Annotation:
    """Read all genes of a plain, gzip or bgzip GFF3 file.

    Args:
        path: The file.
        skip_bad: Leave bad records out and count them by cause, instead of raising.

    Raises:
        DataError: The file is damaged or no GFF3, or a record is bad; names the file and the line.
    """
    trouble = Trouble(path, skip_bad)
    reader = LineReader(path, trouble)
    with _without_garbage_collection():
        with damage_as_data_error(path), open_text(path) as lines:
            reader.read(lines)
        tables = reader.tables.values()
        genes = tuple(gene for table in tables for gene in build_genes(table, trouble))
    return Annotation(
        genes=genes,
        contig_lengths={table.name: table.length for table in tables if table.length is not None},
        circular=frozenset(table.name for table in tables if table.circular),
        skipped=dict(sorted(trouble.skipped.items())),
    )


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Pause the search for reference cycles: millions of small objects without cycles cost a third of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
