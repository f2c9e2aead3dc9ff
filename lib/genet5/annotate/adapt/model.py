"""What a genome's own genes teach about its starts and its coding sequence, and re-scoring by it.

Learning needs one pass over the calls of all contigs (`Tally`), which keeps counts and a bounded
sample of starts: which ones are kept depends on their sequence only, and counts are sums of whole
numbers, so the order of the contigs does not matter. Re-scoring is a look-up. Cost for a bacterium:
some tenths of a second.

Example:
    tally = Tally(sum(reader.background() for reader, _ in contigs))
    for _, calls in contigs:
        tally.add(calls, genes, confident)
    genome = tally.learned()
    moved = rescored(placed(calls, upstream, genome, weights), genome, upstream)
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from genet5.annotate.adapt.calls import ContigCalls
from genet5.annotate.adapt.coding import coding_scores, coding_usage, gene_hexamers, levelled
from genet5.annotate.adapt.features import (
    LEAST_SHARE,
    NUM_GAPS,
    gap_bins,
    log_ratio,
    start_posterior,
)
from genet5.annotate.adapt.motif import Motif, learn_motif
from genet5.annotate.adapt.ragged import Floats, Ints, row_argmax, row_index
from genet5.annotate.adapt.spans import Spans
from genet5.annotate.adapt.strand import NUM_HEXAMERS

START_FEATURES = ("votes", "codon", "motif", "coding", "distance")
"""Names of the columns of `GenomeModel.start_features`, in order."""
CODON_PSEUDO = 8.0
GAP_PSEUDO = 88.0
LIKELY = 0.5
"""The motif is learned from starts that are more probable than this by the votes."""
UNLIKELY = 0.1
"""Its background comes from those that are less probable than this."""
MOST_SAMPLED = 10_000
"""Starts that the motif is learned from at most."""
_UNIT = 1 << 20
"""Probabilities are counted in whole multiples of 1 / _UNIT, so that sums have no rounding."""


@dataclass(frozen=True, slots=True, eq=False)
class GenomeModel:
    """What was learned from a genome."""

    num_genes: int
    """Confident genes it was learned from."""
    codon: Floats
    """(64,) log-ratio of each start codon."""
    gap: Floats
    """(NUM_GAPS,) log-ratio of each bin of the gap upstream."""
    motif: Motif
    usage: Floats
    """(NUM_HEXAMERS + 1,) score of each hexamer."""
    mean_coding: float
    """Coding score of a codon, mean of the confident genes."""
    codon_counts: Floats
    """(64,) confident genes with each start codon."""

    def start_features(self, calls: ContigCalls, genes: Spans) -> Floats:
        """Return the features of all starts, (m, len(START_FEATURES)).

        Args:
            calls: A contig's calls.
            genes: The contig's genes: what ends upstream of a start.
        """
        coding = self.coding(calls)
        own = calls.chosen[row_index(calls.firsts)]
        return np.column_stack(
            [
                np.log(calls.share + LEAST_SHARE),
                self.codon[calls.codon],
                self.motif.score(calls.upstream),
                levelled(coding - coding[own]),
                self.gap[gap_bins(calls, genes)],
            ]
        )

    def coding(self, calls: ContigCalls) -> Floats:
        """Return each start's coding score, (m,)."""
        return coding_scores(calls, self.usage)[0]

    def coding_per_codon(self, calls: ContigCalls) -> Floats:
        """Return each start's coding score of a codon as a multiple of the genome's mean, (m,)."""
        coding, count = coding_scores(calls, self.usage)
        return np.asarray(coding / np.maximum(count, 1) / self.mean_coding)


_Sampled = tuple[NDArray[np.uint64], NDArray[np.uint8], Floats]
"""Hashes, upstream bases and probabilities of starts."""


def _no_counts(size: int) -> Ints:
    return np.zeros(size, dtype=np.int64)


def no_hexamers() -> Ints:
    """Return (NUM_HEXAMERS,) zeros."""
    return _no_counts(NUM_HEXAMERS)


