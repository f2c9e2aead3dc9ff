"""What an annotation file says, whatever its format: all at once, or contig by contig."""

from __future__ import annotations

import gc
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import overload

from genet5.genome.gene import Gene
from genet5.genome.io.feature_table import ContigTable
from genet5.genome.io.record_errors import RecordErrors


@dataclass(frozen=True, slots=True)
class Annotation(Sequence[Gene]):
    """What an annotation file holds: a sequence of genes, and what is known of their contigs."""

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

    @overload
    def __getitem__(self, index: int) -> Gene: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Gene, ...]: ...
    def __getitem__(self, index: int | slice) -> Gene | tuple[Gene, ...]:
        return self.genes[index]

    def __len__(self) -> int:
        return len(self.genes)

    @classmethod
    def of(
        cls, tables: Iterable[ContigTable], genes: Iterable[Gene], errors: RecordErrors
    ) -> Annotation:
        """Put the result of a reader together."""
        tables = list(tables)
        return cls(
            genes=tuple(genes),
            contig_lengths={t.name: t.length for t in tables if t.length is not None},
            circular=frozenset(table.name for table in tables if table.circular),
            skipped=dict(sorted(errors.skipped.items())),
            contig_lines={table.name: table.line for table in tables},
        )


class AnnotationFile(ABC):
    """An open annotation file, to be read contig by contig in any order.

    Args:
        skipped: Bad records that belong to no contig, by cause.
    """

    def __init__(self, skipped: dict[str, int]) -> None:
        self.skipped = skipped

    @property
    @abstractmethod
    def contigs(self) -> Sequence[str]:
        """All contigs that the file names, in its order."""

    @abstractmethod
    def most_genes(self, contig: str) -> int:
        """No more genes than this lie on the contig: told without reading them."""

    @abstractmethod
    def read(self, contig: str) -> Annotation:
        """Read what the file says about one contig, which may be nothing.

        Raises:
            DataError: A record is bad, and such are not to be skipped; names the file and the line.
        """

    def read_all(self) -> Annotation:
        """Read what the file says about all contigs."""
        genes: list[Gene] = []
        lengths: dict[str, int] = {}
        lines: dict[str, int] = {}
        circular: set[str] = set()
        skipped = Counter(self.skipped)
        with without_garbage_collection():
            for contig in self.contigs:
                part = self.read(contig)
                genes += part.genes
                lengths |= part.contig_lengths
                lines |= part.contig_lines
                circular |= part.circular
                skipped.update(part.skipped)
        return Annotation(
            tuple(genes), lengths, frozenset(circular), dict(sorted(skipped.items())), lines
        )


class HeldAnnotation(AnnotationFile):
    """An annotation in memory that looks like a file."""

    def __init__(self, annotation: Annotation) -> None:
        super().__init__(annotation.skipped)
        self._parts: dict[str, list[Gene]] = {name: [] for name in annotation.contig_lines}
        for gene in annotation.genes:
            self._parts[gene.contig].append(gene)
        self._whole = annotation

    @property
    def contigs(self) -> Sequence[str]:
        """All contigs."""
        return tuple(self._parts)

    def most_genes(self, contig: str) -> int:
        """Return the number of genes."""
        return len(self._parts.get(contig, ()))

    def read(self, contig: str) -> Annotation:
        """Return the genes of one contig."""
        whole = self._whole
        lengths, lines = whole.contig_lengths, whole.contig_lines
        return Annotation(
            genes=tuple(self._parts.get(contig, ())),
            contig_lengths={contig: lengths[contig]} if contig in lengths else {},
            circular=whole.circular & {contig},
            skipped={},
            contig_lines={contig: lines[contig]} if contig in lines else {},
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
