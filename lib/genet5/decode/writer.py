"""Write the labels of windows, greedily under the grammar, by draft and verification.

Each row has a draft of its next labels. One pass of the decoder reads the drafts of all rows; at
each of their labels it chooses the best that the grammar allows there. The labels up to the first
that it would have chosen otherwise are kept, and that choice with them, so that what is written is
what the decoder writes label by label, up to rounding (Leviathan et al. 2023, arXiv:2211.17192, at
temperature 0). The draft is then mended. Rows are at different labels; finished rows leave.

What is kept as evidence is the probability *without* the grammar's mask, since a forced choice
would always look certain. The decoder's products are in fp32. A pass waits once for the device: for
the choices.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genet5.blocks.transfer import to_device
from genet5.decode.draft import Drafter
from genet5.decode.pointer import BasePointer
from genet5.decode.trace import Trace
from genet5.model.network import GeneT5
from genet5.model.results import Encoded
from genet5.tokens.grammar import Grammar
from genet5.tokens.look_ahead import LookAhead, look_ahead

ALTERNATIVES = 8
"""Bases remembered for each position, best first."""
_SHORTEST = 2
"""Labels that a draft is cut to where drafts do not agree."""

Int = NDArray[np.int64]

logger = logging.getLogger(__name__)


@dataclass
class Choices:
    """What the decoder chose at the stops of drafts."""

    labels: Int
    """(n, T + 1) the label chosen after t labels of each row's draft; <pad> beyond its stops."""
    logp: NDArray[np.float32]
    """(n, T + 1)."""
    bases: NDArray[np.int32]
    """(P, K) the best bases at each stop that wants one, best first."""
    base_logp: NDArray[np.float32]
    """(P, K)."""


