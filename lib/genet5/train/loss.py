"""Losses of the four heads as sums and counts.

Any split of a step into micro-batches and ranks then gives the same gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from genet5.blocks.moe import RouterLoss
from genet5.dataset.batch import Batch, Targets
from genet5.dataset.per_base import IGNORE
from genet5.errors import ConfigError
from genet5.model.results import Output
from genet5.tokens.successors import successors


@dataclass(frozen=True, kw_only=True, slots=True)
class LossWeights:
    """Share of each head in the loss that is minimised."""

    token: float = 1.0
    position: float = 1.0
    state: float = 1.0
    boundary: float = 0.3
    start: float = 0.0
    """Of the choice among the start codons of one stop, by pointer and by boundary; 0 = no such
    loss."""
    balance: float = 0.01
    router_z: float = 0.001
    label_smoothing: float = 0.0
    """Probability spread evenly over the tokens that the language allows next, 0..1."""

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError("label_smoothing", self.label_smoothing, "must be in 0..1")


@dataclass(frozen=True, slots=True)
class LossTerm:
    """One head's loss: its mean is sum / count with both added over micro-batches and ranks."""

    sum: Tensor
    """Scalar fp32 with gradient."""
    count: Tensor
    """Scalar fp32."""
    weight: float
    """Share in the total loss."""


def loss_sums(
    output: Output,
    batch: Batch,
    weights: LossWeights,
    over_ranks: Callable[[Tensor], Tensor] = lambda counts: counts,
) -> dict[str, LossTerm]:
    """Return each head's loss.

    Token and position are in nats a label, state in nats a base, boundary in nats a true boundary.

    Args:
        output: Of the model.
        batch: What the model read.
        weights: Shares of the heads.
        over_ranks: Adds tokens per expert over the ranks, so that experts are balanced over the
            whole micro-batch.
    """
    targets = batch.targets
    terms = {
        "token": _token(output, targets.labels, targets.label_weights, weights),
        "position": _position(output, targets, weights.position),
        "state": _state(output.encoded.state_logits, targets, weights.state),
        "boundary": _boundary(output.encoded.boundary_logits, targets, weights.boundary),
    }
    if weights.start:
        boundary_logits = output.encoded.boundary_logits
        terms["start"] = _start(output.position_logits, targets, weights.start)
        terms["start_boundary"] = _start_boundary(boundary_logits, targets, weights.start)
    if losses := output.router_losses:
        count = (targets.label_weights[:, 1:] > 0).sum() * len(losses)
        terms["balance"], terms["router_z"] = _router(losses, count, weights, over_ranks)
    if losses := output.encoder_router_losses:
        count = routed_tokens(batch) * len(losses)
        balance, z = _router(losses, count, weights, over_ranks)
        terms["encoder_balance"], terms["encoder_router_z"] = balance, z
    return terms


def routed_tokens(batch: Batch) -> Tensor:
    """Sequence tokens of the batch, or 0 if it is silenced (`dataset.collate`); a scalar."""
    has_targets = (batch.targets.label_weights > 0).any()
    return batch.inputs.num_tokens.sum() * has_targets


def _router(
    losses: list[RouterLoss],
    count: Tensor,
    weights: LossWeights,
    over_ranks: Callable[[Tensor], Tensor],
) -> tuple[LossTerm, LossTerm]:
    """Load-balance and z-loss of all layers; nothing of a silenced batch."""
    has_targets = count > 0
    counts = over_ranks(
        torch.stack([loss.tokens_per_expert.detach() for loss in losses]) * has_targets
    )
    pairs = zip(losses, counts, strict=True)
    balance = torch.stack([loss.balance(routed) for loss, routed in pairs]).sum() * has_targets
    z = torch.stack([loss.z for loss in losses]).sum() * has_targets
    total = count.float()
    return LossTerm(balance, total, weights.balance), LossTerm(z, total, weights.router_z)


