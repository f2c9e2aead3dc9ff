"""Encoder of sequence tokens: DNABERT-2's layers (post-norm, ALiBi), or pre-norm layers with RoPE in base pairs."""

from __future__ import annotations

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from genet5.blocks.attention import SelfAttention, alibi_slopes, attend_window
from genet5.blocks.feedforward import GatedFeedForward
from genet5.blocks.rope import rope_table
from genet5.config.model import ModelConfig

_NORM_EPS = 1e-12  # DNABERT-2's


class EncoderLayer(nn.Module):
    """Windowed self-attention and a gated feed-forward."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        shape = config.encoder
        self.window, self.norm_first = shape.window_tokens, shape.norm_first
        self.attention = SelfAttention(config.width, shape.heads, shape.heads, bias=True)
        self.feedforward = GatedFeedForward(config.width, shape.ff_dim, down_bias=True)
        self.norm1 = nn.LayerNorm(config.width, eps=_NORM_EPS)
        self.norm2 = nn.LayerNorm(config.width, eps=_NORM_EPS)
        self.dropout = nn.Dropout(shape.dropout)

    def forward(
        self,
        x_BSD: Tensor,
        num_tokens_B: Tensor,
        rope: tuple[Tensor, Tensor] | None,
        slopes_H: Tensor | None,
    ) -> Tensor:
        """Map (B, S, D) to (B, S, D); tokens behind `num_tokens_B` are never seen by others."""
        if self.norm_first:
            x_BSD = x_BSD + self._attend(self.norm1(x_BSD), num_tokens_B, rope, slopes_H)
            return x_BSD + self.dropout(self.feedforward(self.norm2(x_BSD)))
        x_BSD = self.norm1(x_BSD + self._attend(x_BSD, num_tokens_B, rope, slopes_H))
        return self.norm2(x_BSD + self.dropout(self.feedforward(x_BSD)))

    def _attend(
        self,
        x_BSD: Tensor,
        num_tokens_B: Tensor,
        rope: tuple[Tensor, Tensor] | None,
        slopes_H: Tensor | None,
    ) -> Tensor:
        q, k, v = self.attention.split(x_BSD, rope)
        seen = attend_window(
            q, k, v, window=self.window, num_keys_B=num_tokens_B, slopes_H=slopes_H
        )
        return self.dropout(self.attention.merge(seen))


class Encoder(nn.Module):
    """Token embedding plus added base-pair features, then the layers."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.sequence_vocab, config.width)
        self.embedding_norm = nn.LayerNorm(config.width, eps=_NORM_EPS)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.encoder.layers))
        last = (
            nn.LayerNorm(config.width, eps=_NORM_EPS)
            if config.encoder.norm_first
            else nn.Identity()
        )
        self.last_norm = last
        self.gradient_checkpointing = False

    def forward(
        self, ids_BS: Tensor, start_bp_BS: Tensor, num_tokens_B: Tensor, added_BSD: Tensor
    ) -> Tensor:
        """Encode tokens.

        Args:
            ids_BS: Token ids.
            start_bp_BS: First base of each token in its window.
            num_tokens_B: Tokens of each row; the rest is padding.
            added_BSD: Features added to the embeddings before their norm.

        Returns:
            (B, S, D) states.
        """
        shape = self.config.encoder
        x = self.embedding_norm(self.embedding(ids_BS) + added_BSD)
        rope = slopes = None
        if shape.positions == "rope":
            positions = start_bp_BS / self.config.bp_per_token
            rope = rope_table(positions, self.config.width // shape.heads)
        else:
            slopes = alibi_slopes(shape.heads).to(x.device)
        for layer in self.layers:
            if self.gradient_checkpointing and self.training:
                x = checkpoint(layer, x, num_tokens_B, rope, slopes, use_reentrant=False)
            else:
                x = layer(x, num_tokens_B, rope, slopes)
        return self.last_norm(x)
