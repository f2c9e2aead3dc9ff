"""An artificial annotation of human size, and a prediction of it with every kind of error.

Genes lie in proportion to the lengths of human chromosomes, none overlapping; each has isoforms
with UTRs. Both are made from a generator, so that a seed gives the same files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

Span = tuple[int, int]

_MBP = [
    248, 242, 198, 190, 181, 171, 159, 145, 138, 134, 135, 133,
    114, 107, 102, 90, 83, 80, 59, 64, 47, 51, 156, 57,
]  # fmt: skip
CONTIGS = dict(sorted(zip((f"chr{name}" for name in (*range(1, 23), "X", "Y")), _MBP, strict=True)))
"""Human chromosomes and their lengths in Mbp, in the order that gt eval asks for."""
FATES = {
    "right": 0.66,
    "missed": 0.06,
    "extra": 0.04,
    "wrong strand": 0.01,
    "split": 0.03,
    "merged": 0.02,
    "start": 0.05,
    "stop": 0.05,
    "splice": 0.08,
}
"""What becomes of a gene in the prediction.

In all of its isoforms, or in the first where it is split or merged.
"""
MOVED_BP = 30
"""How far a wrong start, stop or splice site lies from the true one."""


@dataclass(frozen=True, slots=True)
class Isoform:
    """Exons ascending, 0-based half-open; the CDS reaches from one base to another."""

    exons: tuple[Span, ...]
    cds: Span

    def coding(self) -> list[Span]:
        """Return the coding part of each exon that has one."""
        first, last = self.cds
        cut = ((max(start, first), min(end, last)) for start, end in self.exons)
        return [(start, end) for start, end in cut if start < end]


@dataclass(frozen=True, slots=True)
class Locus:
    """A gene."""

    contig: str
    strand: int
    isoforms: tuple[Isoform, ...]


def make_genes(num_genes: int, exons: int, rng: np.random.Generator) -> list[Locus]:
    """Make the reference: genes in proportion to the contigs' lengths, none overlapping."""
    share = np.array(list(CONTIGS.values())) / sum(CONTIGS.values())
    counts = np.maximum(1, np.floor(share * num_genes).astype(int))
    counts[0] += num_genes - counts.sum()
    genes: list[Locus] = []
    for contig, count in zip(CONTIGS, counts, strict=True):
        at = 10_000
        for _ in range(count):
            at += int(rng.integers(2_000, 60_000))
            gene = make_gene(contig, at, exons, rng)
            genes.append(gene)
            at = gene.isoforms[0].exons[-1][1]
    return genes


def make_gene(contig: str, start: int, exons: int, rng: np.random.Generator) -> Locus:
    """Make a gene of four isoforms, which differ in inner splice sites and so share most exons."""
    sizes = 3 * rng.integers(30, 90, exons)
    gaps = rng.integers(200, 4_000, exons)
    starts = start + np.cumsum(np.concatenate([[0], (sizes + gaps)[:-1]]))
    spans = [(int(a), int(a + n)) for a, n in zip(starts, sizes, strict=True)]
    cds = (spans[1][0] + 30, spans[-2][1] - 30)  # the first and the last exon are UTR
    isoforms = [Isoform(tuple(spans), cds)]
    for at in rng.permutation(np.arange(2, exons - 1))[:3].tolist():
        moved = list(spans)
        moved[at] = (spans[at][0] + 9, spans[at][1])
        isoforms.append(Isoform(tuple(moved), (cds[0], min(cds[1], moved[-2][1] - 30))))
    while len(isoforms) < 4:
        isoforms.append(isoforms[-1])
    return Locus(contig, int(rng.choice((1, -1))), tuple(isoforms))


def perturbed(genes: Sequence[Locus], rng: np.random.Generator) -> Iterator[Locus]:
    """Yield a prediction for the genes: some right, some wrong in every way there is."""
    fates = rng.choice(list(FATES), len(genes), p=np.array(list(FATES.values())))
    skip = False
    for at, gene in enumerate(genes):
        if skip:
            skip = False
            continue
        fate = str(fates[at])
        after = genes[at + 1] if at + 1 < len(genes) else None
        if fate == "merged" and after is not None and after.contig == gene.contig:
            yield _merged(gene, after)
            skip = True
        else:
            yield from _spoilt(gene, fate, rng)


