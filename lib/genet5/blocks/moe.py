"""Mixture of experts: softmax router in fp32, top-k, dropless, one grouped matrix product.

Tokens are sorted by expert, so that each expert's tokens are one contiguous group of
`torch.nn.functional.grouped_mm`; no capacity, no padding, and nothing waits for the device: group
ends stay on it, and tokens are moved by index in both directions, forward and backward, so that no
sum needs atomics.

Experts are kept evenly used by a load-balance loss (Switch Transformers, Fedus et al. 2021,
arXiv:2101.03961), or without a loss, by a bias on the router's choice that follows the load (Wang
et al. 2024, arXiv:2408.15664; DeepSeek-V3). Router z-loss after ST-MoE (Zoph et al. 2022,
arXiv:2202.08906).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genet5.blocks.feedforward import GatedFeedForward
from genet5.config.model import BalanceName, DecoderConfig, EncoderConfig

BIAS_STEP = 0.001
"""Change of a choice bias in one step, the paper's best."""


@dataclass(frozen=True, slots=True)
class RouterLoss:
    """Sums over the tokens that were routed; divide by their number."""

    probabilities: Tensor
    """(E,) the router's probabilities; without gradient where a bias balances."""
    z: Tensor
    """Squared log-sum-exp of the router's logits."""
    tokens_per_expert: Tensor
    """(E,) counts."""

    def balance(self, tokens_per_expert: Tensor | None = None) -> Tensor:
        """Switch's load-balance loss, 1 a token when experts share evenly.

        Args:
            tokens_per_expert: Counts to use, such as those of all ranks; None = its own. They
                take no gradient.
        """
        counts = self.tokens_per_expert if tokens_per_expert is None else tokens_per_expert
        shares = counts / counts.sum().clamp_min(1)
        return len(counts) * (shares * self.probabilities).sum()


