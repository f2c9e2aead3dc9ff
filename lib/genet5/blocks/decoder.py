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

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from genet5.blocks.attention import CrossAttention, SelfAttention, attend, key_mask
from genet5.blocks.moe import MixtureOfExperts, RouterLoss, feed, make_feedforward
from genet5.blocks.norm import LayerNorm
from genet5.blocks.recompute import run_layer
from genet5.blocks.rope import rope_table, rotate
from genet5.blocks.transfer import to_device
from genet5.config.model import KeepName, ModelConfig


@dataclass(slots=True)
class LayerCache:
    """Keys and values of one layer."""

    self_kv: tuple[Tensor, Tensor]
    """Two (B, G, S, K); each row is filled from the left."""
    cross_kv: tuple[Tensor, Tensor]
    """Two (B, G, M, K); keys are rotated."""


@dataclass(slots=True)
class Cache:
    """What the decoder has read of the labels of each row; rows may have read unequally many.

    Labels are taken back by lowering `lengths`: what lies beyond is written over.
    """

    layers: list[LayerCache]
    latent_mask: Tensor
    """(B, 1, 1, M) bool, True = may be attended."""
    rows: Tensor
    """(B,) int64 window of each row."""
    places: Tensor
    """(B, S) int64 base that each label or one before it named last; 0 before the first."""
    lengths: NDArray[np.int64]
    """(B,) labels of each row."""

    def keep(self, rows: NDArray[np.int64]) -> None:
        """Drop all rows of the batch but these; those that keep their index are not copied."""
        self.lengths = self.lengths[rows]
        moved, count = np.flatnonzero(rows != np.arange(len(rows))), len(rows)
        to, source = (to_device(index, self.places.device) for index in (moved, rows[moved]))

        def kept(tensor: Tensor) -> Tensor:
            tensor[to] = tensor[source]
            return tensor[:count]

        self.rows, self.places = kept(self.rows), kept(self.places)
        self.latent_mask = kept(self.latent_mask)
        for layer in self.layers:
            keys, values = layer.self_kv
            layer.self_kv = kept(keys), kept(values)
            keys, values = layer.cross_kv
            layer.cross_kv = kept(keys), kept(values)

    def place(self) -> Tensor:
        """(B,) Base that each row named last."""
        last = to_device(np.maximum(self.lengths - 1, 0), self.places.device)
        return self.places.gather(1, last[:, None])[:, 0]

    def reserve(self, num_labels: int) -> None:
        """Make room for that many labels in each row."""
        missing = num_labels - self.places.shape[1]
        if missing <= 0:
            return
        missing = max(missing, self.places.shape[1])  # doubled, so that growing is rare
        self.places = F.pad(self.places, (0, missing))
        for layer in self.layers:
            keys, values = layer.self_kv
            layer.self_kv = F.pad(keys, (0, 0, 0, missing)), F.pad(values, (0, 0, 0, missing))


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

    def extend(
        self,
        x_BTD: Tensor,
        cache: LayerCache,
        at: tuple[Tensor, Tensor],
        masks: tuple[Tensor, Tensor],
        ropes: tuple[tuple[Tensor, Tensor], ...],
    ) -> Tensor:
        """Map the next T positions of each row, (B, T, D); their keys and values join the cache.

        Args:
            x_BTD: Embedded labels or the layer below.
            cache: The layer's.
            at: Indices of the positions in the cache: rows (B, 1) and labels (B, T).
            masks: True = may be attended: labels (B, 1, T, S) and latents (B, 1, 1, M).
            ropes: RoPE tables of steps (index) and steps (place).
        """
        step_rope, place_rope = ropes
        rows, labels = at
        q, k, v = self.attention.split(self.norm_self(x_BTD), step_rope)
        keys, values = cache.self_kv
        keys[rows, :, labels], values[rows, :, labels] = k.transpose(1, 2), v.transpose(1, 2)
        seen_labels, seen_latents = masks
        size = seen_labels.shape[-1]
        seen = attend(q, keys[:, :, :size], values[:, :, :size], bias=seen_labels)
        x_BTD = x_BTD + self.attention.merge(seen)
        x_BTD = x_BTD + self._cross(x_BTD, cache.cross_kv, seen_latents, place_rope)
        return self._feed(x_BTD, None)[0]

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

    def start(self, latents_BMD: Tensor, num_latents_B: Tensor) -> Cache:
        """Prepare a cache that holds no label yet."""
        shape, batch = self.config.decoder, len(latents_BMD)
        anchor_rope = self._anchor_rope(latents_BMD)
        head_width = self.config.width // shape.heads
        layers = []
        for layer in self.layers:
            keys, values = layer.cross_kv(latents_BMD, anchor_rope)
            empty = values.new_zeros(batch, shape.kv_heads, 0, head_width)
            layers.append(LayerCache(self_kv=(empty, empty.clone()), cross_kv=(keys, values)))
        return Cache(
            layers=layers,
            latent_mask=key_mask(num_latents_B, latents_BMD.shape[1]),
            rows=torch.arange(batch, device=latents_BMD.device),
            places=torch.zeros(batch, 0, dtype=torch.int64, device=latents_BMD.device),
            lengths=np.zeros(batch, dtype=np.int64),
        )

    def extend(self, x_BTD: Tensor, place_BT: Tensor, cache: Cache) -> Tensor:
        """Decode the next T positions of every row at once, each seeing those before it.

        Args:
            x_BTD: Embedded labels.
            place_BT: Base that each label or one before it named last.
            cache: Holds the labels before; gets these.

        Returns:
            (B, T, D) states.
        """
        count, device = x_BTD.shape[1], x_BTD.device
        most = int(cache.lengths.max()) + count
        cache.reserve(most)
        rows = torch.arange(len(x_BTD), device=device)[:, None]
        labels = to_device(cache.lengths, device)[:, None] + torch.arange(count, device=device)
        cache.places[rows, labels] = place_BT
        seen = torch.arange(most, device=device) <= labels[:, None, :, None]
        place = place_BT / self.config.compressor.bin_bp
        ropes = self._rope(labels), self._rope(place)
        for layer, kept in zip(self.layers, cache.layers, strict=True):
            x_BTD = layer.extend(x_BTD, kept, (rows, labels), (seen, cache.latent_mask), ropes)
        cache.lengths = cache.lengths + count
        states: Tensor = self.norm(x_BTD)
        return states
