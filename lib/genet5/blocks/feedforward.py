"""Gated feed-forward (Shazeer 2020, arXiv:2002.05202) with exact GELU, as DNABERT-2 has it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class GatedFeedForward(nn.Module):
    """`down(gelu(a) * b)` where a and b are the halves of `up(x)`."""

    def __init__(self, width: int, ff_dim: int, *, down_bias: bool = False) -> None:
        super().__init__()
        self.up = nn.Linear(width, 2 * ff_dim, bias=False)
        self.down = nn.Linear(ff_dim, width, bias=down_bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., D) to (..., D)."""
        gate, value = self.up(x).chunk(2, dim=-1)
        opened = F.gelu(gate)
        opened = opened * value if torch.is_grad_enabled() else opened.mul_(value)
        mapped: Tensor = self.down(opened)
        return mapped
