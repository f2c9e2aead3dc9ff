"""Losses of next tokens, in chunks of positions: token cross-entropy, and that of single bases.

The base loss (factorised nucleotide supervision, as GENERator is fine-tuned) asks a k-mer model for
each of the k bases: the probability of a base at a place is the sum over all k-mers that have it
there. Special tokens are left out and the rest is normalised, so that no special token's
probability counts as a base; where a special token is the target, its cross-entropy / k counts. It
is in nats per base; so is `mixed`, the mean of it and of the token loss / k. `token` is in nats per
token.

Logits of 16k positions and 4128 tokens fill 270 MB, and as much again for each thing made of them:
they are made for some thousand positions at a time. When gradients are wanted, those of a chunk are
taken at once, while its logits are there, and take their place: the loss is the end of the
computation, and what follows it (the division by the sum of weights) is linear, so the backward
pass has only to scale them. With p the probabilities of the tokens, the slope of the token loss by
logits is p less 1 at the target, and that of the base loss p (1 - c), where c is the mean over
places of 1 / (probability of the true base) for the k-mers that have it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genet5.errors import ConfigError
from genet5.lm.text import Vocabulary
from genet5.lm.vocabulary import KmerVocabulary

LossName = Literal["token", "base", "mixed"]

POSITIONS_AT_ONCE = 2048
_LEAST = 1e-8
SUMS = ("loss", "nats", "right_upper", "right_lower")
"""What `CausalLoss` sums up: the weighted loss, the plain token loss, and right predictions."""


class CausalLoss(nn.Module):
    """Sums the loss of the targets of a batch.

    Args:
        vocabulary: The model's.
        kind: Which loss.

    Raises:
        ConfigError: The base loss of a vocabulary without bases at fixed places.
    """

    kmer_bases: Tensor
    base_of: Tensor

    def __init__(self, vocabulary: Vocabulary, kind: LossName) -> None:
        super().__init__()
        self.kind = kind
        if kind == "token":
            return
        if not isinstance(vocabulary, KmerVocabulary) or vocabulary.is_overlapping:
            raise ConfigError("loss", kind, "needs k-mers that do not overlap")
        table = torch.from_numpy(vocabulary.base_at.astype("int64"))
        self.k, self.first = vocabulary.k, vocabulary.first_id
        self.end = self.first + 4**self.k
        one_hot = F.one_hot(table[self.first : self.end], 4).flatten(1).float()
        self.register_buffer("kmer_bases", one_hot, persistent=False)  # (4^k, 4 k)
        self.register_buffer("base_of", table, persistent=False)  # (V, k)

    def forward(
        self, states_MD: Tensor, head_VD: Tensor, targets_M: Tensor, weights_M: Tensor,
        is_lower_M: Tensor,
    ) -> Tensor:  # fmt: skip
        """Return the sums of `SUMS`, (4,) fp32; the loss among them has a gradient.

        Args:
            states_MD: Last hidden states at the positions before the targets.
            head_VD: Output matrix.
            targets_M: Next tokens.
            weights_M: Their weights.
            is_lower_M: Whether they are soft-masked.
        """
        words = (states_MD, head_VD, targets_M, weights_M, is_lower_M)
        found: Tensor = _WithGradients.apply(self, *words)  # type: ignore[no-untyped-call]
        return found

    @torch.no_grad()
    def by_row(self, states_MD: Tensor, head_VD: Tensor, *targets: Tensor, rows: Tensor) -> Tensor:
        """Return the sums of each row of a batch, (N, 4), without gradients.

        Args:
            states_MD: As in `forward`.
            head_VD: As in `forward`.
            targets: Targets, weights and whether they are soft-masked, as in `forward`.
            rows: (N, S) bool which positions the M targets stand at, in their order.
        """
        total = states_MD.new_zeros((len(rows), len(SUMS)), dtype=torch.float32)
        row_M = rows.nonzero()[:, 0]
        targets_M, weights_M, is_lower_M = targets
        for part in _chunks(len(states_MD)):
            logits = F.linear(states_MD[part], head_VD).float()
            found = self.losses(logits, targets_M[part])
            total.index_add_(0, row_M[part], found.terms(weights_M[part], is_lower_M[part]))
        return total

    def losses(self, logits: Tensor, targets: Tensor, slope_of: Tensor | None = None) -> Losses:
        """Return the losses of targets.

        Args:
            logits: (M, V) fp32; they are overwritten.
            targets: (M,) next tokens.
            slope_of: (M,) weights; the logits become the slope of the weighted sum of losses.
        """
        base = None if self.kind == "token" else self._base(logits, targets)
        top, best = logits.max(-1)
        true = logits.gather(-1, targets[:, None])[:, 0]
        powers = logits.sub_(top[:, None]).exp_()
        total = powers.sum(-1)
        token = total.log() + top - true
        found = Losses(token, token, best == targets)
        share = torch.ones_like(token)
        if base is not None:
            of_bases = (1.0 if self.kind == "base" else 0.5) * base.is_base
            share = (1 - of_bases) / self.k
            found = Losses(of_bases * base.loss + share * token, token, found.is_right)
        if slope_of is not None:
            share = share * slope_of
            powers.mul_((share / total)[:, None])
            powers[torch.arange(len(targets), device=targets.device), targets] -= share
            if base is not None:
                rows = (of_bases * slope_of)[:, None]
                powers[:, self.first : self.end] += rows * base.slope(self.kmer_bases)
        return found

    def _base(self, logits: Tensor, targets: Tensor) -> _BaseLosses:
        """Return the mean over the k places of the loss of each base, in nats."""
        p = logits[:, self.first : self.end].softmax(-1)
        with torch.autocast(p.device.type, enabled=False):
            marginals = (p @ self.kmer_bases).unflatten(-1, (self.k, 4))
        bases = self.base_of[targets]
        is_base = bases[:, 0] >= 0
        chosen = marginals.gather(-1, bases.clamp_min(0)[..., None])
        loss = -chosen[..., 0].clamp_min(_LEAST).log().mean(-1)
        counted = torch.where(chosen > _LEAST, 1 / (self.k * chosen.clamp_min(_LEAST)), 0.0)
        of_places = torch.zeros_like(marginals).scatter(-1, bases.clamp_min(0)[..., None], counted)
        share = (chosen[..., 0] > _LEAST).float().mean(-1)
        return _BaseLosses(loss, is_base.float(), p, share, of_places.flatten(1))


@dataclass(frozen=True, slots=True)
class Losses:
    """What is known of M targets."""

    loss: Tensor
    """(M,) what is minimised."""
    token: Tensor
    """(M,) cross-entropy of the tokens, in nats."""
    is_right: Tensor
    """(M,) bool whether the most probable token is the target."""

    def terms(self, weights: Tensor, is_lower: Tensor) -> Tensor:
        """Return what each target adds to the sums of `SUMS`, (M, 4)."""
        right = (self.is_right & ~is_lower, self.is_right & is_lower)
        return torch.stack([self.loss * weights, self.token, *(r.float() for r in right)], dim=1)


@dataclass(frozen=True, slots=True)
class _BaseLosses:
    """Losses of M targets base by base, and what their slope is made of."""

    loss: Tensor
    """(M,) in nats per base."""
    is_base: Tensor
    """(M,) 1 where the target is a k-mer, 0 where it is a special token."""
    p: Tensor
    """(M, 4^k) probabilities of the k-mers."""
    share: Tensor
    """(M,) share of the places whose true base is not next to impossible."""
    of_places: Tensor
    """(M, 4 k) at the true base of such a place 1 / (k times its probability), else 0."""

    def slope(self, kmer_bases: Tensor) -> Tensor:
        """Return the slope of the losses by the logits of the k-mers, (M, 4^k)."""
        with torch.autocast(self.p.device.type, enabled=False):
            return self.p * (self.share[:, None] - self.of_places @ kmer_bases.T)


class _WithGradients(torch.autograd.Function):
    """The sums over all chunks; gradients of the loss are taken with the sums."""

    @staticmethod
    def forward(
        ctx: Any, loss: CausalLoss, states_MD: Tensor, head_VD: Tensor, *targets: Tensor
    ) -> Tensor:
        """Return the sums, (4,) fp32; only the first one has a gradient."""
        total = states_MD.new_zeros(len(SUMS), dtype=torch.float32)
        of_states = torch.zeros_like(states_MD)
        of_head = torch.zeros_like(head_VD)
        targets_M, weights_M, is_lower_M = targets
        for part in _chunks(len(states_MD)):
            states, weights = states_MD[part], weights_M[part]
            logits = F.linear(states, head_VD)
            slope = logits.float()
            found = loss.losses(slope, targets_M[part], slope_of=weights)
            total += found.terms(weights, is_lower_M[part]).sum(0)
            slope = slope.to(logits.dtype)
            of_states[part] = slope @ head_VD
            of_head += slope.T @ states
        ctx.save_for_backward(of_states, of_head)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Scale the stored gradients."""
        of_states, of_head = ctx.saved_tensors
        scale = gradients[0][0]
        return None, of_states * scale, of_head * scale, None, None, None


def _chunks(size: int) -> Iterator[slice]:
    for begin in range(0, size, POSITIONS_AT_ONCE):
        yield slice(begin, begin + POSITIONS_AT_ONCE)