class MixtureOfExperts(nn.Module):
    """Gated feed-forward experts, of which each token uses `top_k`.

    Args:
        width: D.
        ff_dim: F of each expert.
        num_experts: E.
        top_k: Experts of each token.
        balance: "bias" = the router chooses by probability plus `choice_bias`, which `rebalance`
            moves, and the load-balance loss has no gradient.
    """

    choice_bias: Tensor | None

    def __init__(
        self,
        width: int,
        ff_dim: int,
        num_experts: int,
        top_k: int,
        *,
        balance: BalanceName = "loss",
    ) -> None:
        super().__init__()
        self.num_experts, self.top_k = num_experts, top_k
        self.router = nn.Linear(width, num_experts, bias=False)
        # (out, in) as in nn.Linear: faster than (in, out) forward, equal backward
        self.up = nn.Parameter(torch.zeros(num_experts, 2 * ff_dim, width))
        self.down = nn.Parameter(torch.zeros(num_experts, width, ff_dim))
        bias = torch.zeros(num_experts) if balance == "bias" else None
        self.register_buffer("choice_bias", bias)
        self.routed: Tensor | None = None
        """(E,) fp32 tokens routed since the last `take_routed`, on the device; None = none."""

    def forward(self, x_BTD: Tensor, real_BT: Tensor | None = None) -> tuple[Tensor, RouterLoss]:
        """Route and mix.

        Args:
            x_BTD: Inputs.
            real_BT: True = a token, False = padding, which no loss counts; None = all are tokens.

        Returns:
            (B, T, D) and the router's losses.
        """
        x = x_BTD.reshape(-1, x_BTD.shape[-1])
        logits, probabilities, shares, chosen = self._route(x)
        token, place, ends = _sort(chosen, self.num_experts)
        kind = (
            torch.get_autocast_dtype(x.device.type)
            if torch.is_autocast_enabled(x.device.type)
            else x.dtype
        )
        rows: Tensor = _Dispatch.apply(x.to(kind), token, place)  # type: ignore[no-untyped-call]
        known = kind == torch.bfloat16 or not torch.compiler.is_compiling()
        product = F.grouped_mm if known else _grouped_mm
        both = product(rows, self.up.to(kind).transpose(1, 2), offs=ends)
        out = product(_GatedGelu.apply(both), self.down.to(kind).transpose(1, 2), offs=ends)  # type: ignore[no-untyped-call]
        mixed: Tensor = _Combine.apply(out, shares, token, place, x.dtype)  # type: ignore[no-untyped-call]
        return mixed.view_as(x_BTD), self._losses(logits, probabilities, chosen, real_BT)

    def _route(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return router logits and probabilities (fp32), the chosen experts' shares and indices."""
        with torch.autocast(x.device.type, enabled=False):
            logits = F.linear(x.float(), self.router.weight.float())
        probabilities = logits.softmax(dim=-1)
        if self.choice_bias is None:
            top, chosen = probabilities.topk(self.top_k, dim=-1)
        else:
            chosen = (probabilities + self.choice_bias).topk(self.top_k, dim=-1).indices
            top = probabilities.gather(-1, chosen)
        return logits, probabilities, top / top.sum(dim=-1, keepdim=True), chosen

    def _losses(
        self, logits: Tensor, probabilities: Tensor, chosen: Tensor, real_BT: Tensor | None
    ) -> RouterLoss:
        experts = torch.arange(self.num_experts, device=logits.device)
        uses = (chosen[:, :, None] == experts).sum(dim=1).float()
        if real_BT is None:
            real = torch.ones(1, len(logits), device=logits.device)
        else:
            real = real_BT.reshape(1, -1).float()
        summed = (real @ probabilities)[0]
        if self.choice_bias is not None:
            summed = summed.detach()  # reported, not minimised
        z = (logits.logsumexp(dim=-1).square() * real[0]).sum()
        return RouterLoss(probabilities=summed, z=z, tokens_per_expert=(real @ uses)[0])

    def count(self, loss: RouterLoss) -> None:
        """Add a pass's tokens per expert to `routed`, outside of what is recomputed."""
        if self.training:
            counts = loss.tokens_per_expert.detach()
            self.routed = counts if self.routed is None else self.routed + counts

    def take_routed(self) -> Tensor:
        """Return `routed` and start again, (E,) fp32."""
        routed, self.routed = self.routed, None
        return torch.zeros(self.num_experts, device=self.up.device) if routed is None else routed

    @torch.no_grad()
    def rebalance(self, routed_E: Tensor, step: float = BIAS_STEP) -> None:
        """Move the choice bias, if any, one step towards experts with less than their share.

        Args:
            routed_E: Tokens per expert of the step, all ranks together.
            step: How far.
        """
        if self.choice_bias is not None:
            self.choice_bias += step * torch.sign(routed_E.mean() - routed_E)


def make_feedforward(
    width: int, shape: EncoderConfig | DecoderConfig, index: int, *, down_bias: bool = False
) -> GatedFeedForward | MixtureOfExperts:
    """Build a layer's feed-forward: every `moe_every`-th one, and the last, has experts."""
    if shape.num_experts and (shape.layers - 1 - index) % shape.moe_every == 0:
        return MixtureOfExperts(
            width, shape.ff_dim, shape.num_experts, shape.moe_top_k, balance=shape.moe_balance
        )
    return GatedFeedForward(width, shape.ff_dim, down_bias=down_bias)


def feed(
    feedforward: nn.Module, x_BTD: Tensor, real_BT: Tensor | None
) -> tuple[Tensor, RouterLoss | None]:
    """Apply either kind of feed-forward; a dense one has no router's loss."""
    if isinstance(feedforward, MixtureOfExperts):
        mixed, loss = feedforward(x_BTD, real_BT)
        return mixed, loss
    return feedforward(x_BTD), None


def _sort(chosen_NK: Tensor, num_experts: int) -> tuple[Tensor, Tensor, Tensor]:
    """Order (token, choice) pairs by expert.

    Returns: The token of each sorted row (N K,), the sorted row of each pair (N, K), and each
        expert's end (E,) int32.
    """
    top_k = chosen_NK.shape[1]
    experts, order = chosen_NK.flatten().sort(stable=True)
    rows = torch.arange(len(order), device=order.device)
    place = torch.empty_like(order).scatter_(0, order, rows)
    every = torch.arange(num_experts, device=order.device)
    ends = torch.searchsorted(experts, every, right=True, out_int32=True)
    return order // top_k, place.view_as(chosen_NK), ends


@torch.library.custom_op("genet5::grouped_mm", mutates_args=())
def _grouped_mm(rows: Tensor, weights: Tensor, offs: Tensor) -> Tensor:
    """Run `grouped_mm` as an opaque operator: torch 2.13's compiler knows it in bf16 only.

    Args:
        rows: (R, I) rows sorted by group, or (I, R).
        weights: (E, I, O), or (R, O).
        offs: Each group's end, (E,) int32.

    Returns:
        (R, O), or (E, I, O) of two matrices.
    """
    return F.grouped_mm(rows, weights, offs=offs)


@_grouped_mm.register_fake
def _(rows: Tensor, weights: Tensor, offs: Tensor) -> Tensor:
    groups = offs.shape if weights.dim() == 2 else ()
    return rows.new_empty(*groups, rows.shape[0], weights.shape[-1])


def _grouped_mm_backward(ctx: Any, grad_RO: Tensor) -> tuple[Tensor, Tensor, None]:
    rows, weights, offs = ctx.saved_tensors
    grad_RO = grad_RO.contiguous()
    to_rows = _grouped_mm(grad_RO, weights.transpose(1, 2), offs)
    return to_rows, _grouped_mm(rows.t(), grad_RO, offs), None


_grouped_mm.register_autograd(
    _grouped_mm_backward, setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs)
)


