"""Make an artificial bacterial genome together with its true genes.

The signals that gene finders use are modelled: codon usage that follows GC content and varies
between and along genes, start and stop codons in their natural shares, ribosome binding sites of
varying strength, gene lengths, operons with short gaps and overlaps, both strands, and AT-richer
DNA between genes. Nothing is copied from a real genome. The work is done on whole arrays (about
0.15 s for 1 Mbp), except for what joins two genes.

Example:
    >>> contigs, genes = simulate_bacterium(20_000, seed=1)
    >>> len(contigs[0].bases), genes[0].id
    (20000, 'sim_00001')
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genet5.genome.codes import GeneticCode, genetic_code
from genet5.genome.gene import Cds, Exon, Gene, Transcript
from genet5.genome.io.fasta import Contig
from genet5.simulate.codon_usage import CodonUsage, codon_usage
from genet5.simulate.dna import (
    STARTS,
    STOPS,
    Indices,
    as_indices,
    as_letters,
    background,
    check_range,
    coding_sequences,
    contig_sizes,
    stop_shares,
    turn,
)

MIN_CONTIG_BP = 2_000

_START_SHARES = (0.80, 0.13, 0.07)  # of STARTS

_MIN_GENE_BP, _MEAN_GENE_BP, _GENE_SHAPE = 120, 950, 1.9
_SWITCH_STRAND = 0.28  # so a run of genes on one strand has 3.6 genes on average
_SHORT_GAP, _MEAN_SHORT_GAP_BP = 0.5, 15  # share among neighbours of one strand: operons
_GAP_SHAPE = 1.6
_DIVERGENT_MIN_BP = 45  # room for two ribosome binding sites

# Genes overlap where their codons allow it, so that the shares of starts and stops stay as drawn.
_OVERLAP_4, _OVERLAP_1, _OVERLAP_CONVERGENT = 0.5, 0.12, 0.15  # ATGA, TAATG, TTAA

_RBS_SHARE = 0.75
_RBS = "TAAGGAGGTGA"  # pairs with the 3' end of 16S rRNA; a site is a part of it around GGAG
_RBS_LENGTHS, _RBS_LENGTH_SHARES = (4, 5, 6, 7), (0.25, 0.35, 0.28, 0.12)
_SPACERS, _SPACER_SHARES = (5, 6, 7, 8, 9), (0.15, 0.20, 0.30, 0.20, 0.15)


@dataclass(frozen=True, slots=True, eq=False)
class _Layout:
    """Positions of the genes of one contig; arrays over genes from left to right."""

    start: NDArray[np.int64]
    length: NDArray[np.int64]
    strand: NDArray[np.int64]
    start_codon: NDArray[np.int64]
    """Index into STARTS."""
    stop_codon: NDArray[np.int64]
    """Index into STOPS."""

    @property
    def end(self) -> NDArray[np.int64]:
        return self.start + self.length

    def __len__(self) -> int:
        return len(self.start)


def simulate_bacterium(
    length_bp: int,
    seed: int,
    *,
    gc: float = 0.5,
    code: int = 11,
    num_contigs: int = 1,
    coding_density: float = 0.88,
) -> tuple[list[Contig], tuple[Gene, ...]]:
    """Return contigs and their genes; the same arguments give the same genome.

    Args:
        length_bp: Bases in all contigs together.
        seed: Of the random generator.
        gc: GC content of the genome, 0.25 to 0.75.
        code: NCBI number of the genetic code.
        num_contigs: Contigs of about equal length; no gene is cut by a contig's end.
        coding_density: Share of bases in genes.

    Raises:
        ConfigError: An argument is out of its range.
    """
    sizes = contig_sizes(length_bp, num_contigs, MIN_CONTIG_BP)
    check_range("gc", gc, 0.25, 0.75)
    check_range("coding_density", coding_density, 0.5, 0.95)
    rng = np.random.default_rng(seed)
    table = genetic_code(code)
    gc_between = gc - 0.32 * gc * (1 - gc)
    gc_coding = (gc - (1 - coding_density) * gc_between) / coding_density
    usage = codon_usage(table, gc_coding, rng)
    contigs: list[Contig] = []
    genes: list[Gene] = []
    for number, size in enumerate(sizes, start=1):
        name = f"simulated_{number}"
        layout = _lay_out(size, table, gc, coding_density, rng)
        between = _between_genes(size, layout, gc_between, rng)
        bases = _write_genes(between, layout, usage, table, rng)
        contigs.append(Contig(name, as_letters(bases), f"simulated bacterium, seed {seed}"))
        genes += _as_genes(layout, name, code, first=len(genes) + 1)
    return contigs, tuple(genes)


def _lay_out(
    size: int, code: GeneticCode, gc: float, density: float, rng: np.random.Generator
) -> _Layout:
    """Draw more genes than fit, place them one after the other, and keep those that fit."""
    count = size // 400 + 10
    scale = (_MEAN_GENE_BP - _MIN_GENE_BP) / _GENE_SHAPE
    num_codons = ((_MIN_GENE_BP + rng.gamma(_GENE_SHAPE, scale, count)) / 3).round()
    length = 3 * num_codons.astype(np.int64)
    strand = np.where(np.cumsum(rng.random(count) < _SWITCH_STRAND) % 2 == 0, 1, -1)
    start_codon = rng.choice(len(STARTS), size=count, p=_START_SHARES)
    stop_codon = rng.choice(len(STOPS), size=count, p=stop_shares(code, gc))
    gap = _gaps(strand, start_codon, stop_codon, density, rng)
    lead = int(rng.integers(60, 300))
    start = lead + np.concatenate(([0], np.cumsum(length[:-1] + gap)))
    fits = start + length <= size - 60
    keep = int(np.argmin(fits)) if not fits.all() else count
    return _Layout(
        start[:keep], length[:keep], strand[:keep], start_codon[:keep], stop_codon[:keep]
    )


def _gaps(
    strand: NDArray[np.int64],
    start_codon: NDArray[np.int64],
    stop_codon: NDArray[np.int64],
    density: float,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Draw the gap after each gene but the last; a negative gap is an overlap."""
    left, right = strand[:-1], strand[1:]
    same = left == right
    convergent, divergent = (left > right), (left < right)
    # The stop of the upstream gene and the start of the downstream gene.
    stop = np.where(left > 0, stop_codon[:-1], stop_codon[1:])
    atg = np.where(left > 0, start_codon[1:], start_codon[:-1]) == 0
    taa, tga = STOPS.index("TAA"), STOPS.index("TGA")
    chance = rng.random(len(left))
    overlap_4 = same & atg & (stop == tga) & (chance < _OVERLAP_4)
    overlap_1 = same & atg & (stop != STOPS.index("TAG")) & (chance > 1 - _OVERLAP_1)
    both_taa = (stop_codon[:-1] == taa) & (stop_codon[1:] == taa)
    overlap_ends = convergent & both_taa & (chance < _OVERLAP_CONVERGENT)
    short = same & ~overlap_4 & ~overlap_1 & (rng.random(len(left)) < _SHORT_GAP)
    overlapping = overlap_4 | overlap_1 | overlap_ends
    wide = ~overlapping & ~short

    gap = np.zeros(len(left), dtype=np.int64)
    gap[short] = rng.gamma(1.5, _MEAN_SHORT_GAP_BP / 1.5, int(short.sum())).round()
    gap[overlap_4 | overlap_ends] = -4
    gap[overlap_1] = -1
    gap[divergent] = _DIVERGENT_MIN_BP
    wanted = _MEAN_GENE_BP * (1 - density) / density * len(left)
    mean = max((wanted - gap.sum()) / max(wide.sum(), 1), 10.0)
    drawn = rng.gamma(_GAP_SHAPE, mean / _GAP_SHAPE, int(wide.sum())).round().astype(np.int64)
    gap[wide] += drawn
    return gap


