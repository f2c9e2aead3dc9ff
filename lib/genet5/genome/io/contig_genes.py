"""Genes of any order, brought to the order of a file: by contig, then by start and end."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from genet5.genome.gene import Gene


class LineWriter(Protocol):
    """Writes genes as lines, contig by contig."""

    def header(self, contigs: Iterable[tuple[str, int]]) -> None:
        """Write what precedes all genes; contigs are names and lengths."""

    def contig(
        self, name: str, length: int, genes: Iterable[Gene], *, is_circular: bool = False
    ) -> None:
        """Write the genes of a contig, which ascend by start and end."""


@dataclass(frozen=True, slots=True)
class ContigGenes:
    """A contig and its genes."""

    name: str
    length: int
    """In bases; 0 = not known."""
    is_circular: bool
    genes: list[Gene] = field(default_factory=list)
    """Ascending by start and end."""


def genes_by_contig(
    genes: Iterable[Gene], contig_lengths: Mapping[str, int], circular: Collection[str] = ()
) -> list[ContigGenes]:
    """Divide and sort genes.

    Args:
        genes: In any order.
        contig_lengths: Name -> bases, in the order of the file; contigs of genes alone come last.
        circular: Contigs that are circular; those with a gene over the origin are so anyway.
    """
    by_contig: dict[str, list[Gene]] = {name: [] for name in contig_lengths}
    for gene in genes:
        by_contig.setdefault(gene.contig, []).append(gene)
    found = []
    for name, some in by_contig.items():
        length = contig_lengths.get(name, 0)
        is_circular = name in circular or any(gene.end > length > 0 for gene in some)
        some.sort(key=lambda gene: (gene.start, gene.end))
        found.append(ContigGenes(name, length, is_circular, some))
    return found


def write_all(
    writer: LineWriter, contigs: Iterable[ContigGenes], contig_lengths: Mapping[str, int]
) -> None:
    """Write a whole file."""
    writer.header(contig_lengths.items())
    for contig in contigs:
        writer.contig(contig.name, contig.length, contig.genes, is_circular=contig.is_circular)