def _spoilt(gene: Locus, fate: str, rng: np.random.Generator) -> Iterator[Locus]:
    first = gene.isoforms[0]
    if fate == "missed":
        return
    if fate == "split":
        half = len(first.exons) // 2
        yield replace(gene, isoforms=(_part(first, 0, half),))
        yield replace(gene, isoforms=(_part(first, half, len(first.exons)),))
        return
    if fate == "extra":
        start = first.exons[0][0] - 1_500
        yield replace(gene, isoforms=(Isoform(((start, start + 900),), (start + 30, start + 630)),))
    at = int(rng.integers(1, len(first.exons) - 2))
    isoforms = tuple(_moved(isoform, fate, gene.strand, at) for isoform in gene.isoforms)
    yield Locus(gene.contig, -gene.strand if fate == "wrong strand" else gene.strand, isoforms)


def _moved(isoform: Isoform, fate: str, strand: int, at: int) -> Isoform:
    """The isoform with a wrong start, stop or splice site, if that is its fate."""
    left, right = isoform.cds
    if fate == "splice":
        start, end = isoform.exons[at]
        longer = (start, end + MOVED_BP)
        return replace(isoform, exons=(*isoform.exons[:at], longer, *isoform.exons[at + 1 :]))
    if fate in ("start", "stop"):
        at_left = (fate == "start") == (strand > 0)
        return replace(
            isoform, cds=(left + MOVED_BP, right) if at_left else (left, right - MOVED_BP)
        )
    return isoform


def _part(isoform: Isoform, first: int, last: int) -> Isoform:
    exons = isoform.exons[first:last]
    cds = (max(isoform.cds[0], exons[0][0]), min(isoform.cds[1], exons[-1][1]))
    return Isoform(exons, cds)


def _merged(gene: Locus, after: Locus) -> Locus:
    one, two = gene.isoforms[0], after.isoforms[0]
    both = Isoform(one.exons + two.exons, (one.cds[0], two.cds[1]))
    return replace(gene, isoforms=(both,))


def gff3_lines(genes: Sequence[Locus]) -> Iterator[str]:
    """Yield the lines of a GFF3 file."""
    yield "##gff-version 3\n"
    for name, mbp in CONTIGS.items():
        yield f"##sequence-region {name} 1 {mbp}000000\n"
    for number, gene in enumerate(genes):
        yield from _gene_lines(gene, f"g{number:05d}")
        yield "###\n"


def _gene_lines(gene: Locus, name: str) -> Iterator[str]:
    sign = "+" if gene.strand > 0 else "-"
    edges = [edge for isoform in gene.isoforms for exon in isoform.exons for edge in exon]
    head = f"{gene.contig}\tbench\t"
    place = f"{min(edges) + 1}\t{max(edges)}\t.\t{sign}\t."
    yield f"{head}gene\t{place}\tID={name};gene_biotype=protein_coding\n"
    for number, isoform in enumerate(gene.isoforms, 1):
        tx = f"{name}.t{number}"
        span = f"{isoform.exons[0][0] + 1}\t{isoform.exons[-1][1]}"
        yield f"{head}mRNA\t{span}\t.\t{sign}\t.\tID={tx};Parent={name}\n"
        for at, (start, end) in enumerate(isoform.exons, 1):
            yield f"{head}exon\t{start + 1}\t{end}\t.\t{sign}\t.\tID={tx}.e{at};Parent={tx}\n"
        coding = isoform.coding()
        phases, phase = [], 0
        for start, end in coding if gene.strand > 0 else coding[::-1]:
            phases.append(phase)
            phase = (phase - (end - start)) % 3
        for (start, end), phase in zip(
            coding, phases if gene.strand > 0 else phases[::-1], strict=True
        ):
            yield f"{head}CDS\t{start + 1}\t{end}\t.\t{sign}\t{phase}\tID={tx}.cds;Parent={tx}\n"