class _Dispatch(torch.autograd.Function):
    """Copy each token to its experts' rows; the gradient gathers instead of adding by index."""

    @staticmethod
    def forward(ctx: Any, x_ND: Tensor, token_R: Tensor, place_NK: Tensor) -> Tensor:
        ctx.save_for_backward(place_NK)
        return x_ND.index_select(0, token_R)

    @staticmethod
    def backward(ctx: Any, grad_RD: Tensor) -> tuple[Tensor, None, None]:
        (place,) = ctx.saved_tensors
        picked = grad_RD.index_select(0, place.flatten())
        return picked.view(*place.shape, -1).sum(dim=1), None, None


class _Combine(torch.autograd.Function):
    """Sum each token's rows by their shares, in fp32, then round to `dtype`."""

    @staticmethod
    def forward(
        ctx: Any,
        rows_RD: Tensor,
        shares_NK: Tensor,
        token_R: Tensor,
        place_NK: Tensor,
        dtype: torch.dtype,
    ) -> Tensor:
        ctx.save_for_backward(rows_RD, shares_NK, token_R, place_NK)
        picked = rows_RD.index_select(0, place_NK.flatten()).view(*place_NK.shape, -1)
        return (picked * shares_NK[..., None]).sum(dim=1).to(dtype)

    @staticmethod
    def backward(ctx: Any, grad_ND: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        rows, shares, token, place = ctx.saved_tensors
        sent = grad_ND.index_select(0, token)
        share_R = torch.empty_like(shares).flatten().scatter_(0, place.flatten(), shares.flatten())
        to_share = (sent * rows).sum(dim=-1, dtype=shares.dtype)[place]
        to_rows = sent.mul_(share_R[:, None]).to(rows.dtype)
        return to_rows, to_share, None, None, None


class _GatedGelu(torch.autograd.Function):
    """`gelu(gate) * value` of one (R, 2 F) tensor, which alone is kept for the backward pass."""

    @staticmethod
    def forward(ctx: Any, both_RG: Tensor) -> Tensor:
        ctx.save_for_backward(both_RG)
        gate, value = both_RG.chunk(2, dim=-1)
        return F.gelu(gate).mul_(value)

    @staticmethod
    def backward(ctx: Any, grad_RF: Tensor) -> Tensor:
        (both,) = ctx.saved_tensors
        gate, value = both.chunk(2, dim=-1)
        grad = torch.empty_like(both)
        to_gate, to_value = grad.chunk(2, dim=-1)
        scratch = F.gelu(gate)  # large tensors cost more to get than to fill: two are enough
        to_value.copy_(scratch.mul_(grad_RF))
        to_gate.copy_(torch.ops.aten.gelu_backward(torch.mul(grad_RF, value, out=scratch), gate))
        return grad
