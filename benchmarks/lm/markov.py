"""Peers of language models: Markov chains that count, fitted in seconds.

A chain of order n gives the next base after the n before it, by counts with half a base of each
kind added. The back-off model mixes all orders up to 11 (12-mers): the counts of a context, and as
`prior` more bases, what the next shorter context says. Bases with fewer before them than the order
are given what a shorter context says.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from genet5.genome.sequence import BASE_INDEX, Bases
from genet5.lm.designs import kmer_codes

Figures = NDArray[np.float64]


class BackOff:
    """Probabilities of the next base by contexts of all lengths up to `order`.

    Args:
        order: Bases of the longest context.
        prior: How many bases a shorter context weighs.
        orders: Lengths that are used; None = all from 0 on.
    """

    def __init__(self, order: int, prior: float, orders: tuple[int, ...] | None = None) -> None:
        self.order, self.prior = order, prior
        self._orders = tuple(range(order + 1)) if orders is None else orders
        self._counts = {n: np.zeros((4**n, 4), dtype=np.float32) for n in self._orders}

    def fit(self, sequences: Iterable[Bases]) -> BackOff:
        """Count the contexts of sequences."""
        border = np.frombuffer(b"N", dtype=np.uint8)
        joined = np.concatenate([part for bases in sequences for part in (bases, border)])
        for n, counts in self._counts.items():
            codes = kmer_codes(joined, n + 1)
            counts += np.bincount(codes[codes >= 0], minlength=4 ** (n + 1)).reshape(-1, 4)
        return self

    def probabilities(self, contexts: NDArray[np.int64]) -> Figures:
        """Return (N, 4) of the base after contexts, (N, L) of indices 0 to 3."""
        p = np.full((len(contexts), 4), 0.25)
        for n in self._orders:
            if n > contexts.shape[1]:
                break
            weights = 4 ** np.arange(n - 1, -1, -1, dtype=np.int64)
            codes = contexts[:, contexts.shape[1] - n :] @ weights
            counts = self._counts[n][codes]
            p = (counts + self.prior * p) / (counts.sum(1, keepdims=True) + self.prior)
        return p

    def log2_likelihood(self, bases: Bases) -> tuple[float, int]:
        """Return the sum of log2 p over the bases from the second one on, and their number."""
        index = BASE_INDEX[bases].astype(np.int64)
        total = 0.0
        for at in range(1, min(self.order, len(index))):
            total += float(np.log2(self.probabilities(index[None, :at])[0, index[at]]))
        if len(index) > self.order:
            windows = np.lib.stride_tricks.sliding_window_view(index, self.order + 1)
            found = self.probabilities(windows[:, :-1])
            total += float(np.log2(found[np.arange(len(windows)), windows[:, -1]]).sum())
        return total, len(index) - 1

    def continue_greedily(self, before: Bases, length: int) -> str:
        """Return the most probable bases after a context, one after the other."""
        index = BASE_INDEX[before].astype(np.int64)[-max(1, self.order) :]
        found = ""
        for _ in range(length):
            base = int(self.probabilities(index[None])[0].argmax())
            found += "ACGT"[base]
            index = np.append(index[1:], base)
        return found


def fifth_order() -> BackOff:
    """Return a plain chain of order 5."""
    return BackOff(5, prior=2.0, orders=(5,))


def back_off(prior: float) -> BackOff:
    """Return a back-off model of 12-mers."""
    return BackOff(11, prior)
