"""Scores of bases for the states of some rows: `GeneT5.position_logits` for decoding.

What does not depend on the states is done once, and only states that want a base are scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genet5.blocks.transfer import to_device
from genet5.model.network import GeneT5
from genet5.model.results import Encoded


class BasePointer:
    """Scores the bases of encoded windows."""

    def __init__(self, model: GeneT5, encoded: Encoded) -> None:
        self._head = model.pointer
        self._where, self._which = encoded.keys
        self._boundaries = encoded.boundary_logits
        self._num_bases = encoded.num_bases

    def logits(self, states_PD: Tensor, places_P: Tensor, windows: NDArray[np.int64]) -> Tensor:
        """Score all bases of its window for each state, (P, L) fp32; -inf after a window's end.

        Args:
            states_PD: Decoder states.
            places_P: Base that the labels of each state named last.
            windows: (P,) index of each state's window; those of one stand together.
        """
        where, which = (q[0] for q in self._head.queries(states_PD[None], places_P[None]))
        queries = where, *which.split([self._which.shape[-1], self._boundaries.shape[-1]], dim=-1)
        is_cpu = states_PD.device.type == "cpu"
        scores = (self._by_window if is_cpu else self._together)(queries, windows)
        index = to_device(windows, scores.device)
        base = torch.arange(scores.shape[1], device=scores.device)
        return scores.masked_fill_(base >= self._num_bases[index][:, None], float("-inf"))

    def _by_window(self, queries: Sequence[Tensor], windows: NDArray[np.int64]) -> Tensor:
        """Multiply window by window, without a copy of any keys."""
        length = self._which.shape[1]
        scores = queries[0].new_empty(len(windows), length)
        bounds = [0, *(np.flatnonzero(np.diff(windows)) + 1).tolist(), len(windows)]
        for begin, end in pairwise(bounds):
            window = int(windows[begin])
            where, which, gate = (query[begin:end] for query in queries)
            out = scores[begin:end]
            spread = self._spread(where @ self._where[window].T, length)
            torch.addmm(spread, which, self._which[window].T, out=out)
            out.addmm_(gate, self._boundaries[window].T)
        return scores

    def _together(self, queries: Sequence[Tensor], windows: NDArray[np.int64]) -> Tensor:
        """Multiply all windows at once, each with as many states as the one that has most."""
        begins = np.concatenate(([0], np.flatnonzero(np.diff(windows)) + 1))
        counts = np.diff([*begins, len(windows)])
        device, shape = queries[0].device, (len(begins), int(counts.max()))
        index = np.repeat(np.arange(len(begins)) * shape[1] - begins, counts)
        place = to_device(index + np.arange(len(windows)), device)
        picked = to_device(windows[begins], device)
        where, which, gate = (
            query.new_zeros(shape[0] * shape[1], query.shape[1])
            .index_copy(0, place, query)
            .view(*shape, -1)
            for query in queries
        )
        spread = self._spread(where @ self._where[picked].transpose(1, 2), self._which.shape[1])
        scores = torch.baddbmm(spread, which, self._which[picked].transpose(1, 2))
        scores = torch.baddbmm(scores, gate, self._boundaries[picked].transpose(1, 2))
        return scores.flatten(0, 1)[place]

    def _spread(self, scores: Tensor, length: int) -> Tensor:
        """Scores of latents, (..., M), as scores of bases, (..., length)."""
        return scores.repeat_interleave(self._head.bin_bp, dim=-1)[..., :length]

    def best(
        self,
        states_PD: Tensor,
        places_P: Tensor,
        windows: NDArray[np.int64],
        legal_PK: Tensor,
        count: int,
    ) -> tuple[Tensor, Tensor]:
        """Return the best legal bases for each state, best first.

        Args:
            states_PD: Decoder states.
            places_P: Base that the labels of each state named last.
            windows: (P,) index of each state's window; those of one stand together.
            legal_PK: Bases that may be chosen, then -1.
            count: Most bases to return.

        Returns:
            (P, k) bases and (P, k) their log-probabilities among all bases of the window; -inf
                where there are fewer legal ones.
        """
        scores = self.logits(states_PD, places_P, windows)
        total = scores.logsumexp(dim=-1, keepdim=True)
        legal = scores.gather(1, legal_PK.clamp_min(0)).masked_fill_(legal_PK < 0, float("-inf"))
        top = legal.topk(min(count, legal.shape[1]), dim=-1)
        return legal_PK.gather(1, top.indices), top.values - total
