"""How probable the network holds rows of labels of one window.

A row's log-likelihood is the sum of the log-probabilities of its labels, each given the labels
before it; probabilities are those without the grammar's mask, as in `writer`. One pass of the
decoder reads all rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from genet5.decode.pointer import BasePointer
from genet5.model.network import GeneT5
from genet5.model.results import Encoded


@torch.inference_mode()
def log_likelihoods(
    model: GeneT5, encoded: Encoded, rows: Sequence[NDArray[np.int32]], pad: int
) -> NDArray[np.float64]:
    """Return the natural logarithm of each row's probability, its first label given.

    Args:
        model: In evaluation mode.
        encoded: One window.
        rows: Labels of the window, <bos> to <eos>.
        pad: Label that follows shorter rows.
    """
    labels = np.full((len(rows), max(map(len, rows))), pad, dtype=np.int64)
    for row, own in zip(labels, rows, strict=True):
        row[: len(own)] = own
    device = encoded.latents.device
    given = torch.from_numpy(labels).to(device)
    repeated = _repeated(encoded, len(rows))
    cache = model.start_decoding(repeated)
    states, following = model.extend(repeated, cache, given)[:, :-1], given[:, 1:]
    total = torch.zeros(following.shape, device=device)
    is_base, is_token = following < 0, (following >= 0) & (following != pad)
    token_logp = model.token_logits(states[is_token]).log_softmax(dim=-1)
    total[is_token] = token_logp.gather(1, following[is_token][:, None])[:, 0]
    if is_base.any():
        places = cache.places[:, : following.shape[1]][is_base]
        windows = np.zeros(int(is_base.sum()), dtype=np.int64)
        base_logp = BasePointer(model, encoded).logits(states[is_base], places, windows)
        chosen = base_logp.log_softmax(dim=-1).gather(1, -1 - following[is_base][:, None])
        total[is_base] = chosen[:, 0]
    sums: NDArray[np.float64] = total.sum(dim=1, dtype=torch.float64).cpu().numpy()
    return sums


def _repeated(encoded: Encoded, count: int) -> Encoded:
    """The window several times, without a copy of it, as far as labels are embedded by it."""
    return replace(
        encoded,
        latents=encoded.latents.expand(count, -1, -1),
        num_latents=encoded.num_latents.expand(count),
        features=encoded.features.expand(count, -1, -1),
    )
