"""Weights of short genes and of genes with a codon use of their own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from genet5.config.bake import BakeConfig
from genet5.dataset.gene_weights import UNUSUAL_SHARE, codon_bias, gene_weights
from genet5.genome.gene import Cds, Exon, Gene, Transcript
from genet5.genome.sequence import encode_bases

CONFIG = BakeConfig(raw_dir=Path("raw"), output_dir=Path("out"), tokenizer=Path("t"))


def coding(start: int, end: int, strand: int = 1) -> Gene:
    transcript = Transcript(id="t", exons=(Exon(start, end),), cds=(Cds(start, end, 0),))
    return Gene(id=f"g{start}", contig="c", strand=strand, transcripts=(transcript,))


def test_without_weights_nothing_is_computed() -> None:
    assert gene_weights([coding(0, 9)], encode_bases("ATGCCCTAA"), CONFIG) is None


def test_genes_below_the_limit_weigh_more() -> None:
    config = replace(CONFIG, short_gene_weight=2.5, short_gene_bp=12)
    weights = gene_weights([coding(0, 9), coding(9, 21)], encode_bases("ATGCCCTAA" * 3), config)
    assert weights is not None
    assert weights.tolist() == [2.5, 1.0]


def test_genes_of_unusual_codons_weigh_more_on_either_strand_and_over_the_origin() -> None:
    usual, unusual = "ATG" + "GCA" * 40 + "TAA", "ATG" + "CGT" * 40 + "TAA"
    size = len(usual)
    text = usual * 59 + unusual
    genes = [coding(size * n, size * (n + 1)) for n in range(60)]
    config = replace(CONFIG, unusual_gene_weight=3.0)
    weights = gene_weights(genes, encode_bases(text), config)
    assert weights is not None
    assert weights[-1] == 3.0
    assert (weights > 1).sum() == round(UNUSUAL_SHARE * 60)
    turned = text[-size // 2 :] + text[: -size // 2]  # the last gene runs over the origin
    moved = [coding(size * n + size // 2, size * (n + 1) + size // 2) for n in range(60)]
    assert np.array_equal(gene_weights(moved, encode_bases(turned), config), weights)


def test_a_short_gene_is_not_unusual_for_its_shortness() -> None:
    rng = np.random.default_rng(0)
    use = rng.dirichlet(np.ones(64) * 3)
    counts = np.array([rng.multinomial(n, use) for n in [40] * 300 + [400] * 300], dtype=float)
    bias = codon_bias(counts)
    # By chance each of 63 free shares adds 1: without the correction 63 / 40 against 63 / 400.
    assert abs(bias[:300].mean() - bias[300:].mean()) < 0.1
