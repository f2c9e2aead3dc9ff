"""The ribosome binding site: a motif of 6 bases at 2 to 15 bases before the start, found by EM.

A start has a site with probability `share`; its spacer s (the bases between motif and start codon)
has probability S_s, and the site's column k the base x with probability P_k(x), where elsewhere
bases have probability b(x). The score of the bases upstream of a start is the log-likelihood ratio

    ln(share * sum_s S_s * prod_k P_k(x_k) / b(x_k) + 1 - share)

Expectation maximisation starts from AGGAGG, what the end of the 16S rRNA pairs with; each start
counts with its probability of being one. Pseudocounts keep it calm: `SPACER_PSEUDO` a spacer and
`COLUMN_PSEUDO` * b a column. Where a genome has no such site (leaderless genes, Bacteroidetes), the
share falls or the motif becomes whatever is common there; either does no harm.

Sources: Bailey and Elkan 1994 (mixture EM, MEME); Besemer et al. 2001 (GeneMarkS: a motif and its
spacer learned from the genome's own starts); Shine and Dalgarno 1974.

Example:
    >>> rng = np.random.default_rng(0)
    >>> upstream = rng.integers(0, 4, (400, 21))
    >>> upstream[:, 8:14] = [0, 2, 2, 0, 2, 2]  # AGGAGG, 7 bases before the start
    >>> motif = learn_motif(upstream, np.ones(400), np.full(4, 0.25))
    >>> motif.consensus, motif.best_spacer, motif.share > 0.9
    ('AGGAGG', 7, True)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genet5.annotate.adapt.compiled_motif import site_counts, site_odds
from genet5.annotate.adapt.ragged import Floats

WIDTH = 6
SPACERS = tuple(range(2, 16))
"""Bases between the motif and the start codon."""
ROUNDS = 12
SEED = "AGGAGG"
SEED_SHARE = 0.7
SPACER_PSEUDO = 2.0
COLUMN_PSEUDO = 8.0
SHARE_RANGE = (0.02, 0.98)
_LETTERS = "ACGT"


@dataclass(frozen=True, slots=True, eq=False)
class Motif:
    """A motif before starts."""

    columns: Floats
    """(WIDTH, 4) probability of A, C, G, T in each column."""
    spacers: Floats
    """(len(SPACERS),) probability of each spacer."""
    share: float
    """Share of the starts that have the motif."""
    background: Floats
    """(4,) probability of A, C, G, T elsewhere upstream."""

    @property
    def consensus(self) -> str:
        """The most probable base of each column."""
        return "".join(_LETTERS[i] for i in self.columns.argmax(axis=1))

    @property
    def best_spacer(self) -> int:
        """The most probable spacer in bases."""
        return SPACERS[int(self.spacers.argmax())]

    @property
    def information(self) -> Floats:
        """(WIDTH,) bits that each column holds beyond the background: the heights of a logo."""
        ratio = np.log2(self.columns / self.background)
        return np.asarray((self.columns * ratio).sum(axis=1))

    def score(self, upstream: NDArray[np.uint8]) -> Floats:
        """Return the log-likelihood ratio of each start's upstream bases, (m,), natural log.

        Args:
            upstream: (m, at least 21) bases before starts, 0..3, 4 = unknown.
        """
        odds = self._odds(upstream) @ self.spacers
        return np.asarray(np.log(self.share * odds + 1 - self.share))

    def _odds(self, upstream: NDArray[np.uint8]) -> Floats:
        """Likelihood ratio of the motif at each spacer, (m, len(SPACERS))."""
        ratio = np.append(self.columns / self.background, np.ones((WIDTH, 1)), axis=1)
        odds = np.empty((len(upstream), len(SPACERS)))
        site_odds(upstream, ratio, upstream.shape[1] - WIDTH - SPACERS[0], odds)
        return odds


def learn_motif(
    upstream: NDArray[np.uint8], weights: Floats, background: Floats, rounds: int = ROUNDS
) -> Motif:
    """Find the motif by expectation maximisation.

    Args:
        upstream: (m, at least 21) bases before starts, 0..3, 4 = unknown.
        weights: (m,) probability that each is a start.
        background: (4,) shares of the bases upstream of what is no start.
        rounds: Of expectation and maximisation.
    """
    motif = Motif(_seed_columns(), np.full(len(SPACERS), 1 / len(SPACERS)), 0.5, background)
    for _ in range(rounds):
        joint = motif._odds(upstream) * motif.spacers * motif.share
        belief = joint / (joint.sum(axis=1, keepdims=True) + 1 - motif.share)
        belief *= weights[:, None]
        share = belief.sum() / max(float(weights.sum()), 1e-9)
        motif = Motif(
            columns=_columns(upstream, belief, background),
            spacers=_normalised(belief.sum(axis=0) + SPACER_PSEUDO),
            share=float(np.clip(share, *SHARE_RANGE)),
            background=background,
        )
    return motif


def _seed_columns() -> Floats:
    """Columns that have the seed's letter with SEED_SHARE, and the others alike."""
    columns = np.full((WIDTH, 4), (1 - SEED_SHARE) / 3)
    columns[np.arange(WIDTH), [_LETTERS.index(letter) for letter in SEED]] = SEED_SHARE
    return columns


def _columns(upstream: NDArray[np.uint8], belief: Floats, background: Floats) -> Floats:
    """Probabilities of the bases in each column, weighted by where the motif is believed to be."""
    counts = np.zeros((WIDTH, 5))
    site_counts(upstream, belief, upstream.shape[1] - WIDTH - SPACERS[0], counts)
    smoothed = counts[:, :4] + COLUMN_PSEUDO * background
    return np.asarray(smoothed / smoothed.sum(axis=1, keepdims=True))


def _normalised(values: Floats) -> Floats:
    return np.asarray(values / values.sum())
