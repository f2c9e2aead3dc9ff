"""What the network returns: encoded windows, and the logits that training needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from genet5.blocks.moe import RouterLoss


@dataclass(frozen=True, slots=True)
class Local:
    """What the encoder side knows of N rows before latents read them: nothing from far away.

    A state depends on the bases at most some layers' reach away, wherever they lie in the row. So
    rows may be longer than the windows that are cut from them (`decode.segments`).
    """

    states: Tensor
    """(N, S, D) of tokens or patches."""
    start_bp: Tensor
    """(N, S) first base of each; after `num_tokens`: the row's number of bases."""
    num_tokens: Tensor
    """(N,)."""
    features: Tensor
    """(N, L, C) base features."""
    state_logits: Tensor
    """(N, L, 2, 8): what each base is on + and on - (`dataset.per_base`)."""
    boundary_logits: Tensor
    """(N, L, 8)."""
    num_bases: Tensor
    """(N,)."""

    def cut(self, rows_N: Tensor, first_bp_N: Tensor, num_bases_N: Tensor, length: int) -> Local:
        """Cut windows from rows.

        A window has all tokens that lie on it, whole: its first may start before its first base,
        at a negative `start_bp`.

        Args:
            rows_N: Row of each window.
            first_bp_N: Where it begins on its row.
            num_bases_N: Its bases, at least 1.
            length: L of what is returned; bases after a window's end are those that follow.
        """
        bases = first_bp_N[:, None] + torch.arange(length, device=rows_N.device)
        bases, rows = bases.clamp_max(self.features.shape[1] - 1), rows_N[:, None]
        starts = self.start_bp[rows_N]
        ends = first_bp_N + num_bases_N
        first = torch.searchsorted(starts, first_bp_N[:, None], right=True)[:, 0] - 1
        num_tokens = torch.searchsorted(starts, ends[:, None])[:, 0] - first
        index = torch.arange(int(num_tokens.max()), device=rows_N.device)
        tokens = (first[:, None] + index).clamp_max(starts.shape[1] - 1)
        own_starts = starts.gather(1, tokens) - first_bp_N[:, None]
        return Local(
            states=self.states[rows, tokens],
            start_bp=torch.where(index < num_tokens[:, None], own_starts, num_bases_N[:, None]),
            num_tokens=num_tokens,
            features=self.features[rows, bases],
            state_logits=self.state_logits[rows, bases],
            boundary_logits=self.boundary_logits[rows, bases],
            num_bases=num_bases_N,
        )


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
