"""Perceiver compressor (Jaegle et al. 2021, arXiv:2103.03206) with latents anchored to bases.

Latent i sits at base (i + 0.5) * bin_bp. It reads the tokens around its anchor (`anchored`; RoPE in
base pairs plus a distance bias without gradient), then latents read each other (RoPE on their
index).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from genet5.blocks.anchored import (
    AnchoredMask,
    anchored_mask,
    attend_anchored,
    choose_anchored_backend,
)
from genet5.blocks.attention import CrossAttention, SelfAttention, attend, key_mask
from genet5.blocks.feedforward import GatedFeedForward
from genet5.blocks.norm import LayerNorm
from genet5.blocks.rope import Rope, rope_table, rope_turns, rotate
from genet5.config.model import AttentionName, ModelConfig

_BIAS_PER_BIN = 0.1  # score lost for each bin of distance between a latent's anchor and a token


class PerceiverLayer(nn.Module):
    """Cross-attention to tokens, self-attention of latents, feed-forward; pre-norm."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        shape = config.compressor
        self.cross = CrossAttention(config.width, shape.heads, shape.kv_heads)
        self.attention = SelfAttention(config.width, shape.heads, shape.kv_heads, bias=False)
        self.feedforward = GatedFeedForward(config.width, shape.ff_dim)
        self.norm_cross = LayerNorm(config.width)
        self.norm_self = LayerNorm(config.width)
        self.norm_ff = LayerNorm(config.width)

    def forward(
        self,
        latents_BMD: Tensor,
        tokens_BSD: Tensor,
        mask: AnchoredMask,
        num_latents_B: Tensor,
        ropes: tuple[Rope, ...],
    ) -> Tensor:
        """Map (B, M, D) to (B, M, D).

        Args:
            latents_BMD: Latents.
            tokens_BSD: Encoder states.
            mask: Attention mask of the latents over the tokens.
            num_latents_B: Latents of each row; the rest is padding.
            ropes: RoPE tables of anchors (bp), tokens (bp) and latents (index).
        """
        anchor_rope, token_rope, index_rope = ropes
        q = rotate(self.cross.queries(self.norm_cross(latents_BMD)), anchor_rope)
        k, v = self.cross.keys_values(tokens_BSD)
        read = attend_anchored(q, rotate(k, token_rope), v, mask)
        latents_BMD = latents_BMD + self.cross.merge(read)
        q, k, v = self.attention.split(self.norm_self(latents_BMD), index_rope)
        seen = attend(q, k, v, bias=key_mask(num_latents_B, q.shape[2]))
        latents_BMD = latents_BMD + self.attention.merge(seen)
        fed: Tensor = self.feedforward(self.norm_ff(latents_BMD))
        return latents_BMD + fed


class Compressor(nn.Module):
    """Learned latents and their layers."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.latents = nn.Parameter(torch.zeros(config.compressor.num_latents, config.width))
        self.layers = cast(  # a ModuleList forgets of which kind its modules are
            "Sequence[PerceiverLayer]",
            nn.ModuleList(PerceiverLayer(config) for _ in range(config.compressor.layers)),
        )
        self.norm = LayerNorm(config.width)
        self.attention: AttentionName = "auto"
        self.is_interleaved = False

    def interleave(self) -> None:
        """Reorder queries and keys for `rope_turns`, for good."""
        self.is_interleaved = True
        for layer in self.layers:
            layer.cross.interleave()
            layer.attention.interleave()

    def forward(
        self,
        tokens_BSD: Tensor,
        start_bp_BS: Tensor,
        num_tokens_B: Tensor,
        num_bases_B: Tensor,
        length: int,
    ) -> Tensor:
        """Compress token states.

        Args:
            tokens_BSD: Encoder states.
            start_bp_BS: First base of each token.
            num_tokens_B: Tokens of each row.
            num_bases_B: Bases of each row.
            length: L, bases of the padded batch.

        Returns:
            (B, ceil(L / bin_bp), D); row b uses its first ceil(num_bases_B[b] / bin_bp) latents.

        Raises:
            ValueError: The window is longer than the latents reach.
        """
        shape, width = self.config.compressor, self.config.width
        count = -(-length // shape.bin_bp)
        if count > shape.num_latents:
            raise ValueError(
                f"window of {length} bp; the model takes up to {self.config.max_window_bp} bp"
            )
        index = torch.arange(count, device=tokens_BSD.device)
        anchor = (index + 0.5) * shape.bin_bp
        scale = self.config.bp_per_token
        head_width = width // shape.heads
        table = rope_turns if self.is_interleaved else rope_table
        positions = anchor / scale, start_bp_BS / scale, index
        ropes = tuple(table(places, head_width) for places in positions)
        mask = self._mask(start_bp_BS, num_tokens_B, count)
        num_latents = -(-num_bases_B // shape.bin_bp)
        x = self.latents[:count].expand(len(tokens_BSD), -1, -1).contiguous()
        for layer in self.layers:
            x = layer(x, tokens_BSD, mask, num_latents, ropes)
        normed: Tensor = self.norm(x)
        return normed

    def _mask(self, start_bp_BS: Tensor, num_tokens_B: Tensor, num_latents: int) -> AnchoredMask:
        shape, device, dtype = self.config.compressor, start_bp_BS.device, self.latents.dtype
        if torch.is_autocast_enabled(device.type):
            dtype = torch.get_autocast_dtype(device.type)
        return anchored_mask(
            choose_anchored_backend(self.attention, device, dtype),
            start_bp_BS + self.config.bp_per_token / 2,
            num_tokens_B,
            num_latents,
            bin_bp=shape.bin_bp,
            window_bp=shape.window_bp,
            loss_per_bin=_BIAS_PER_BIN,
            dtype=dtype,
        )
