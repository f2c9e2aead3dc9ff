"""Causal decoder: grouped-query self-attention, cross-attention to the latents, KV cache.

A window is written from left to right, so each step has a place: the base that was named last.
Cross-attention is rotated (RoPE) by the step's place and the latents' anchors, so that "just right
of where I am" is the same query everywhere. Without it the decoder does not learn which gene comes
next: its strand, and the end of the window, stayed at chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from genet5.blocks.attention import CrossAttention, SelfAttention, attend, key_mask
from genet5.blocks.moe import MixtureOfExperts, RouterLoss, feed, make_feedforward
from genet5.blocks.norm import LayerNorm
from genet5.blocks.recompute import run_layer
from genet5.blocks.rope import rope_table, rotate
from genet5.config.model import KeepName, ModelConfig


@dataclass(slots=True)
class LayerCache:
    """Keys and values of one layer."""

    self_kv: tuple[Tensor, Tensor]
    """Two (B, G, max_steps, K); filled from the left."""
    cross_kv: tuple[Tensor, Tensor]
    """Two (B, G, M, K); keys are rotated."""


@dataclass(slots=True)
class Cache:
    """State of step-by-step decoding; every row stands at the same step."""

    layers: list[LayerCache]
    latent_mask: Tensor
    """(B, 1, 1, M) bool, True = may be attended."""
    place: Tensor
    """(B,) int64 base that each row named last; 0 before the first."""
    step: int = 0

    def keep(self, rows: Tensor) -> None:
        """Drop all rows of the batch but `rows`, an index tensor."""
        self.latent_mask, self.place = self.latent_mask[rows], self.place[rows]
        for layer in self.layers:
            keys, values = layer.self_kv
            layer.self_kv = keys[rows], values[rows]
            keys, values = layer.cross_kv
            layer.cross_kv = keys[rows], values[rows]


class DecoderLayer(nn.Module):
    """One pre-norm layer."""

    def __init__(self, config: ModelConfig, index: int = 0) -> None:
        super().__init__()
        shape, width = config.decoder, config.width
        self.attention = SelfAttention(width, shape.heads, shape.kv_heads, bias=False)
        self.cross = CrossAttention(width, shape.heads, shape.cross_kv_heads)
        self.feedforward = make_feedforward(width, shape, index)
        self.norm_self = LayerNorm(width)
        self.norm_cross = LayerNorm(width)
        self.norm_ff = LayerNorm(width)
        self.dropout = nn.Dropout(shape.dropout)
        self.keep: KeepName | None = None
        """What to keep of a training pass for the backward pass, which recomputes the rest; None =
        everything."""

    def forward(
        self,
        x_BTD: Tensor,
        latents_BMD: Tensor,
        latent_mask: Tensor,
        ropes: tuple[tuple[Tensor, Tensor], ...],
        real_BT: Tensor | None,
    ) -> tuple[Tensor, RouterLoss | None]:
        """Map (B, T, D) to (B, T, D); padding at a row's end needs no mask, as attention is causal.

        Args:
            x_BTD: Embedded labels or the layer below.
            latents_BMD: Compressed window.
            latent_mask: (B, 1, 1, M) bool, True = may be attended.
            ropes: RoPE tables of steps (index), steps (place) and latents (anchor).
            real_BT: True = a label, False = padding.
        """
        keep = self.keep if self.training else None
        return run_layer(keep, self._forward, x_BTD, latents_BMD, latent_mask, ropes, real_BT)

    def _forward(
        self,
        x_BTD: Tensor,
        latents_BMD: Tensor,
        latent_mask: Tensor,
        ropes: tuple[tuple[Tensor, Tensor], ...],
        real_BT: Tensor | None,
    ) -> tuple[Tensor, RouterLoss | None]:
        step_rope, place_rope, anchor_rope = ropes
        q, k, v = self.attention.split(self.norm_self(x_BTD), step_rope)
        x_BTD = x_BTD + self.dropout(self.attention.merge(attend(q, k, v, causal=True)))
        kv = self.cross_kv(latents_BMD, anchor_rope)
        return self._feed(x_BTD + self._cross(x_BTD, kv, latent_mask, place_rope), real_BT)

    def cross_kv(
        self, latents_BMD: Tensor, anchor_rope: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return keys (rotated by the anchors) and values of cross-attention, (B, G, M, K) each."""
        keys, values = self.cross.keys_values(latents_BMD)
        return rotate(keys, anchor_rope), values

    def step(
        self,
        x_B1D: Tensor,
        cache: LayerCache,
        latent_mask: Tensor,
        ropes: tuple[tuple[Tensor, Tensor], ...],
        step: int,
    ) -> Tensor:
        """Map one position, (B, 1, D), and append its key and value to the cache."""
        step_rope, place_rope = ropes
        q, k, v = self.attention.split(self.norm_self(x_B1D), step_rope)
        keys, values = cache.self_kv
        keys[:, :, step : step + 1], values[:, :, step : step + 1] = k, v
        seen = attend(q, keys[:, :, : step + 1], values[:, :, : step + 1])
        x_B1D = x_B1D + self.attention.merge(seen)
        x_B1D = x_B1D + self._cross(x_B1D, cache.cross_kv, latent_mask, place_rope)
        return self._feed(x_B1D, None)[0]

    def _cross(
        self,
        x: Tensor,
        kv: tuple[Tensor, Tensor],
        latent_mask: Tensor,
        place_rope: tuple[Tensor, Tensor],
    ) -> Tensor:
        q = rotate(self.cross.queries(self.norm_cross(x)), place_rope)
        seen: Tensor = self.dropout(self.cross.merge(attend(q, *kv, bias=latent_mask)))
        return seen

    def _feed(self, x: Tensor, real_BT: Tensor | None) -> tuple[Tensor, RouterLoss | None]:
        fed, loss = feed(self.feedforward, self.norm_ff(x), real_BT)
        return x + self.dropout(fed), loss


