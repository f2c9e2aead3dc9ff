"""Verified genes against predicted ones: is the stop called, and with it the right start?

A gene is known by its contig, strand and stop; of each there is one call at most. Files of verified
genes are GFF of CDS lines whose last column has `gene_id=NAME` and may have `start_codon=ATG`, its
attributes divided by blanks or semicolons.

Example:
    >>> gene = VerifiedGene("dnaK", "c1", 1, 100, 400)
    >>> judge([gene], [Call("c1", 1, 130, 400, 0.9)])[0].offset_bp
    30
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias

from genet5.errors import DataError, FormatError
from genet5.genome.gene import Gene
from genet5.genome.io.files import open_text
from genet5.genome.sequence import Bases, decode_bases, reverse_complement

Kind: TypeAlias = Literal["right", "upstream", "downstream", "missed"]

KINDS: tuple[Kind, ...] = ("right", "upstream", "downstream", "missed")
SHADOW_SHARE = 0.5
"""A call on the other strand over at least this share of a gene is its shadow."""
_NAME = re.compile(r"(?:^|[;\s])(?:gene_id|gene|Name|ID)=([^;\s]+)")
_CODON = re.compile(r"(?:^|[;\s])start_codon=([ACGTacgt]{3})")


@dataclass(frozen=True, slots=True)
class VerifiedGene:
    """A gene whose start an experiment has shown: 0-based half-open, stop codon included."""

    name: str
    contig: str
    strand: int
    start: int
    end: int
    start_codon: str = ""
    """As its file has it, upper case; empty: not stated."""


@dataclass(frozen=True, slots=True)
class Call:
    """The coding sequence of a predicted gene: 0-based half-open, stop codon included."""

    contig: str
    strand: int
    start: int
    end: int
    score: float | None = None

    def overlap_bp(self, gene: VerifiedGene) -> int:
        """Bases shared with a gene of the same contig, whatever its strand."""
        return max(0, min(self.end, gene.end) - max(self.start, gene.start))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a tool made of one verified gene."""

    gene: VerifiedGene
    kind: Kind
    offset_bp: int = 0
    """From the verified start to the called one; below 0 the call is too long."""
    score: float | None = None
    """Of the call with the gene's stop."""
    shadows: tuple[Call, ...] = field(default=())
    """Calls on the other strand over half of the gene or more."""


def read_verified(path: Path) -> list[VerifiedGene]:
    """Read a file of verified genes, in its order.

    Raises:
        FormatError: A line is no CDS line, or two genes have the same stop.
    """
    genes: dict[tuple[str, int, int], VerifiedGene] = {}
    with open_text(path) as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.startswith("#"):
                continue
            gene = _parse(line, path, number)
            if stop_of(gene) in genes:
                raise FormatError(
                    f"{gene.name} has the stop of {genes[stop_of(gene)].name}",
                    expected="each gene once",
                    path=path,
                    line=number,
                )
            genes[stop_of(gene)] = gene
    return list(genes.values())


def _parse(line: str, path: Path, number: int) -> VerifiedGene:
    """Turn a CDS line into a gene; one without a name is called by its position."""
    columns = line.rstrip("\n").split("\t")
    numbers = columns[3:5]
    if len(columns) < 7 or not all(n.isdigit() for n in numbers) or columns[6] not in ("+", "-"):
        raise FormatError(
            f"line {line[:80]!r}",
            expected="GFF: contig, source, CDS, start, end, score, strand, phase, attributes",
            path=path,
            line=number,
        )
    start, end = map(int, numbers)
    attributes = columns[8] if len(columns) > 8 else ""
    named, codon = _NAME.search(attributes), _CODON.search(attributes)
    strand = 1 if columns[6] == "+" else -1
    name = named[1] if named else f"{columns[0]}:{start}-{end}({columns[6]})"
    return VerifiedGene(name, columns[0], strand, start - 1, end, codon[1].upper() if codon else "")


def on_genome(
    genes: Iterable[VerifiedGene], contigs: Mapping[str, Bases], path: Path
) -> list[VerifiedGene]:
    """Give verified genes the contig names of a genome, and check that they lie on it.

    A contig named without its version ("NC_000854") is the one with it ("NC_000854.2").

    Args:
        genes: As their file has them.
        contigs: The genome.
        path: Of the genome, for messages.

    Raises:
        DataError: A contig is missing, or other bases stand where a gene's start codon should be:
            coordinates of another assembly.
    """
    full = {name.partition(".")[0]: name for name in contigs}
    placed = []
    for gene in genes:
        name = gene.contig if gene.contig in contigs else full.get(gene.contig)
        if name is None:
            raise DataError(f"no contig {gene.contig}", path=path)
        placed.append(replace(gene, contig=name))
        _check_codon(placed[-1], contigs[name], path)
    return placed


def _check_codon(gene: VerifiedGene, bases: Bases, path: Path) -> None:
    """Compare the stated start codon with the bases."""
    coding = bases[gene.start : gene.end]
    coding = reverse_complement(coding) if gene.strand < 0 else coding
    if gene.start_codon and (found := decode_bases(coding[:3]).upper()) != gene.start_codon:
        raise DataError(
            f"{found or 'no base'} at the start of {gene.name}",
            expected=gene.start_codon,
            path=path,
            remedy="Take the assembly that the verified starts were mapped to",
        )


def calls_of(genes: Iterable[Gene]) -> list[Call]:
    """Return the canonical coding sequences of predicted genes that have a stop."""
    return [
        Call(gene.contig, gene.strand, tx.cds[0].start, tx.cds[-1].end, gene.score)
        for gene in genes
        if gene.is_coding and not (tx := gene.canonical).partial_3
    ]


def judge(genes: Sequence[VerifiedGene], calls: Iterable[Call]) -> list[Outcome]:
    """Say of each verified gene what the calls made of it."""
    by_stop: dict[tuple[str, int, int], Call] = {}
    on_strand: dict[tuple[str, int], list[Call]] = defaultdict(list)
    for call in calls:
        by_stop[stop_of(call)] = call
        on_strand[call.contig, call.strand].append(call)
    outcomes = []
    for gene in genes:
        found = by_stop.get(stop_of(gene))
        shadows = tuple(
            call
            for call in on_strand[gene.contig, -gene.strand]
            if call.overlap_bp(gene) >= SHADOW_SHARE * (gene.end - gene.start)
        )
        outcomes.append(_outcome(gene, found, shadows))
    return outcomes


def _outcome(gene: VerifiedGene, found: Call | None, shadows: tuple[Call, ...]) -> Outcome:
    if found is None:
        return Outcome(gene, "missed", shadows=shadows)
    offset_bp = found.start - gene.start if gene.strand > 0 else gene.end - found.end
    kind: Kind = "right" if not offset_bp else "upstream" if offset_bp < 0 else "downstream"
    return Outcome(gene, kind, offset_bp, found.score, shadows)


def stop_of(item: VerifiedGene | Call) -> tuple[str, int, int]:
    """Return contig, strand and the 3' end."""
    return item.contig, item.strand, item.end if item.strand > 0 else item.start


def cut_to(genes: Iterable[VerifiedGene], sizes: Mapping[str, int]) -> list[VerifiedGene]:
    """Keep the genes that lie whole within the first bases of their contigs."""
    return [gene for gene in genes if gene.end <= sizes.get(gene.contig, 0)]
