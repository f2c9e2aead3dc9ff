"""Weights of genes in the loss: short genes, and genes whose codon use is unlike their genome's.

A network that reads coding statistics finds long genes of common codon use by themselves; what it
misses is short, or highly expressed with a codon use of its own (ribosomal proteins, cold-shock
proteins). How far a gene's codon use lies from its contig's is Pearson's chi-square statistic less
its expectation, by the number of codons, so that short genes are not unusual for their shortness.

Example:
    >>> counts = np.zeros((3, 64)); counts[:, 5] = 90; counts[0, 5], counts[0, 6] = 30, 60
    >>> int(codon_bias(counts).argmax())
    0
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from genet5.config.bake import BakeConfig
from genet5.genome.frames import in_reading_order
from genet5.genome.gene import Gene
from genet5.genome.sequence import Bases, codon_index, on_strand

UNUSUAL_SHARE = 0.15
"""Share of a contig's coding genes that count as unusual."""
_FEWEST_GENES = 50  # contigs with fewer have no codon use to differ from


def gene_weights(
    genes: Sequence[Gene], bases: Bases, config: BakeConfig
) -> NDArray[np.float32] | None:
    """Return the weight of each gene of a contig, (genes,); None if all weigh 1.

    Args:
        genes: Of one contig; copies of genes over its origin may begin before base 0.
        bases: (L,) of the contig.
        config: With the weights.
    """
    if config.short_gene_weight == config.unusual_gene_weight == 1:
        return None
    weights = np.ones(len(genes), dtype=np.float32)
    coding = [index for index, gene in enumerate(genes) if gene.is_coding]
    for index in coding:
        if genes[index].canonical.cds_length < config.short_gene_bp:
            weights[index] = config.short_gene_weight
    if config.unusual_gene_weight > 1 and len(coding) >= _FEWEST_GENES:
        bias = codon_bias(np.array([_codon_counts(genes[index], bases) for index in coding]))
        for rank in np.argsort(-bias, kind="stable")[: round(UNUSUAL_SHARE * len(coding))]:
            index = coding[rank]
            weights[index] = max(weights[index], config.unusual_gene_weight)
    return weights


def codon_bias(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far each gene's codon use is from that of all, a codon; 0 is expected by chance.

    Args:
        counts: (genes, 64) codons of each gene.
    """
    total = counts.sum(axis=0) + 1
    share = total / total.sum()
    number = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    statistic = ((counts - number * share) ** 2 / (number * share)).sum(axis=1)
    bias: NDArray[np.float64] = (statistic - (1 - share).sum()) / number[:, 0]
    return bias


def _codon_counts(gene: Gene, bases: Bases) -> NDArray[np.float64]:
    """(64,) Codons of a gene's canonical CDS; a gene over the origin is read around it."""
    parts = in_reading_order(gene.canonical.cds, gene.strand)
    coding = [
        on_strand(bases.take(np.arange(cds.start, cds.end), mode="wrap"), gene.strand)
        for cds in parts
    ]
    codons = codon_index(np.concatenate(coding)[parts[0].phase :])
    whole = codons[: len(codons) // 3 * 3 : 3]
    return np.bincount(whole[whole >= 0], minlength=64).astype(np.float64)
