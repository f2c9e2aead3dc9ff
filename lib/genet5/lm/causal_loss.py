"""Losses of next tokens, in chunks of positions: token cross-entropy, and that of single bases.

The base loss (factorised nucleotide supervision, as GENERator is fine-tuned) asks a k-mer model for
each of the k bases: the probability of a base at a place is the sum over all k-mers that have it
there. Special tokens are left out and the rest is normalised, so that no special token's
probability counts as a base; where a special token is the target, its cross-entropy / k counts. It
is in nats per base; so is `mixed`, the mean of it and of the token loss / k. `token` is in nats per
token.

Logits of 16k positions and 4128 tokens fill 270 MB, and as much again for each thing made of them:
they are made for some thousand positions at a time and, when gradients are wanted, made again in
the backward pass.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

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
        total = states_MD.new_zeros(len(SUMS), dtype=torch.float32)
        for begin in range(0, len(targets_M), POSITIONS_AT_ONCE):
            part = slice(begin, begin + POSITIONS_AT_ONCE)
            words = (states_MD[part], head_VD, targets_M[part], weights_M[part], is_lower_M[part])
            if torch.is_grad_enabled():
                total = total + checkpoint(self._sums, *words, use_reentrant=False)
            else:
                total = total + self._sums(*words)
        return total

    def _sums(
        self, states: Tensor, head: Tensor, targets: Tensor, weights: Tensor, is_lower: Tensor
    ) -> Tensor:
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
