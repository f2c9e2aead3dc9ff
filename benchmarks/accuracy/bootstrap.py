"""Intervals for the difference of two tools' F1 by the paired bootstrap.

Both tools are drawn on the same units.

Units are genomes (the statistic is the mean of their F1s), or blocks of one genome (the F1 of all
their counts). Each of 10,000 draws takes as many units as there are, with replacement; the interval
is the middle 95 % of the differences (Efron 1979, https://doi.org/10.1214/aos/1176344552). Fewer
than five units are too few, and get no interval.

Loci (genes of the reference and of all tools that overlap on a strand) belong to the 100-kb block
in which they begin, and are never cut: the counts of all blocks add up to the genome's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from genet5.genome.gene import Gene
from genet5.genome.io.annotation import Annotation
from genet5.score.genes import score_genes
from genet5.score.levels import Level

NUM_DRAWS = 10_000
SEED = 1
CONFIDENCE = 0.95
MIN_UNITS = 5
"""Fewer units get no interval."""
BLOCK_BP = 100_000

Counts = NDArray[np.int64]
"""(..., 3): right, predicted, reference."""


@dataclass(frozen=True, slots=True)
class Difference:
    """F1 of one tool minus that of another, with its interval."""

    value: float
    low: float | None
    """None: too few units."""
    high: float | None
    units: int


def f1_of(counts: NDArray[np.generic]) -> NDArray[np.float64]:
    """Turn counts (..., 3) into F1 (...); NaN where neither side has anything."""
    right, predicted, reference = np.moveaxis(counts, -1, 0).astype(np.float64)
    total = predicted + reference
    return np.divide(2 * right, total, out=np.full(total.shape, np.nan), where=total > 0)


def compare_blocks(first: Counts, second: Counts) -> Difference:
    """Compare two tools on the blocks of one genome.

    Args:
        first: (units, 3) counts of the first tool in each block.
        second: Those of the second, in the same order.
    """
    weights = _weights(len(first))
    drawn = f1_of(weights @ first) - f1_of(weights @ second)
    value = f1_of(first.sum(axis=0)) - f1_of(second.sum(axis=0))
    return _difference(float(value), drawn, len(first))


def compare_means(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Compare two tools by the mean of their values on the same units (F1s of genomes, say)."""
    gains = np.subtract(first, second)
    drawn = _weights(len(gains)) @ gains / len(gains)
    return _difference(float(gains.mean()), drawn, len(gains))


@cache
def _weights(num_units: int) -> NDArray[np.int64]:
    """How often each draw takes each unit, (draws, units)."""
    chances = np.full(num_units, 1 / num_units)
    return np.random.default_rng(SEED).multinomial(num_units, chances, size=NUM_DRAWS)


def _difference(value: float, drawn: NDArray[np.float64], units: int) -> Difference:
    if units < MIN_UNITS or not np.isfinite(drawn).any():
        return Difference(value, None, None, units)
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.nanpercentile(drawn, [tail, 100 - tail])
    return Difference(value, float(low), float(high), units)


def count_by_block(
    predicted: Mapping[str, Sequence[Gene]],
    truth: Annotation,
    sizes: Mapping[str, int],
    block_bp: int = BLOCK_BP,
) -> dict[str, dict[str, Counts]]:
    """Count what each tool has right in each block of a genome without circles.

    A block's counts are those of the whole genome minus those without the block's loci, so that
    every rule of the scorer holds.

    Args:
        predicted: Genes of each tool.
        truth: The true genes.
        sizes: Contigs with their lengths in bp.
        block_bp: Length of blocks; a contig's last one may be shorter.

    Returns:
        Tool -> level -> (blocks, 3).
    """
    true = [gene for gene in truth.genes if gene.is_coding or gene.pseudo]
    guesses = {tool: [g for g in genes if g.contig in sizes] for tool, genes in predicted.items()}
    places = _blocks_of([*true, *(g for genes in guesses.values() for g in genes)], sizes, block_bp)
    num_blocks = sum(-(-size // block_bp) for size in sizes.values())
    return {
        tool: _table(genes, replace(truth, genes=tuple(true)), places, num_blocks)
        for tool, genes in guesses.items()
    }


def _table(
    genes: Sequence[Gene], truth: Annotation, places: Mapping[int, int], num_blocks: int
) -> dict[str, Counts]:
    """Counts of one tool in each block."""
    total = _counts(genes, truth)
    table = {level: np.zeros((num_blocks, 3), dtype=np.int64) for level in total}
    whole_truth = None
    for block in sorted({places[id(gene)] for gene in (*genes, *truth.genes)}):
        others = [gene for gene in genes if places[id(gene)] != block]
        rest = tuple(gene for gene in truth.genes if places[id(gene)] != block)
        if not any(gene.is_coding for gene in rest):
            whole_truth = block  # gets what the others leave: the scorer wants a true gene
            continue
        for level, counts in _counts(others, replace(truth, genes=rest)).items():
            table[level][block] = total[level] - counts
    if whole_truth is not None:
        for level, counts in table.items():
            counts[whole_truth] = total[level] - counts.sum(axis=0)
    return table


def _counts(genes: Sequence[Gene], truth: Annotation) -> dict[str, Counts]:
    levels = score_genes(genes, truth.genes, truth.contig_lengths, prokaryote=False).levels
    return {name: counts_of(level) for name, level in levels.items()}


def counts_of(level: Level) -> Counts:
    """Return (3,) counts: right, predicted, reference."""
    return np.array([level.tp, level.predicted, level.reference], dtype=np.int64)


def _blocks_of(genes: Iterable[Gene], sizes: Mapping[str, int], block_bp: int) -> dict[int, int]:
    """The block of each gene's locus, by the gene's identity."""
    first_block, here = {}, 0
    for contig, size in sizes.items():
        first_block[contig] = here
        here += -(-size // block_bp)
    places: dict[int, int] = {}
    line, end, block = ("", 0), 0, 0
    ordered = sorted(genes, key=lambda gene: (gene.contig, gene.strand, gene.start))
    for gene in ordered:
        if (gene.contig, gene.strand) != line or gene.start >= end:
            line, end = (gene.contig, gene.strand), gene.end
            block = first_block[gene.contig] + gene.start // block_bp
        end = max(end, gene.end)
        places[id(gene)] = block
    return places