def _between_genes(size: int, layout: _Layout, gc: float, rng: np.random.Generator) -> Indices:
    """Fill the gaps between genes; genes stay 0."""
    starts = np.concatenate(([0], layout.end))
    ends = np.concatenate((layout.start, [size]))
    gaps = background(np.maximum(ends - starts, 0), gc, rng)
    bases = np.zeros(size, dtype=np.int8)
    for start, gap in zip(starts.tolist(), gaps, strict=True):
        bases[start : start + len(gap)] = gap
    return bases


def _write_genes(
    bases: Indices,
    layout: _Layout,
    usage: CodonUsage,
    code: GeneticCode,
    rng: np.random.Generator,
) -> Indices:
    """Write the genes and their ribosome binding sites into the contig."""
    coding = coding_sequences(layout.length // 3, layout.start_codon, layout.stop_codon, usage, rng)
    _fit_overlaps(coding, layout, rng)
    sites = [_binding_site(coding, layout, index, code, rng) for index in range(len(layout))]
    for index, sequence in enumerate(coding):
        start, end = int(layout.start[index]), int(layout.end[index])
        bases[start:end] = turn(sequence, int(layout.strand[index]))
    for site in filter(None, sites):
        start, motif = site
        bases[start : start + len(motif)] = motif
    return bases


def _fit_overlaps(coding: list[Indices], layout: _Layout, rng: np.random.Generator) -> None:
    """Change the codons next to an overlap so that both genes have it: ATGA, TAATG or TTAA."""
    gap = layout.start[1:] - layout.end[:-1]
    for index in np.flatnonzero(gap < 0).tolist():
        left, right = coding[index], coding[index + 1]
        if layout.strand[index] != layout.strand[index + 1]:
            for gene in (left, right):
                gene[-6:-3] = as_indices(rng.choice(["GAT", "AAT", "GCT", "ATT"]))
        elif gap[index] == -4:
            upstream, downstream = (left, right) if layout.strand[index] > 0 else (right, left)
            upstream[-6:-3] = as_indices(rng.choice(["GAA", "AAA", "GCA", "ACA"]))
            downstream[3:6] = as_indices(rng.choice(["AAA", "AAC", "AGC", "ACC"]))


def _binding_site(
    coding: list[Indices],
    layout: _Layout,
    index: int,
    code: GeneticCode,
    rng: np.random.Generator,
) -> tuple[int, Indices] | None:
    """Draw a gene's ribosome binding site.

    Returns:
        Position and bases (forward strand) to write if it lies between genes. None if the gene
        has none, or if it lies in the gene upstream, which is changed here if its frame allows.
    """
    if rng.random() >= _RBS_SHARE:
        return None
    length = int(rng.choice(_RBS_LENGTHS, p=_RBS_LENGTH_SHARES))
    core = _RBS.index("GGAG")
    begin = int(rng.integers(max(core + 4 - length, 0), min(core, len(_RBS) - length) + 1))
    motif = as_indices(_RBS[begin : begin + length])
    spacer = int(rng.choice(_SPACERS, p=_SPACER_SHARES))
    strand = int(layout.strand[index])
    upstream = index - strand
    inside = 0 <= upstream < len(layout)
    if strand > 0:
        room = int(layout.start[index] - (layout.end[upstream] if inside else 0))
        start = int(layout.start[index]) - spacer - length
    else:
        room = int(layout.start[upstream] - layout.end[index]) if inside else spacer + length
        start = int(layout.end[index]) + spacer
    if room >= spacer + length:
        return start, turn(motif, strand)
    if inside and layout.strand[upstream] == strand:
        _put_into_gene(coding[upstream], motif, len(coding[upstream]) + room - spacer, code)
    return None


def _put_into_gene(gene: Indices, motif: Indices, end: int, code: GeneticCode) -> None:
    """Write a motif that ends before base `end` of a gene.

    Not if it would touch the gene's first or last codons, or make a stop.
    """
    start = end - len(motif)
    if end > len(gene) - 6 or start < 6:
        return
    changed = gene.copy()
    changed[start:end] = motif
    if "*" not in code.translate(as_letters(changed[:-3])):
        gene[:] = changed


def _as_genes(layout: _Layout, contig: str, code: int, first: int) -> list[Gene]:
    genes = []
    rows = zip(layout.start.tolist(), layout.end.tolist(), layout.strand.tolist(), strict=True)
    for number, (start, end, strand) in enumerate(rows, start=first):
        transcript = Transcript(
            id=f"sim_{number:05d}.1", exons=(Exon(start, end),), cds=(Cds(start, end, 0),)
        )
        genes.append(
            Gene(
                id=f"sim_{number:05d}",
                contig=contig,
                strand=strand,
                transcripts=(transcript,),
                genetic_code=code,
            )
        )
    return genes
