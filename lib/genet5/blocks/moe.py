"""Mixture of experts: softmax router, top-k, dropless, experts as one grouped matrix product.

Tokens are sorted by expert, so that each expert's tokens are one contiguous group of
`torch.nn.functional.grouped_mm`; no capacity, no padding, no host synchronisation. Load-balance loss after Switch
Transformers (Fedus et al. 2021, arXiv:2101.03961), router z-loss after ST-MoE (Zoph et al. 2022, arXiv:2202.08906).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True, slots=True)
class RouterLoss:
    """Sums over the tokens that were routed; divide by their number."""

    balance: Tensor
    """Switch's load-balance loss, 1 when experts share evenly."""
    z: Tensor
    """Mean squared log-sum-exp of the router's logits."""
    tokens_per_expert: Tensor
    """(E,) counts."""


class MixtureOfExperts(nn.Module):
    """Gated feed-forward experts, of which each token uses `top_k`."""

    def __init__(self, width: int, ff_dim: int, num_experts: int, top_k: int) -> None:
        super().__init__()
        self.num_experts, self.top_k = num_experts, top_k
        self.router = nn.Linear(width, num_experts, bias=False)
        self.up = nn.Parameter(torch.zeros(num_experts, width, 2 * ff_dim))
        self.down = nn.Parameter(torch.zeros(num_experts, ff_dim, width))

    def forward(self, x_BTD: Tensor, real_BT: Tensor | None = None) -> tuple[Tensor, RouterLoss]:
        """Route and mix.

        Args:
            x_BTD: Inputs.
            real_BT: True = a token, False = padding, which no loss counts; None = all are tokens.

        Returns:
            (B, T, D) and the router's losses.
        """
        x = x_BTD.reshape(-1, x_BTD.shape[-1])
        logits, shares, chosen = self._route(x)
        order = chosen.flatten().argsort(stable=True)
        ends = (
            torch.bincount(chosen.flatten(), minlength=self.num_experts).cumsum(0).to(torch.int32)
        )
        kind = (
            torch.get_autocast_dtype(x.device.type)
            if torch.is_autocast_enabled(x.device.type)
            else x.dtype
        )
        rows = x[order // self.top_k].to(kind)
        gate, value = F.grouped_mm(rows, self.up.to(kind), offs=ends).chunk(2, dim=-1)
        out = F.grouped_mm(F.gelu(gate) * value, self.down.to(kind), offs=ends)
        out = out.to(x.dtype) * shares.flatten()[order, None].to(x.dtype)
        mixed = torch.zeros_like(x).index_add(0, order // self.top_k, out)
        return mixed.view_as(x_BTD), self._losses(logits, chosen, real_BT)

    def _route(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Router logits (fp32), the chosen experts' shares (sum 1) and indices."""
        with torch.autocast(x.device.type, enabled=False):
            logits = F.linear(x.float(), self.router.weight.float())
        top, chosen = logits.softmax(dim=-1).topk(self.top_k, dim=-1)
        return logits, top / top.sum(dim=-1, keepdim=True), chosen

    def _losses(self, logits: Tensor, chosen: Tensor, real_BT: Tensor | None) -> RouterLoss:
        real = (
            torch.ones(len(logits), device=logits.device)
            if real_BT is None
            else real_BT.flatten().float()
        )
        count = real.sum().clamp_min(1)
        counts = torch.zeros(self.num_experts, device=logits.device).index_add(
            0, chosen.flatten(), real.repeat_interleave(self.top_k)
        )
        mean_probability = (logits.softmax(dim=-1) * real[:, None]).sum(0) / count
        balance = self.num_experts * (counts / (count * self.top_k) * mean_probability).sum()
        z = (logits.logsumexp(dim=-1).square() * real).sum() / count
        return RouterLoss(balance=balance * count, z=z * count, tokens_per_expert=counts)
