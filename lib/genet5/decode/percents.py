"""The per-base heads' probabilities of a window, as tracks show them."""

from __future__ import annotations

import torch
from torch import Tensor

from genet5.dataset.per_base import ACCEPTOR, DONOR, FIRST_CODING, FIRST_INTRON, START, STOP
from genet5.decode.window_found import Percents


def percents_of(state_logits: Tensor, boundary_logits: Tensor, *, spliced: bool) -> Percents:
    """Return the heads' probabilities of a row of bases.

    Args:
        state_logits: (L, 2, 8).
        boundary_logits: (L, 8).
        spliced: Keep introns and splice sites, too.

    Returns:
        (2, kinds, L): codon position 0, 1 and 2 in reading direction, start, stop; if spliced
        intron, donor, acceptor as well.
    """
    states, edges = state_logits.softmax(-1), boundary_logits.sigmoid().unflatten(-1, (4, 2))
    kinds = [*states[..., FIRST_CODING:FIRST_INTRON].unbind(-1), edges[:, START], edges[:, STOP]]
    if spliced:
        intron = states[..., FIRST_INTRON : FIRST_INTRON + 3].sum(-1)
        kinds += [intron, edges[:, DONOR], edges[:, ACCEPTOR]]
    shares = torch.stack(kinds, dim=1).permute(2, 1, 0)
    found: Percents = (100 * shares).round().to(torch.uint8).cpu().numpy()
    return found
