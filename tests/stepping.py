"""The oracle of draft and verification: rows written label by label, one decoder step for each."""

from __future__ import annotations

import numpy as np
import torch

from genet5.decode.trace import Trace
from genet5.decode.writer import ALTERNATIVES
from genet5.model.network import GeneT5
from genet5.model.results import Encoded
from genet5.tokens.grammar import Grammar


def write_by_steps(model: GeneT5, encoded: Encoded, grammar: Grammar) -> Trace:
    """Let the model write all rows to their <eos>."""
    trace = Trace.begin(
        grammar.prompt, grammar.options.max_labels, ALTERNATIVES, grammar.vocabulary.pad
    )
    cache = model.start_decoding(encoded)
    labels, step = np.array(grammar.prompt, dtype=np.int64), len(grammar.prompt[0])
    while not grammar.finished.all():
        states = model.extend(encoded, cache, torch.from_numpy(labels))[:, -1]
        token_logp = model.token_logits(states).log_softmax(-1)
        places = cache.place()[:, None]
        base_logp = model.position_logits(encoded, states[:, None], places)[:, 0].log_softmax(-1)
        chosen = np.full(len(states), grammar.vocabulary.pad, dtype=np.int64)
        for row in np.flatnonzero(~grammar.finished).tolist():
            is_base = grammar.wants_position[row]
            mask = (grammar.legal_positions() if is_base else grammar.legal_tokens())[row]
            logp = (base_logp if is_base else token_logp)[row].numpy()[: len(mask)]
            order = [i for i in np.argsort(-logp, kind="stable").tolist() if mask[i]][:ALTERNATIVES]
            chosen[row] = -1 - order[0] if is_base else order[0]
            trace.logp[row, step] = logp[order[0]]
            if is_base:
                trace.other_bases[row, step, : len(order)] = order
                trace.other_logp[row, step, : len(order)] = logp[order]
        trace.labels[:, step] = chosen
        was_finished = grammar.finished
        grammar.advance(chosen)
        step += 1
        trace.lengths[grammar.finished & ~was_finished] = step
        labels = chosen[:, None]
    return trace