@dataclass(slots=True)
class Tally:
    """Counts over the confident genes of contigs; memory does not grow with their number."""

    background: Ints
    """(NUM_HEXAMERS,) counts of the hexamers of all contigs, wherever they are."""
    num_genes: int = 0
    codon: Ints = field(default_factory=lambda: np.zeros((2, 64), dtype=np.int64))
    gap: Ints = field(default_factory=lambda: np.zeros((2, NUM_GAPS), dtype=np.int64))
    genes: Ints = field(default_factory=no_hexamers)
    upstream: Ints = field(default_factory=lambda: _no_counts(4))
    chosen_codon: Ints = field(default_factory=lambda: _no_counts(64))
    _sample: list[_Sampled] = field(default_factory=list)

    def add(
        self,
        calls: ContigCalls,
        genes: Ints,
        confident: NDArray[np.bool_],
        posterior: Floats | None = None,
    ) -> None:
        """Count a contig's genes.

        Args:
            calls: Its calls.
            genes: Indices of those that are held to be genes.
            confident: (len(genes),) which of them are learned from.
            posterior: (m,) probability of each start; None = by the votes.
        """
        best = calls.chosen if posterior is None else row_argmax(posterior, calls.firsts)
        starts = best[genes]
        learned = genes[confident & (starts >= 0)]
        chosen = starts[confident & (starts >= 0)]
        self.num_genes += len(learned)
        self.genes += gene_hexamers(calls, learned, chosen)
        self.chosen_codon += np.bincount(calls.codon[chosen], minlength=64)
        mask = np.zeros(len(calls.candidates), dtype=bool)
        mask[learned] = True
        at = np.flatnonzero(np.repeat(mask, np.diff(calls.firsts)))
        p = (start_posterior(calls) if posterior is None else posterior)[at]
        whole = np.rint(p * _UNIT).astype(np.int64)
        self._count(self.codon, calls.codon[at].astype(np.int64), whole)
        self._count(self.gap, gap_bins(calls, calls.spans.take(genes))[at], whole)
        unlikely = calls.upstream[at[p < UNLIKELY]]
        self.upstream += np.bincount(unlikely.ravel(), minlength=5)[:4]
        self._keep(calls.upstream[at[p > LIKELY]], p[p > LIKELY])

    @staticmethod
    def _count(counts: Ints, classes: Ints, whole: Ints) -> None:
        """Add what speaks for and against a start of each class."""
        np.add.at(counts[0], classes, whole)
        np.add.at(counts[1], classes, _UNIT - whole)

    def _keep(self, upstream: NDArray[np.uint8], p: Floats) -> None:
        """Take starts into the sample, and those with the largest hashes out."""
        self._sample.append((_hashes(upstream), upstream, p))
        if sum(len(p) for _, _, p in self._sample) > 2 * MOST_SAMPLED:
            self._sample = [self._sampled()]

    def _sampled(self) -> _Sampled:
        """The starts with the smallest hashes, in the order of these."""
        hashes, upstream, p = (np.concatenate(column) for column in zip(*self._sample, strict=True))
        order = np.lexsort((p, hashes))[:MOST_SAMPLED]
        return hashes[order], upstream[order], p[order]

    def learned(self) -> GenomeModel:
        """Return what the contigs so far teach; `num_genes` must not be 0."""
        _, upstream, p = self._sampled()
        base_share = (self.upstream + 1) / (self.upstream.sum() + 4)
        usage = coding_usage(self.genes, self.background)
        return GenomeModel(
            num_genes=self.num_genes,
            codon=log_ratio(self.codon[0] / _UNIT, self.codon[1] / _UNIT, CODON_PSEUDO),
            gap=log_ratio(self.gap[0] / _UNIT, self.gap[1] / _UNIT, GAP_PSEUDO),
            motif=learn_motif(upstream, p, base_share),
            usage=usage,
            mean_coding=max(float(usage[:-1] @ self.genes) / max(int(self.genes.sum()), 1), 1e-3),
            codon_counts=self.chosen_codon.astype(np.float64),
        )


def _hashes(upstream: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Mix each row into a number that orders the rows as good as randomly (splitmix64)."""
    powers = np.uint64(5) ** np.arange(upstream.shape[1], dtype=np.uint64)
    mixed = upstream.astype(np.uint64) @ powers
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))
