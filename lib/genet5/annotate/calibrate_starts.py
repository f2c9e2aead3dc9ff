"""Fit the weights of starts on validation genomes, each with what its own genes teach.

Example:
    first = fit_starts([teach(held, genes) for held, genes in genomes])
    weights = fit_starts([teach(held, genes, first) for held, genes in genomes])
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from genet5.annotate.adapt.calls import ContigCalls
from genet5.annotate.adapt.conditional_logit import fit_conditional_logit
from genet5.annotate.adapt.model import START_FEATURES, GenomeModel
from genet5.annotate.adapt.ragged import Floats, Ints, row_argmax
from genet5.annotate.adapt.rescore import StartWeights
from genet5.annotate.adaptation import Held, learn
from genet5.genome.frames import five_prime_base, three_prime_base
from genet5.genome.gene import Gene

log = logging.getLogger(__name__)

MOST_CEILING = 0.999
"""A start is never certain."""
LEAST_AGREEMENT = 0.85
"""Genomes whose annotated starts are found less often teach no weights of starts."""


@dataclass(frozen=True, slots=True)
class Taught:
    """A genome with what its genes teach, and the choices between starts whose answer is known."""

    model: GenomeModel
    held: Sequence[Held]
    features: Floats
    """(m, len(START_FEATURES)) of the starts of genes whose true start is among them."""
    firsts: Ints
    """(n + 1,) where the starts of each of them begin."""
    right: Ints
    """(n,) index of the true start of each."""
    num_genes: int
    """Genes that were found, whether or not their true start is among the considered ones."""


def teach(
    held: Sequence[Held], genes: Sequence[Gene], starts: StartWeights | None = None
) -> Taught | None:
    """Learn from a genome; None if it has too few confident genes.

    Args:
        held: Its finished contigs.
        genes: The reference.
        starts: Weights for a second round of learning.
    """
    model = learn(held, starts)
    if model is None:
        return None
    tables, sizes, right = [np.empty((0, len(START_FEATURES)))], [], []
    offset = num_genes = 0
    for one in held:
        truth = true_starts(genes, one.contig.name)
        found = [truth.get((c.strand, c.stop_base)) for c in one.calls.candidates]
        num_genes += sum(base is not None for base in found)
        features = model.start_features(one.calls, one.upstream)
        for first, end, index in _answers(one.calls, found):
            tables.append(features[first:end])
            sizes.append(end - first)
            right.append(offset + index - first)
            offset += end - first
    firsts = np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))
    rows = np.concatenate(tables)
    return Taught(model, held, rows, firsts, np.array(right, dtype=np.int64), num_genes)


def _answers(calls: ContigCalls, found: Sequence[int | None]) -> list[tuple[int, int, int]]:
    """First and one past the last start, and the true one, of calls that have the true one."""
    answers = []
    for i in (i for i, base in enumerate(found) if base is not None):
        first, end = int(calls.firsts[i]), int(calls.firsts[i + 1])
        here = np.flatnonzero(calls.base[first:end] == found[i])
        if len(here):
            answers.append((first, end, first + int(here[0])))
    return answers


def true_starts(genes: Sequence[Gene], contig: str) -> dict[tuple[int, int], int]:
    """Return the first base of each complete coding gene of a contig by strand and last base."""
    starts = {}
    for gene in genes:
        if gene.contig == contig and gene.is_coding and gene.is_regular:
            cds = gene.canonical.cds
            span = cds[0].start, cds[-1].end, gene.strand
            starts[gene.strand, three_prime_base(*span)] = five_prime_base(*span)
    return starts


def fit_starts(genomes: Sequence[Taught]) -> StartWeights:
    """Fit the conditional logit of starts over genomes together; there must be one.

    Annotated starts are predictions themselves. Genomes whose starts agree with those that the fit
    chooses for less than `LEAST_AGREEMENT` of their genes are left out, if others remain, and the
    weights are fitted again.
    """
    weights = _fitted(genomes)
    agreement = [_agreement(genome, weights) for genome in genomes]
    sure = [g for g, share in zip(genomes, agreement, strict=True) if share >= LEAST_AGREEMENT]
    log.info("annotated starts that are the fitted ones: %s", _percent(agreement))
    if not sure or len(sure) == len(genomes):
        return weights
    log.info("starts are learned from the %d genomes that agree most", len(sure))
    return _fitted(sure)


def _fitted(genomes: Sequence[Taught]) -> StartWeights:
    firsts, right, offset = [np.zeros(1, dtype=np.int64)], [], 0
    for genome in genomes:
        firsts.append(genome.firsts[1:] + offset)
        right.append(genome.right + offset)
        offset += len(genome.features)
    weights = fit_conditional_logit(
        np.concatenate([genome.features for genome in genomes]),
        np.concatenate(firsts),
        np.concatenate(right),
    )
    reached = sum(len(genome.right) for genome in genomes)
    ceiling = reached / max(sum(genome.num_genes for genome in genomes), 1)
    return StartWeights(
        weights=dict(zip(START_FEATURES, weights.tolist(), strict=True)),
        ceiling=min(ceiling, MOST_CEILING),
    )


def _agreement(genome: Taught, weights: StartWeights) -> float:
    """Share of a genome's genes whose annotated start has the best score."""
    best = row_argmax(weights.scores(genome.features), genome.firsts)
    return float((best == genome.right).sum() / max(genome.num_genes, 1))


def _percent(shares: Sequence[float]) -> str:
    return ", ".join(f"{100 * share:.1f} %" for share in shares)