class Decoder(nn.Module):
    """The layers and their last norm; embeddings come from the heads."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.layers = cast(  # a ModuleList forgets of which kind its modules are
            "Sequence[DecoderLayer]",
            nn.ModuleList(DecoderLayer(config, i) for i in range(config.decoder.layers)),
        )
        self.norm = LayerNorm(config.width)

    def _rope(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        return rope_table(positions, self.config.width // self.config.decoder.heads)

    def _anchor_rope(self, latents_BMD: Tensor) -> tuple[Tensor, Tensor]:
        return self._rope(torch.arange(latents_BMD.shape[1], device=latents_BMD.device) + 0.5)

    def forward(
        self,
        x_BTD: Tensor,
        latents_BMD: Tensor,
        num_latents_B: Tensor,
        place_BT: Tensor,
        real_BT: Tensor,
    ) -> tuple[Tensor, list[RouterLoss]]:
        """Decode all positions at once.

        Args:
            x_BTD: Embedded labels.
            latents_BMD: Compressed window.
            num_latents_B: Latents of each row.
            place_BT: Base that each step or one before it named last; 0 before the first.
            real_BT: True = a label, False = padding.

        Returns:
            (B, T, D) states and one router loss for each layer that has experts.
        """
        steps = torch.arange(x_BTD.shape[1], device=x_BTD.device)
        place = place_BT / self.config.compressor.bin_bp
        ropes = (self._rope(steps), self._rope(place), self._anchor_rope(latents_BMD))
        mask = key_mask(num_latents_B, latents_BMD.shape[1])
        losses = []
        for layer in self.layers:
            x_BTD, loss = layer(x_BTD, latents_BMD, mask, ropes, real_BT)
            if loss is not None:
                assert isinstance(layer.feedforward, MixtureOfExperts)
                layer.feedforward.count(loss)
                losses.append(loss)
        return self.norm(x_BTD), losses

    def start(self, latents_BMD: Tensor, num_latents_B: Tensor, max_steps: int) -> Cache:
        """Prepare a cache for at most `max_steps` calls of `step`."""
        shape, batch = self.config.decoder, len(latents_BMD)
        anchor_rope = self._anchor_rope(latents_BMD)
        head_width = self.config.width // shape.heads
        layers = []
        for layer in self.layers:
            keys, values = layer.cross_kv(latents_BMD, anchor_rope)
            empty = values.new_zeros(batch, shape.kv_heads, max_steps, head_width)
            layers.append(LayerCache(self_kv=(empty, empty.clone()), cross_kv=(keys, values)))
        return Cache(
            layers=layers,
            latent_mask=key_mask(num_latents_B, latents_BMD.shape[1]),
            place=torch.zeros(batch, dtype=torch.int64, device=latents_BMD.device),
        )

    def step(self, x_BD: Tensor, cache: Cache) -> Tensor:
        """Decode the next position of every row from its embedded label, (B, D) to (B, D)."""
        step = torch.full((1,), cache.step, device=x_BD.device)
        ropes = self._rope(step), self._rope(cache.place[:, None] / self.config.compressor.bin_bp)
        x = x_BD[:, None]
        for layer, kept in zip(self.layers, cache.layers, strict=True):
            x = layer.step(x, kept, cache.latent_mask, ropes, cache.step)
        cache.step += 1
        states: Tensor = self.norm(x)
        return states[:, 0]
