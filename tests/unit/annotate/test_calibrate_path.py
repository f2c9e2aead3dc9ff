"""Fitting the weights of the per-base heads' best path."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch

from builders import make_gene
from genet5.annotate.calibrate_path import fit_path
from genet5.annotate.calling_config import CallingConfig
from genet5.annotate.engine import Engine
from genet5.decode.path_weights import PathWeights
from genet5.genome.gene import Gene
from genet5.genome.io.fasta import Contig
from genet5.genome.sequence import decode_bases, encode_bases
from genet5.tokens.grammar import GrammarOptions

INTRON = "GTAAGT" + "TTC" * 8 + "TTTCAG"
FIRST, SECOND = "ATG" + "GCA" * 20 + "G", "CT" + "GAC" * 20 + "TAA"
GENE = FIRST + INTRON + SECOND
GAP = "TTCTA" * 40


def engine_of(window_bp: int, text: str, states: np.ndarray, edges: np.ndarray) -> Engine:
    """An engine that knows what the heads say of each base of a contig."""
    calling = CallingConfig(
        window_bp=window_bp, overlap_bp=window_bp // 2, genetic_code=1, grammar=GrammarOptions()
    )

    def encoded(bases: np.ndarray, code: int) -> SimpleNamespace:
        assert code == 1
        place = text.find(decode_bases(bases))  # where bases repeat, so does what the heads say
        rows = slice(place, place + len(bases))
        own = (torch.from_numpy(track[rows])[None] for track in (states, edges))
        return SimpleNamespace(**dict(zip(("state_logits", "boundary_logits"), own, strict=True)))

    return cast(Engine, SimpleNamespace(calling=calling, encoded=encoded))


def contig_of(genes: int) -> tuple[Contig, list[Gene], list[int]]:
    """A contig, its genes, each with an intron, and where these begin."""
    starts = [len(GAP) + i * len(GENE + GAP) for i in range(genes)]
    donor, acceptor = len(FIRST), len(FIRST + INTRON)
    exons = [[(s, s + donor), (s + acceptor, s + len(GENE))] for s in starts]
    contig = Contig("c", encode_bases(GAP + (GENE + GAP) * genes))
    return contig, [make_gene(*parts) for parts in exons], starts


def heads_of(contig: Contig, starts: list[int], splice: float) -> tuple[np.ndarray, np.ndarray]:
    """Heads that know nothing of states, are sure of ends, and half believe in splice sites."""
    edges = np.full((len(contig.bases), 8), -9.0, dtype=np.float32)
    for start in starts:
        edges[start, 0] = edges[start + len(GENE) - 1, 2] = 3.0
        edges[start + len(FIRST) - 1, 4] = edges[start + len(FIRST + INTRON), 6] = splice
    return np.zeros((len(contig.bases), 2, 8), dtype=np.float32), edges


@pytest.mark.parametrize("window_bp", [400, 4000])
@pytest.mark.parametrize(("splice", "least"), [(-4.0, 3.0), (2.0, 0.0)])
def test_introns_get_the_bonus_that_cautious_heads_need(
    window_bp: int, splice: float, least: float
) -> None:
    contig, genes, starts = contig_of(6)
    heads = heads_of(contig, starts, splice)
    engine = engine_of(window_bp, decode_bases(contig.bases), *heads)
    assert fit_path(engine, [([contig], genes, 1)]).intron >= least


def test_weights_stay_where_no_gene_fits_into_a_window() -> None:
    contig, _, starts = contig_of(2)
    engine = engine_of(9000, decode_bases(contig.bases), *heads_of(contig, starts, 2.0))
    assert fit_path(engine, [([contig], [], 1)]) == PathWeights()
