"""Peers of a training step.

T5 and BART of transformers, of the same width, layers and number of weights as a GeneT5.

The width of their feed-forward is what makes the numbers of weights equal. They read as many source
tokens and write as many labels; their attention over the source is dense, computed by SDPA. No
dropout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import machine  # noqa: F401  (it finds genet5 where it is not installed)
import torch
from torch import Tensor, nn

from genet5.config.model import ModelConfig
from genet5.dataset.batch import Batch
from genet5.dataset.per_base import IGNORE
from genet5.tokens.vocabulary import StructureVocabulary
from genet5.train.telemetry.flops import Flops, WindowSizes

PeerName = Literal["t5", "bart"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerShape:
    """What decides a peer's size."""

    width: int
    heads: int
    encoder_layers: int
    decoder_layers: int
    ff_dim: int
    vocab: int
    max_tokens: int
    """Longest source or target; BART has a weight vector for each position."""


def peer_shape(name: PeerName, config: ModelConfig, parameters: int, max_tokens: int) -> PeerShape:
    """Return the shape of the peer that has (nearly) `parameters` weights."""

    def shape(ff_dim: int) -> PeerShape:
        return PeerShape(
            width=config.width,
            heads=config.encoder.heads,
            encoder_layers=config.encoder.layers,
            decoder_layers=config.decoder.layers,
            ff_dim=ff_dim,
            vocab=config.sequence_vocab + config.structure_vocab,
            max_tokens=max_tokens,
        )

    return shape(fit_ff_dim(lambda ff_dim: _size(name, shape(ff_dim)), parameters))


def fit_ff_dim(size: Callable[[int], int], wanted: int, step: int = 64) -> int:
    """Return the multiple of `step` for which `size`, a line, is nearest to `wanted`."""
    first, second = size(step), size(2 * step)
    return max(1, 1 + round((wanted - first) / (second - first))) * step


def _size(name: PeerName, shape: PeerShape) -> int:
    with torch.device("meta"):
        return sum(weight.numel() for weight in make_peer(name, shape).parameters())


def make_peer(name: PeerName, shape: PeerShape) -> nn.Module:
    """Build a peer with random weights."""
    return _t5(shape) if name == "t5" else _bart(shape)


def _t5(shape: PeerShape) -> nn.Module:
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(
        vocab_size=shape.vocab,
        d_model=shape.width,
        d_kv=shape.width // shape.heads,
        d_ff=shape.ff_dim,
        num_layers=shape.encoder_layers,
        num_decoder_layers=shape.decoder_layers,
        num_heads=shape.heads,
        dropout_rate=0.0,
        feed_forward_proj="gated-gelu",
        decoder_start_token_id=0,
        use_cache=False,
        attn_implementation="sdpa",
    )
    return T5ForConditionalGeneration(config)


def _bart(shape: PeerShape) -> nn.Module:
    from transformers import BartConfig, BartForConditionalGeneration

    config = BartConfig(
        vocab_size=shape.vocab,
        max_position_embeddings=shape.max_tokens,
        encoder_layers=shape.encoder_layers,
        encoder_ffn_dim=shape.ff_dim,
        encoder_attention_heads=shape.heads,
        decoder_layers=shape.decoder_layers,
        decoder_ffn_dim=shape.ff_dim,
        decoder_attention_heads=shape.heads,
        d_model=shape.width,
        dropout=0.0,
        use_cache=False,
        attn_implementation="sdpa",
    )
    return BartForConditionalGeneration(config)


def compile_layers(model: nn.Module) -> None:
    """Compile each layer, as GeneT5 does with its own."""
    names = ("T5Block", "BartEncoderLayer", "BartDecoderLayer")
    for module in model.modules():
        if type(module).__name__ in names:
            module.compile()


def peer_flops(name: PeerName, shape: PeerShape, windows: Sequence[WindowSizes]) -> Flops:
    """Forward FLOPs without padding, by the rules of `genet5.train.telemetry.flops`."""
    maps = 3 if name == "t5" else 2  # gated or plain feed-forward
    width, fed = shape.width, 2 * maps * shape.width * shape.ff_dim
    total = Flops()
    for window in windows:
        source, target = window.tokens, window.labels - 1
        read = source * (8 * width**2 + fed) + 4 * source**2 * width
        written = target * (12 * width**2 + fed) + 4 * target * source * width
        written += 2 * target * (target + 1) * width + 4 * source * width**2
        total = total + Flops(
            encoder=shape.encoder_layers * read,
            decoder=shape.decoder_layers * written,
            heads=2 * target * width * shape.vocab,
        )
    return total


def peer_inputs(batch: Batch, vocab: int, device: torch.device) -> dict[str, Any]:
    """Return the source tokens of a batch and as many labels (random ones).

    A mask only where there is padding.
    """
    inputs, labels = batch.inputs, batch.targets.labels[:, 1:]
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(2, vocab, labels.shape, generator=draw)
    length = inputs.input_ids.shape[1]
    seen = torch.arange(length) < inputs.num_tokens[:, None]
    found: dict[str, Tensor] = {
        "input_ids": inputs.input_ids.clamp_min(2),
        "labels": ids.masked_fill(labels == StructureVocabulary.pad, IGNORE),
    }
    if not seen.all():
        found["attention_mask"] = seen.long()
    return {name: value.to(device) for name, value in found.items()}


def peer_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    inputs: Sequence[dict[str, Any]],
    *,
    use_bf16: bool,
) -> Callable[[], None]:
    """Return one training step: forward, loss, backward, clipping, AdamW; the inputs take turns."""
    turn = 0

    def step() -> None:
        nonlocal turn
        given = inputs[turn % len(inputs)]
        turn += 1
        device = given["input_ids"].device.type
        with torch.autocast(device, torch.bfloat16, enabled=use_bf16):
            loss = model(**given).loss
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step
