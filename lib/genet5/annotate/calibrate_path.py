"""Fit how evidence counts on the best path of the per-base heads, for genes with introns.

The boundary head judges each base by itself: of an intron that it half believes in, both sites have
low logits, though the reading frame leaves no other way to go on. How far it is too cautious, and
how far the state head's probabilities of neighbouring bases repeat each other, differs from model
to model and changes while it is trained. So both weights are chosen on validation genomes: windows
are encoded once, then those weights of a grid are taken whose paths have the best F1 of whole
genes, neighbours in the grid included.

Example:
    weights = fit_path(engine, [(contigs, genes, 1)])
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genet5.annotate.calling_config import CallingConfig
from genet5.annotate.engine import Engine
from genet5.decode.best_path import best_paths, weighed_edges
from genet5.decode.path_weights import PathWeights
from genet5.decode.viterbi import Float
from genet5.genome.gene import Gene
from genet5.genome.io.fasta import AnyContig
from genet5.tokens.signals import Signals, build_signals
from genet5.tokens.window import WindowGene

log = logging.getLogger(__name__)

MOST_BP = 500_000
"""Bases of each genome that are encoded for this."""
STATES = (0.0, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02)
INTRONS = tuple(float(x) for x in range(10))
"""Values of the weights that are tried."""

Chain = tuple[int, tuple[tuple[int, int], ...]]
"""Strand and coding intervals of a gene."""


@dataclass(frozen=True, slots=True)
class EncodedWindows:
    """Windows of one contig with what the heads say, and the genes that lie in them."""

    starts: list[int]
    """First base of each window."""
    margin: int
    """Genes of a window count if their middle is this far from its ends."""
    signals: Signals
    states: Float
    edges: Tensor
    reference: frozenset[Chain]
    """Complete genes that count for one of the windows and fit into it; each transcript."""
    genes: int
    """Number of such genes."""

    def path_genes(self, calling: CallingConfig, weights: PathWeights) -> set[Chain]:
        """Return the complete genes on the windows' best paths."""
        edges = weighed_edges(self.edges, weights).numpy()
        rows = best_paths(self.signals, calling.grammar, self.states, edges, weights)
        return {
            gene
            for start, row, length in zip(
                self.starts, rows, self.signals.lengths.tolist(), strict=True
            )
            for gene in _placed(row, start)
            if _counts(gene, start, length, self.margin)
        }


def fit_path(
    engine: Engine, genomes: Sequence[tuple[Sequence[AnyContig], Sequence[Gene], int]]
) -> PathWeights:
    """Choose the weights of paths; they stay as they are where no gene of the reference fits.

    Args:
        engine: The model, and how it calls genes.
        genomes: Contigs, reference genes and NCBI number of the genetic code of each.
    """
    encoded = [list(_encoded(engine, *genome)) for genome in genomes]
    with_genes = [some for some in encoded if any(one.genes for one in some)]
    if not with_genes:
        log.warning("no complete gene fits into a window: the weights of paths stay")
        return engine.calling.path

    log.info("best paths: trying %d pairs of weights", len(STATES) * len(INTRONS))
    grid = [[replace(engine.calling.path, state=s, intron=i) for i in INTRONS] for s in STATES]
    values = np.array([[_mean_f1(with_genes, engine.calling, one) for one in row] for row in grid])
    row, column = np.unravel_index(_smoothed(values).argmax(), values.shape)
    log.info("best paths: %s, gene F1 %.4f", grid[row][column], values[row, column])
    return grid[row][column]


def _smoothed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of each value of a grid and those around it: the best one alone is one of few genes."""
    rows, columns = values.shape
    return np.array(
        [
            [values[max(0, i - 1) : i + 2, max(0, j - 1) : j + 2].mean() for j in range(columns)]
            for i in range(rows)
        ]
    )


def _mean_f1(
    genomes: Sequence[Sequence[EncodedWindows]], calling: CallingConfig, weights: PathWeights
) -> float:
    return float(np.mean([_f1(windows, calling, weights) for windows in genomes]))


def _f1(windows: Sequence[EncodedWindows], calling: CallingConfig, weights: PathWeights) -> float:
    """F1 of whole genes over the windows of a genome."""
    right = found = 0
    for one in windows:
        genes = one.path_genes(calling, weights)
        found += len(genes)
        right += len(genes & one.reference)
    return 2 * right / max(1, found + sum(one.genes for one in windows))


def _encoded(
    engine: Engine, contigs: Iterable[AnyContig], genes: Sequence[Gene], code: int
) -> Iterator[EncodedWindows]:
    """Encode windows of the first bases of a genome, contig by contig."""
    left = MOST_BP
    for contig in contigs:
        size = min(engine.calling.window_bp, len(contig.bases))
        starts = list(range(0, min(left, len(contig.bases)) - size + 1, max(1, size // 2)))
        if starts:
            here = [g for g in genes if g.contig == contig.name and g.is_regular and g.is_coding]
            yield _encode(engine, contig, starts, size, here, code)
            left -= starts[-1] + size


def _encode(
    engine: Engine, contig: AnyContig, starts: list[int], size: int, genes: list[Gene], code: int
) -> EncodedWindows:
    """Encode windows of `size` bases of a contig."""
    windows = [contig.bases[start : start + size] for start in starts]
    encoded = (engine.encoded(window, code) for window in windows)
    heads = [(one.state_logits.cpu().numpy(), one.boundary_logits.cpu()) for one in encoded]
    margin = size // 4 if size < len(contig.bases) else 0
    fit = [[c for c in _chains(g) if _fits(c, starts, size, margin)] for g in genes]
    return EncodedWindows(
        starts=starts,
        margin=margin,
        signals=build_signals(windows, [code] * len(windows), engine.calling.grammar),
        states=np.concatenate([states for states, _ in heads]),
        edges=torch.cat([edges for _, edges in heads]),
        reference=frozenset(chain for chains in fit for chain in chains),
        genes=sum(bool(chains) for chains in fit),
    )


def _chains(gene: Gene) -> list[Chain]:
    """Coding intervals of each transcript."""
    found = [tuple(sorted((c.start, c.end) for c in t.cds)) for t in gene.transcripts if t.cds]
    return [(gene.strand, chain) for chain in found]


def _placed(genes: Sequence[WindowGene], start: int) -> Iterator[Chain]:
    """Complete genes of a window in coordinates of the contig."""
    for gene in genes:
        transcript = gene.transcripts[0]
        if not (transcript.cut_left or transcript.cut_right):
            parts = tuple((start + p.first, start + p.last + 1) for p in transcript.parts)
            yield gene.strand, parts


def _fits(chain: Chain, starts: Sequence[int], size: int, margin: int) -> bool:
    """Whether a gene lies in a window for which it counts."""
    first, last = chain[1][0][0], chain[1][-1][1]
    return any(
        start <= first and last <= start + size and _counts(chain, start, size, margin)
        for start in starts
    )


def _counts(chain: Chain, start: int, size: int, margin: int) -> bool:
    """Whether the middle of a gene is in the window's core."""
    middle = (chain[1][0][0] + chain[1][-1][1]) // 2
    return start + margin <= middle < start + size - margin
