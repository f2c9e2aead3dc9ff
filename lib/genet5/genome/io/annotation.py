"""The content of an annotation file, whatever its format: all at once, or contig by contig."""

from __future__ import annotations

import gc
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import overload

from genet5.genome.gene import Gene
from genet5.genome.io.feature_table import ContigTable
from genet5.genome.io.read_options import ReadOptions
from genet5.genome.io.read_report import ReadReport, Summary, log_summary


@dataclass(frozen=True, slots=True)
class Annotation(Sequence[Gene]):
    """What an annotation file holds: a sequence of genes, and what is known of their contigs."""

    genes: tuple[Gene, ...]
    """By contig in the file's order, then by start and end."""
    contig_lengths: dict[str, int]
    """Of the contigs whose length the file states (##sequence-region, a region feature, LOCUS),
    in the file's order."""
    circular: frozenset[str]
    """Contigs that the file marks as circular."""
    skipped: dict[str, int]
    """Left out, by cause: bad records (with `skip_bad`), and what a `Gene` cannot express."""
    contig_lines: dict[str, int] = field(default_factory=dict, compare=False, repr=False)
    """Line of the file that names each contig first."""
    summary: Summary = field(default_factory=Summary, compare=False, repr=False)

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
        cls, tables: Iterable[ContigTable], genes: Iterable[Gene], report: ReadReport
    ) -> Annotation:
        """Put the result of a reader together."""
        tables, genes = list(tables), tuple(genes)
        return cls(
            genes=genes,
            contig_lengths={t.name: t.length for t in tables if t.length is not None},
            circular=frozenset(table.name for table in tables if table.circular),
            skipped=dict(sorted(report.skipped.items())),
            contig_lines={table.name: table.line for table in tables},
            summary=report.summary,
        )


class AnnotationFile(ABC):
    """An open annotation file, to be read contig by contig in any order.

    Args:
        path: For messages.
        options: How to read it.
        skipped: Bad records that belong to no contig, by cause.
    """

    def __init__(self, path: Path, options: ReadOptions, skipped: dict[str, int]) -> None:
        self.path, self.options, self.skipped = path, options, skipped
        self._summary, self._all_skipped = Summary(), Counter(skipped)
        self._read_contigs: set[str] = set()

    @property
    @abstractmethod
    def contigs(self) -> Sequence[str]:
        """All contigs that the file names, in its order."""

    @abstractmethod
    def most_genes(self, contig: str) -> int:
        """An upper limit of the number of genes on the contig, known without reading them."""

    def read(self, contig: str) -> Annotation:
        """Read the genes of one contig, of which there may be none.

        Raises:
            DataError: A record is bad, and such are not to be skipped; names file and line.
        """
        part = self._read(contig)
        if contig not in self._read_contigs:
            self._read_contigs.add(contig)
            self._summary.add(part.summary)
            self._all_skipped.update(part.skipped)
        return part

    @abstractmethod
    def _read(self, contig: str) -> Annotation:
        """Read the genes of one contig."""

    def read_all(self) -> Annotation:
        """Read the genes of all contigs."""
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
            tuple(genes), lengths, frozenset(circular), dict(sorted(skipped.items())), lines,
            self._summary,
        )  # fmt: skip

    def finish(self) -> None:
        """Log the summary, if all contigs were read.

        Raises:
            DataError: Bad records were skipped, and no gene is left.
        """
        if self._read_contigs.issuperset(self.contigs):
            log_summary(self.path, self._summary, self._all_skipped, self.options)


class HeldAnnotation(AnnotationFile):
    """An annotation in memory with the interface of a file."""

    def __init__(self, annotation: Annotation, path: Path, options: ReadOptions) -> None:
        super().__init__(path, options, annotation.skipped)
        self._parts: dict[str, list[Gene]] = {name: [] for name in annotation.contig_lines}
        for gene in annotation.genes:
            self._parts[gene.contig].append(gene)
        self._whole = annotation
        self._summary.add(annotation.summary)

    @property
    def contigs(self) -> Sequence[str]:
        """All contigs."""
        return tuple(self._parts)

    def most_genes(self, contig: str) -> int:
        """Return the number of genes."""
        return len(self._parts.get(contig, ()))

    def _read(self, contig: str) -> Annotation:
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
    """Pause the search for reference cycles.

    It takes a third of the time where millions of small objects without cycles are made.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