class Writer:
    """Lets a model write all rows of a batch to their <eos>.

    Args:
        model: In evaluation mode.
        encoded: The windows.
        grammar: At the windows' prompts.
        drafter: Of the windows.
    """

    def __init__(self, model: GeneT5, encoded: Encoded, grammar: Grammar, drafter: Drafter) -> None:
        prompt = grammar.prompt
        self.trace = Trace.begin(
            prompt, grammar.options.max_labels, ALTERNATIVES, grammar.vocabulary.pad
        )
        self.passes = np.zeros(len(prompt), dtype=np.int64)
        self._model, self._encoded, self._grammar = model, encoded, grammar
        self._drafter, self._pad = drafter, grammar.vocabulary.pad
        self._eos = grammar.vocabulary.eos
        self._cache = model.start_decoding(encoded)
        self._pointer = BasePointer(model, encoded)
        self._device = encoded.latents.device
        self._rows = np.arange(len(prompt))
        self._written = np.full(len(prompt), len(prompt[0]))
        self._drafts = [drafter.begin(row) for row in range(len(prompt))]
        self._limits = np.full(len(prompt), grammar.options.max_labels)

    def run(self) -> Trace:
        """Write."""
        while len(self._rows):
            self._pass()
        return self.trace

    def _pass(self) -> None:
        """Verify the drafts of all rows; write what the decoder agrees with, and its next label."""
        drafts, sizes = self._offered()
        ahead = look_ahead(self._grammar, drafts, sizes)
        chosen = self._choose(drafts, ahead)
        agreed = _agreement(drafts, ahead.sizes, chosen.labels)
        self._note(ahead, chosen, agreed)
        self.passes[self._rows] += 1
        self._adapt(drafts, ahead, chosen)
        self._continue(ahead, chosen, agreed)

    def _offered(self) -> tuple[Int, Int]:
        """The drafts, as long as they may be, as a matrix, and their lengths."""
        room = self._grammar.options.max_labels - self._written
        sizes = np.minimum([len(draft) for draft in self._drafts], np.minimum(self._limits, room))
        drafts = np.full((len(sizes), int(sizes.max())), self._pad, dtype=np.int64)
        for row, size in enumerate(sizes.tolist()):
            drafts[row, :size] = self._drafts[row][:size]
        return drafts, sizes

    def _choose(self, drafts: Int, ahead: LookAhead) -> Choices:
        """Read the drafts, and choose at each stop that is on a draft's legal part."""
        lead = self._written - self._cache.lengths - 1
        labels = self._unread(drafts, ahead.sizes, lead)
        states = self._model.extend(self._encoded, self._cache, to_device(labels, self._device))
        rows, steps = ahead.walk.rows, ahead.walk.steps
        token_stops, base_stops = ahead.at_token, ahead.at_base
        where = [
            (
                to_device(rows[stops], self._device),
                to_device((lead[rows] + steps)[stops], self._device),
            )
            for stops in (token_stops, base_stops)
        ]
        tokens, token_logp = self._choose_tokens(states[where[0]], ahead)
        places = self._cache.places[
            where[1][0], to_device((self._written[rows] - 1 + steps)[base_stops], self._device)
        ]
        windows = self._rows[rows[base_stops]]
        bases, base_logp = self._choose_bases(states[where[1]], places, windows, ahead)
        return self._choices(ahead, _gathered(tokens, token_logp, bases, base_logp))

    def _unread(self, drafts: Int, sizes: Int, lead: Int) -> Int:
        """(n, T) labels that the decoder has not read: the row's newest, then the draft's."""
        feed = np.full((len(sizes), int((lead + sizes).max()) + 1), self._pad, dtype=np.int64)
        for row, (size, before, end) in enumerate(
            zip(sizes.tolist(), lead.tolist(), self._written.tolist(), strict=True)
        ):
            feed[row, : before + 1] = self.trace.labels[self._rows[row], end - before - 1 : end]
            feed[row, before + 1 : before + 1 + size] = drafts[row, :size]
        return feed

    def _choose_tokens(self, states: Tensor, ahead: LookAhead) -> tuple[Tensor, Tensor]:
        logits = self._model.token_logits(states).log_softmax(dim=-1)
        legal = to_device(ahead.tokens, self._device)
        best = logits.masked_fill(~legal, float("-inf")).argmax(dim=-1)
        return best, logits.gather(1, best[:, None])[:, 0]

    def _choose_bases(
        self, states: Tensor, places: Tensor, windows: Int, ahead: LookAhead
    ) -> tuple[Tensor, Tensor]:
        if not len(windows):
            return places[:, None], places[:, None].float()
        legal = to_device(ahead.bases, self._device)
        return self._pointer.best(states, places, windows, legal, ALTERNATIVES)

    def _choices(self, ahead: LookAhead, found: list[NDArray[Any]]) -> Choices:
        tokens, token_logp, bases, base_logp = found
        rows, steps = ahead.walk.rows, ahead.walk.steps
        shape = len(ahead.sizes), int(ahead.sizes.max()) + 1
        labels = np.full(shape, self._pad, dtype=np.int64)
        logp = np.zeros(shape, dtype=np.float32)
        at_token = rows[ahead.at_token], steps[ahead.at_token]
        at_base = rows[ahead.at_base], steps[ahead.at_base]
        labels[at_token], logp[at_token] = tokens, token_logp
        labels[at_base], logp[at_base] = -1 - bases[:, 0].astype(np.int64), base_logp[:, 0]
        return Choices(labels, logp, bases, base_logp)

    def _note(self, ahead: LookAhead, chosen: Choices, agreed: Int) -> None:
        """Put what is written now into the trace."""
        rows, steps = ahead.walk.rows, ahead.walk.steps
        written = steps <= agreed[rows]
        stops = np.flatnonzero(written)
        place = self._rows[rows[stops]], self._written[rows[stops]] + steps[stops]
        self.trace.labels[place] = chosen.labels[rows[stops], steps[stops]]
        self.trace.logp[place] = chosen.logp[rows[stops], steps[stops]]
        kept = written[ahead.at_base]
        stops = ahead.at_base[kept]
        place = self._rows[rows[stops]], self._written[rows[stops]] + steps[stops]
        count = chosen.bases.shape[1]
        self.trace.other_bases[(*place, slice(count))] = chosen.bases[kept]
        self.trace.other_logp[(*place, slice(count))] = chosen.base_logp[kept]

    def _adapt(self, drafts: Int, ahead: LookAhead, chosen: Choices) -> None:
        """Offer less where the decoder hardly agrees: what follows a wrong label is read in vain.

        Labels after the first disagreement count, too: mended, they will mostly hold.
        """
        width = chosen.labels.shape[1] - 1
        same = drafts[:, :width] == chosen.labels[:, :width]
        same &= np.arange(width) < ahead.sizes[:, None]
        longer = np.minimum(2 * self._limits, self._grammar.options.max_labels)
        shorter = np.maximum(_SHORTEST, self._limits // 2)
        self._limits = np.where(2 * same.sum(axis=1) >= ahead.sizes, longer, shorter)

    def _continue(self, ahead: LookAhead, chosen: Choices, agreed: Int) -> None:
        """Drop the rows that are finished; advance the grammar of the others, mend their drafts."""
        last = chosen.labels[np.arange(len(agreed)), agreed]
        working = (last != self._eos) & (last != self._pad)
        ends = self._written + agreed + working + (last == self._eos)
        self.trace.lengths[self._rows[~working]] = ends[~working]
        kept = _compacted(working)
        self._cache.lengths = self._written + agreed
        if not working.all():
            self._cache.keep(kept)
        if not len(kept):
            self._rows = kept
            return
        stop_of = np.zeros((len(agreed), int(ahead.walk.steps.max()) + 1), dtype=np.int64)
        stop_of[ahead.walk.rows, ahead.walk.steps] = np.arange(len(ahead.walk.rows))
        self._grammar.resume(ahead.walk, stop_of[kept, agreed[kept]], last[kept])
        self._drafts = [
            self._mended(row, int(agreed[row]), int(ends[row]), chosen) for row in kept.tolist()
        ]
        self._rows, self._written = self._rows[kept], ends[kept]
        self._limits = self._limits[kept]

    def _mended(self, row: int, agreed: int, end: int, chosen: Choices) -> list[int]:
        draft, window = self._drafts[row], int(self._rows[row])
        written = self.trace.labels[window, :end].tolist()
        if agreed < len(draft) and draft[agreed] == written[-1]:  # the draft was cut off
            return draft[agreed + 1 :]
        choices = chosen.labels[row, agreed:].tolist()
        return self._drafter.mend(window, written, draft[agreed:], choices)


def _agreement(drafts: Int, sizes: Int, chosen: Int) -> Int:
    """(n,) labels of each draft before the first that was chosen otherwise."""
    width = chosen.shape[1] - 1
    same = (drafts[:, :width] == chosen[:, :width]) & (np.arange(width) < sizes[:, None])
    agreed: Int = np.cumprod(same, axis=1).sum(axis=1)
    return agreed


def _compacted(working: NDArray[np.bool_]) -> Int:
    """Rows that stay, in an order that moves few: rows from the end fill the gaps."""
    count = int(working.sum())
    order = np.arange(count)
    order[~working[:count]] = count + np.flatnonzero(working[count:])
    return order


def _gathered(*tensors: Tensor) -> list[NDArray[Any]]:
    """Int and float tensors on the CPU, in one transfer."""
    raw = [t.float().view(torch.int32) if t.is_floating_point() else t.int() for t in tensors]
    flat = torch.cat([part.flatten() for part in raw]).cpu().numpy()
    parts = np.split(flat, np.cumsum([t.numel() for t in tensors])[:-1])
    return [
        (part.view(np.float32) if t.is_floating_point() else part).reshape(t.shape)
        for part, t in zip(parts, tensors, strict=True)
    ]
