"""Encoder of tokens or patches: layers of DNABERT-2 (post-norm, ALiBi), or pre-norm with RoPE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from genet5.blocks.attention import SelfAttention, alibi_slopes, key_mask
from genet5.blocks.moe import MixtureOfExperts, RouterLoss, feed, make_feedforward
from genet5.blocks.norm import LayerNorm
from genet5.blocks.recompute import run_layer
from genet5.blocks.rope import Rope, rope_table, rope_turns
from genet5.blocks.windowed import WindowMask, attend_window, choose_backend, window_mask
from genet5.config.model import AttentionName, KeepName, ModelConfig

_NORM_EPS = 1e-12  # DNABERT-2's


class EncoderLayer(nn.Module):
    """Windowed self-attention and a gated feed-forward, dense or of experts."""

    def __init__(self, config: ModelConfig, index: int = 0) -> None:
        super().__init__()
        shape = config.encoder
        self.norm_first = shape.norm_first
        self.attention = SelfAttention(config.width, shape.heads, shape.groups, bias=True)
        self.feedforward = make_feedforward(config.width, shape, index, down_bias=True)
        self.norm1 = LayerNorm(config.width, eps=_NORM_EPS)
        self.norm2 = LayerNorm(config.width, eps=_NORM_EPS)
        self.dropout = nn.Dropout(shape.dropout)
        self.keep: KeepName | None = None
        """What to keep of a training pass for the backward pass, which recomputes the rest; None =
        everything."""

    def forward(
        self,
        x_BSD: Tensor,
        mask: WindowMask,
        rope: Rope | None,
        real_BS: Tensor | None = None,
    ) -> tuple[Tensor, RouterLoss | None]:
        """Map (B, S, D) to (B, S, D).

        Args:
            x_BSD: Embedded tokens or the layer below.
            mask: Attention mask of the batch.
            rope: RoPE table of the tokens, or None.
            real_BS: True = a token, False = padding; None = all are tokens. For the experts' losses
                alone.
        """
        keep = self.keep if self.training else None
        return run_layer(keep, self._forward, x_BSD, mask, rope, real_BS)

    def _forward(
        self,
        x_BSD: Tensor,
        mask: WindowMask,
        rope: Rope | None,
        real_BS: Tensor | None,
    ) -> tuple[Tensor, RouterLoss | None]:
        if self.norm_first:
            x_BSD = x_BSD + self._attend(self.norm1(x_BSD), mask, rope)
            fed, loss = feed(self.feedforward, self.norm2(x_BSD), real_BS)
            return x_BSD + self.dropout(fed), loss
        x_BSD = self.norm1(x_BSD + self._attend(x_BSD, mask, rope))
        fed, loss = feed(self.feedforward, x_BSD, real_BS)
        return self.norm2(x_BSD + self.dropout(fed)), loss

    def _attend(self, x_BSD: Tensor, mask: WindowMask, rope: Rope | None) -> Tensor:
        q, k, v = self.attention.split(x_BSD, rope)
        seen: Tensor = self.dropout(self.attention.merge(attend_window(q, k, v, mask)))
        return seen


class Encoder(nn.Module):
    """Token embedding plus added base-pair features, or patches alone; then the layers."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        if config.patch_bp is None:
            self.embedding = nn.Embedding(config.sequence_vocab, config.width)
        self.embedding_norm = LayerNorm(config.width, eps=_NORM_EPS)
        self.layers = cast(  # a ModuleList forgets of which kind its modules are
            "Sequence[EncoderLayer]",
            nn.ModuleList(EncoderLayer(config, i) for i in range(config.encoder.layers)),
        )
        last = (
            LayerNorm(config.width, eps=_NORM_EPS) if config.encoder.norm_first else nn.Identity()
        )
        self.last_norm = last
        self.attention: AttentionName = "auto"
        self.is_interleaved = False

    def interleave(self) -> None:
        """Reorder queries and keys for `rope_turns`, for good; without RoPE nothing changes."""
        self.is_interleaved = self.config.encoder.positions == "rope"
        for layer in self.layers if self.is_interleaved else ():
            layer.attention.interleave()

    def forward(
        self,
        ids_BS: Tensor | None,
        start_bp_BS: Tensor,
        num_tokens_B: Tensor,
        added_BSD: Tensor,
        router_losses: list[RouterLoss] | None = None,
    ) -> Tensor:
        """Encode tokens.

        Args:
            ids_BS: Token ids; None = patches, which `added_BSD` holds.
            start_bp_BS: First base of each token in its window.
            num_tokens_B: Tokens of each row; the rest is padding.
            added_BSD: Features added to the embeddings before their norm.
            router_losses: Layers with experts append their losses here.

        Returns:
            (B, S, D) states.
        """
        shape = self.config.encoder
        embedded = added_BSD if ids_BS is None else self.embedding(ids_BS) + added_BSD
        x = self.embedding_norm(embedded)
        rope: Rope | None = None
        slopes = None
        if shape.positions == "rope":
            positions = start_bp_BS / self.config.bp_per_token
            table = rope_turns if self.is_interleaved else rope_table
            rope = table(positions, self.config.width // shape.heads)
        else:
            slopes = alibi_slopes(shape.heads, x.device)
        mask = self._mask(x, num_tokens_B, slopes)
        real = key_mask(num_tokens_B, x.shape[1])[:, 0, 0] if shape.num_experts else None
        for layer in self.layers:
            x, loss = layer(x, mask, rope, real)
            if loss is not None:
                assert isinstance(layer.feedforward, MixtureOfExperts)
                layer.feedforward.count(loss)
                if router_losses is not None:
                    router_losses.append(loss)
        states: Tensor = self.last_norm(x)
        return states

    def _mask(self, x_BSD: Tensor, num_tokens_B: Tensor, slopes_H: Tensor | None) -> WindowMask:
        device, dtype = x_BSD.device, self.layers[0].attention.qkv.weight.dtype
        if torch.is_autocast_enabled(device.type):
            dtype = torch.get_autocast_dtype(device.type)
        return window_mask(
            choose_backend(self.attention, device, dtype),
            num_tokens_B,
            x_BSD.shape[1],
            window=self.config.encoder.window_tokens,
            slopes_H=slopes_H,
            dtype=dtype,
        )
