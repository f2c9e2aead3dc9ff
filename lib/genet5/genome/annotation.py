"""What an annotation file says, whatever its format."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from genet5.genome.gene import Gene
from genet5.genome.gff3_lines import ContigTable, Trouble


@dataclass(frozen=True, slots=True)
class Annotation:
    """What an annotation file says about genes."""

    genes: tuple[Gene, ...]
    """By contig in the file's order, then by start and end."""
    contig_lengths: dict[str, int]
    """Of the contigs that the file gives a length (##sequence-region, a region feature, LOCUS), in the file's order."""
    circular: frozenset[str]
    """Contigs that the file calls circular."""
    skipped: dict[str, int]
    """Left out, by cause: bad records (with `skip_bad`), and what a `Gene` cannot express (trans-splicing)."""
    contig_lines: dict[str, int] = field(default_factory=dict, compare=False, repr=False)
    """Line of the file that names each contig first."""

    @classmethod
    def of(
        cls, tables: Iterable[ContigTable], genes: Iterable[Gene], trouble: Trouble
    ) -> Annotation:
        """Put the result of a reader together."""
        tables = list(tables)
        return cls(
            genes=tuple(genes),
            contig_lengths={t.name: t.length for t in tables if t.length is not None},
            circular=frozenset(table.name for table in tables if table.circular),
            skipped=dict(sorted(trouble.skipped.items())),
            contig_lines={table.name: table.line for table in tables},
        )


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Pause the search for reference cycles: millions of small objects without cycles cost a third of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
