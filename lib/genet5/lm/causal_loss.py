"""Losses of next tokens, in chunks of positions: token cross-entropy, and that of single bases.

The base loss (factorised nucleotide supervision, as GENERator is fine-tuned) asks a k-mer model for
each of the k bases: the probability of a base at a place is the sum over all k-mers that have it
there. Special tokens are left out and the rest is normalised, so that no special token's
probability counts as a base; where a special token is the target, its cross-entropy / k counts. It
is in nats per base; so is `mixed`, the mean of it and of the token loss / k. `token` is in nats per
token.

Logits of 16k positions and 4128 tokens fill 270 MB, and as much again for each thing made of them:
they are made for some thousand positions at a time. When gradients are wanted, those of a chunk are
taken at once, while its logits are there: the loss is the end of the computation, and what follows
it (the division by the sum of weights) is linear, so the backward pass has only to scale them.
"""

from __future__ import annotations

from collections.abc import Iterator
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
        """Return the sums of `SUMS`, (4,) fp32.

        Args:
            states_MD: Last hidden states at the positions before the targets.
            head_VD: Output matrix.
            targets_M: Next tokens.
            weights_M: Their weights.
            is_lower_M: Whether they are soft-masked.
        """
        if torch.is_grad_enabled():
            words = (states_MD, head_VD, targets_M, weights_M, is_lower_M)
            found: Tensor = _WithGradients.apply(self, *words)  # type: ignore[no-untyped-call]
            return found
        total = states_MD.new_zeros(len(SUMS), dtype=torch.float32)
        for part in _chunks(len(targets_M)):
            rows = (targets_M[part], weights_M[part], is_lower_M[part])
            total += self.sums(states_MD[part], head_VD, *rows)
        return total

    def sums(
        self, states: Tensor, head: Tensor, targets: Tensor, weights: Tensor, is_lower: Tensor
    ) -> Tensor:
        """Return the sums of one chunk, (4,) fp32."""
        logits = F.linear(states, head).float()
        token = F.cross_entropy(logits, targets, reduction="none")
        loss = token
        if self.kind != "token":
            base = self._base_loss(logits, targets, token)
            loss = base if self.kind == "base" else 0.5 * (base + token / self.k)
        right = logits.argmax(-1) == targets
        return torch.stack(
            [
                (loss * weights).sum(),
                token.detach().sum(),
                (right & ~is_lower).sum(),
                (right & is_lower).sum(),
            ]
        )

    def _base_loss(self, logits: Tensor, targets: Tensor, token: Tensor) -> Tensor:
        """Return the mean over the k places of the loss of each base, (M,) in nats."""
        p = logits[:, self.first : self.end].softmax(-1)
        with torch.autocast(p.device.type, enabled=False):
            marginals = (p @ self.kmer_bases).unflatten(-1, (self.k, 4))
        bases = self.base_of[targets]
        chosen = marginals.gather(-1, bases.clamp_min(0)[..., None])[..., 0]
        base = -chosen.clamp_min(_LEAST).log().mean(-1)
        return torch.where(bases[:, 0] >= 0, base, token / self.k)


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
        for part in _chunks(len(states_MD)):
            with torch.enable_grad():
                inputs = (
                    states_MD[part].detach().requires_grad_(),
                    head_VD.detach().requires_grad_(),
                )
                sums = loss.sums(*inputs, *(each[part] for each in targets))
                gradients = torch.autograd.grad(sums[0], inputs)
            total += sums.detach()
            of_states[part] = gradients[0]
            of_head += gradients[1]
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