def _token(output: Output, labels: Tensor, label_weights: Tensor, weights: LossWeights) -> LossTerm:
    goal, weight = labels[:, 1:], label_weights[:, 1:] * (labels[:, 1:] >= 0)
    logp = output.token_logits.log_softmax(dim=-1)
    loss = -logp.gather(-1, goal.clamp_min(0)[..., None])[..., 0]
    if weights.label_smoothing:
        size = logp.shape[-1]
        before = labels[:, :-1]
        legal = _legal_next(size, labels.device)[torch.where(before < 0, size, before)]
        spread = -(logp * legal).sum(-1) / legal.sum(-1).clamp_min(1)
        loss = loss + weights.label_smoothing * (spread - loss)
    return LossTerm((loss * weight).sum(), weight.sum(), weights.token)


@cache
def _legal_next(size: int, device: torch.device) -> Tensor:
    """`successors` as fp32, moved to the device once and not at every batch."""
    return torch.tensor(successors(size), dtype=torch.float32, device=device)


def _position(output: Output, targets: Targets, share: float) -> LossTerm:
    steps = targets.position_steps + 1
    label = targets.labels.gather(1, steps)
    goal, weight = (-1 - label).clamp_min(0), targets.label_weights.gather(1, steps) * (label < 0)
    logits = output.position_logits
    chosen = logits.gather(-1, goal[..., None])[..., 0]
    loss = torch.where(weight > 0, logits.logsumexp(dim=-1) - chosen, 0.0)
    return LossTerm((loss * weight).sum(), weight.sum(), share)


def _state(logits_NLSK: Tensor, targets: Targets, share: float) -> LossTerm:
    goal = targets.states.transpose(1, 2).flatten().long()
    weight = targets.base_weights.transpose(1, 2).flatten() * (goal != IGNORE)
    loss = F.cross_entropy(
        logits_NLSK.float().flatten(0, 2), goal, ignore_index=IGNORE, reduction="none"
    )
    return LossTerm((loss * weight).sum(), weight.sum(), share)


def _boundary(logits_NLE: Tensor, targets: Targets, share: float) -> LossTerm:
    """Sum over bases, count true boundaries: in a mean over bases the rare ones would vanish."""
    goal = (targets.boundaries == 1).transpose(1, 2).float()
    loss = F.binary_cross_entropy_with_logits(logits_NLE.float(), goal, reduction="none")
    weight = boundary_weights(targets).transpose(1, 2)
    return LossTerm((loss * weight).sum(), (goal * weight).sum().clamp_min(1.0), share)


def boundary_weights(targets: Targets) -> Tensor:
    """Return the weight of each boundary target, (N, 8, L) fp32.

    Channels alternate + and -; a base without a state on a strand has no boundary loss there.
    """
    by_strand = targets.base_weights * (targets.states != IGNORE)
    kinds = targets.boundaries.shape[1] // 2
    return by_strand.repeat(1, kinds, 1) * (targets.boundaries != IGNORE)


def start_weights(targets: Targets) -> Tensor:
    """Return the weight of each label as a choice among starts, (N, T): 0 without a rival."""
    return targets.label_weights * (targets.starts[..., 1] >= 0)


def _start(logits_NPL: Tensor, targets: Targets, share: float) -> LossTerm:
    """Choose among the candidates by the pointer's logits."""
    steps = targets.position_steps + 1
    keys = targets.starts.gather(1, steps[..., None].expand(-1, -1, targets.starts.shape[-1]))
    weight = start_weights(targets).gather(1, steps)
    logits = logits_NPL.gather(-1, (keys.long() >> 1).clamp_min(0))
    return _choice(logits, keys, weight, share)


def _start_boundary(logits_NLE: Tensor, targets: Targets, share: float) -> LossTerm:
    """Choose among the candidates by the logits of the start boundary on their strand."""
    keys = targets.starts
    flat = logits_NLE[..., :2].float().flatten(1)  # 2 * base + (strand < 0), as the keys are
    logits = flat.gather(1, keys.long().clamp_min(0).flatten(1)).view(keys.shape)
    return _choice(logits, keys, start_weights(targets), share)


def _choice(logits: Tensor, keys: Tensor, weight: Tensor, share: float) -> LossTerm:
    """Cross-entropy of the first of the candidates, those with keys, in the last dimension."""
    is_chosen = weight > 0
    logits = logits.masked_fill((keys < 0) | ~is_chosen[..., None], -1e4)
    loss = logits.logsumexp(dim=-1) - logits[..., 0]
    return LossTerm((loss * weight).sum(), weight.sum(), share)
