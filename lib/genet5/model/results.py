"""What the network returns: encoded windows, and the logits that training needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from genet5.blocks.moe import RouterLoss


@dataclass(frozen=True, slots=True)
class Encoded:
    """What the encoder side knows of N windows."""

    latents: Tensor
    """(N, M, D)."""
    num_latents: Tensor
    """(N,)."""
    features: Tensor
    """(N, L, C) base features."""
    keys: tuple[Tensor, Tensor]
    """The pointer's keys."""
    state_logits: Tensor
    """(N, L, 2, 8): what each base is on + and on - (`dataset.per_base`)."""
    boundary_logits: Tensor
    """(N, L, 8)."""
    num_bases: Tensor
    """(N,)."""

    @classmethod
    def joined(cls, parts: Sequence[Encoded]) -> Encoded:
        """Put windows together that were padded to the same length."""
        if len(parts) == 1:
            return parts[0]
        where, which = zip(*(part.keys for part in parts), strict=True)
        return cls(
            latents=torch.cat([part.latents for part in parts]),
            num_latents=torch.cat([part.num_latents for part in parts]),
            features=torch.cat([part.features for part in parts]),
            keys=(torch.cat(where), torch.cat(which)),
            state_logits=torch.cat([part.state_logits for part in parts]),
            boundary_logits=torch.cat([part.boundary_logits for part in parts]),
            num_bases=torch.cat([part.num_bases for part in parts]),
        )


@dataclass(frozen=True, slots=True)
class Output:
    """Logits for teacher-forced labels; entry t predicts label t + 1."""

    token_logits: Tensor
    """(N, T - 1, V) fp32."""
    position_logits: Tensor
    """(N, P, L) fp32, -inf after a window's end: row p predicts label t + 1, t being the batch's
    `position_steps[p]`."""
    encoded: Encoded
    router_losses: list[RouterLoss]
    """One for each decoder layer that has experts; they count labels."""
    encoder_router_losses: list[RouterLoss] = field(default_factory=list)
    """One for each encoder layer that has experts; they count sequence tokens."""
