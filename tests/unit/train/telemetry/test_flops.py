"""FLOPs against torch's own counter on small models of every kind of shape, part by part."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from genet5.config.model import DecoderConfig, EncoderConfig, ModelConfig, preset
from genet5.dataset.batch import Batch, Inputs, Targets, position_steps
from genet5.model.network import GeneT5
from genet5.train.telemetry.flops import (
    WindowSizes,
    batch_flops,
    decoder_flops,
    encoder_flops,
    forward_flops,
    pairs_in_window,
    pairs_near_anchors,
    peak_flops,
    training_flops,
)

WIDTH, WINDOWS = 48, 2
SIZES = WindowSizes(tokens=40, bases=200, labels=12, positions=5)
STEPS = SIZES.labels - 1


def narrow(name: str, *, experts: int = 0, window: int = 0) -> ModelConfig:
    """A preset's shape with few channels."""
    shape = preset(name)  # type: ignore[arg-type]
    heads = {"heads": 4, "ff_dim": 80}
    decoder = {"num_experts": experts, "moe_top_k": min(2, max(1, experts)), "layers": 3}
    return replace(
        shape,
        width=WIDTH,
        base_channels=16,
        pointer_width=24,
        sequence_vocab=64,
        encoder=replace(shape.encoder, layers=2, window_tokens=window, **heads),
        compressor=replace(shape.compressor, kv_heads=2, window_bp=10_000, bin_bp=8, **heads),
        decoder=replace(shape.decoder, kv_heads=2, cross_kv_heads=4, **heads, **decoder),
    )


def batch() -> Batch:
    """Windows of the same sizes, without padding."""
    size = (WINDOWS, SIZES.tokens)
    starts = torch.arange(SIZES.tokens) * SIZES.bases // SIZES.tokens
    inputs = Inputs(
        input_ids=torch.randint(0, 64, size),
        token_start_bp=starts.expand(size).contiguous(),
        num_tokens=torch.full((WINDOWS,), SIZES.tokens),
        bases=torch.full((WINDOWS, SIZES.bases), ord("A"), dtype=torch.uint8),
        num_bases=torch.full((WINDOWS,), SIZES.bases),
        genetic_code=torch.full((WINDOWS,), 11),
        evidence=torch.zeros(WINDOWS, 0, SIZES.bases, dtype=torch.uint8),
    )
    labels = torch.randint(1, 20, (WINDOWS, SIZES.labels))
    labels[:, 1 : 1 + SIZES.positions] = -5
    targets = Targets(
        labels=labels,
        label_weights=torch.ones(labels.shape),
        position_steps=position_steps(labels),
        states=torch.zeros(WINDOWS, 2, SIZES.bases, dtype=torch.int8),
        boundaries=torch.zeros(WINDOWS, 8, SIZES.bases, dtype=torch.int8),
        base_weights=torch.ones(WINDOWS, 2, SIZES.bases),
        starts=torch.full((*labels.shape, 9), -1, dtype=torch.int32),
    )
    return Batch(inputs, targets, ("w",) * WINDOWS)


def grouped(rows: Any, weights: Any, *args: Any, out_shape: Any = None, **kwargs: Any) -> int:
    """FLOPs of `grouped_mm`, which torch 2.13 does not count: a row meets one expert's matrix."""
    return 2 * rows[0] * rows[1] * weights[-1]


def counted(config: ModelConfig, *, backward: bool = False) -> dict[str, int]:
    """Torch's count by part; scores are made in full (SDPA written out), so that it sees them."""
    torch.manual_seed(0)
    model = GeneT5(config)
    model.init_weights()
    counter = FlopCounterMode(display=False, custom_mapping={torch.ops.aten._grouped_mm: grouped})
    with sdpa_kernel(SDPBackend.MATH), counter:
        output = model(batch())
        if backward:
            total = output.token_logits.sum() + output.encoded.state_logits.sum()
            total = total + output.encoded.boundary_logits.sum()
            positions = output.position_logits
            (total + positions.masked_fill(positions < -1e9, 0).sum()).backward()
    found = {name: sum(ops.values()) for name, ops in counter.get_flop_counts().items()}
    parts = {name: found[f"GeneT5.{name}"] for name in ("encoder", "compressor", "decoder")}
    parts["bases"] = sum(found[f"GeneT5.{name}"] for name in ("stem", "upsampler", "base_heads"))
    parts["bases"] += _pooled(found)
    parts["heads"] = found["Global"] - sum(parts.values())
    parts["total"] = found["Global"]
    return parts


def _pooled(found: dict[str, int]) -> int:
    """`pool` is a method beside `forward`: its product is not within the counter's "stem"."""
    convolved = found["GeneT5.stem.conv1"] + found["GeneT5.stem.conv2"]
    names = ("GeneT5.stem.to_tokens", "GeneT5.stem.to_patches")
    product = sum(found.get(name, 0) for name in names)
    return product if found["GeneT5.stem"] == convolved else 0


def statistics(shape: EncoderConfig | DecoderConfig, rows: int) -> int:
    """Two sums over rows for the load-balance loss, which are products, too."""
    return -(-shape.layers // shape.moe_every) * 2 * 2 * rows * shape.num_experts


def expected(config: ModelConfig) -> dict[str, int]:
    """Our count, plus what the code computes beyond what is needed."""
    ours = forward_flops(config, SIZES) * WINDOWS
    unseen = (
        STEPS * STEPS - STEPS * (STEPS + 1) // 2
    )  # labels after each label: scored, then masked
    masked = WINDOWS * config.decoder.layers * 4 * unseen * WIDTH
    # Every step is embedded as a position, too, and the pointer's choice of the two is thrown away.
    discarded = WINDOWS * 2 * (STEPS - SIZES.positions) * (WIDTH + config.base_channels) * WIDTH
    parts = {
        "encoder": ours.encoder + statistics(config.encoder, WINDOWS * SIZES.tokens),
        "compressor": ours.compressor,
        "decoder": ours.decoder + masked + statistics(config.decoder, WINDOWS * STEPS),
        "bases": ours.bases,
        "heads": ours.heads + discarded,
    }
    return {**parts, "total": sum(parts.values())}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nano", "prok", "small", "base"])
def test_dense_shapes_count_what_torch_counts(name: str) -> None:
    config = narrow(name)
    assert counted(config) == expected(config)


@pytest.mark.slow
def test_experts_count_as_those_in_use_and_their_router() -> None:
    config = narrow("base", experts=4)
    assert counted(config) == expected(config)
    dense, wide = narrow("base"), narrow("base", experts=16)
    router = 2 * 2 * STEPS * WIDTH * config.decoder.layers * (16 - 4) // 2
    assert decoder_flops(wide, STEPS, 25) - decoder_flops(config, STEPS, 25) == router
    assert decoder_flops(config, STEPS, 25) > decoder_flops(dense, STEPS, 25)


@pytest.mark.slow
def test_experts_in_every_second_layer_and_in_the_encoder_are_counted() -> None:
    config = narrow("small", experts=4)
    encoder = replace(config.encoder, num_experts=4, moe_top_k=1)
    decoder = replace(config.decoder, moe_every=2)
    config = replace(config, encoder=encoder, decoder=decoder)
    assert counted(config) == expected(config)


def test_a_window_earns_what_is_seen_while_its_blocks_compute_more() -> None:
    config = narrow("nano", window=16)
    half, blocks = 8, SIZES.tokens // 8
    more = blocks * half * 3 * half - pairs_in_window(
        SIZES.tokens, 16
    )  # blocks with both neighbours
    more *= WINDOWS * config.encoder.layers * 4 * WIDTH
    assert counted(config)["encoder"] - expected(config)["encoder"] == more
    assert more > 0


def test_latents_earn_the_tokens_near_them_while_slices_or_masks_compute_more() -> None:
    everything = narrow("small")
    near = replace(everything, compressor=replace(everything.compressor, window_bp=24))
    useful = expected(near)["compressor"]
    assert useful < counted(near)["compressor"] <= expected(everything)["compressor"]


@pytest.mark.slow
def test_a_backward_pass_is_two_forward_passes_but_for_what_takes_no_gradient() -> None:
    config = narrow("small")
    forward, both = counted(config), counted(config, backward=True)
    first = 2 * WINDOWS * SIZES.bases * 9 * 18 * config.base_channels  # the DNA gets no gradient
    assert both["total"] == 3 * forward["total"] - first
    ours = forward_flops(config, SIZES)
    assert training_flops(ours).total == 3 * ours.total


def test_pairs_in_a_window_are_counted_one_by_one() -> None:
    for tokens in (1, 3, 4, 5, 9, 30):
        for window in (0, 2, 8, 20):
            half = window // 2 or tokens
            near = sum(abs(i - j) <= half for i in range(tokens) for j in range(tokens))
            assert pairs_in_window(tokens, window) == near


def test_latents_read_the_tokens_near_their_anchors() -> None:
    shape = replace(preset("small").compressor, bin_bp=10, window_bp=200)
    tokens, bases = 300, 1500
    anchors = [(i + 0.5) * 10 for i in range(150)]
    near = sum(abs(5 * s + 2.5 - anchor) <= 200 for anchor in anchors for s in range(tokens))
    assert pairs_near_anchors(shape, tokens, bases) == pytest.approx(near, rel=0.02)
    assert pairs_near_anchors(replace(shape, window_bp=1500), tokens, bases) == 150 * tokens


def test_windows_add_up_and_longer_ones_cost_linearly_in_the_encoder() -> None:
    config = preset("base")
    one = forward_flops(config, SIZES)
    assert batch_flops(config, [SIZES, SIZES]) == one * 2 == one + one
    per_token = [encoder_flops(config, n) / n for n in (16_384, 65_536)]
    assert per_token[1] == pytest.approx(per_token[0], rel=0.01)


def test_flops_of_the_base_model_agree_with_two_per_active_weight() -> None:
    config, tokens = preset("base"), 4096
    weights = 12 * (4 * 768**2 + 3 * 768 * 3072)
    attention = 12 * 4 * tokens * 513 * 768
    assert encoder_flops(config, tokens) == pytest.approx(
        2 * tokens * weights + attention, rel=0.01
    )


@pytest.mark.parametrize(
    ("name", "tflops"),
    [
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H200", 989),
        ("NVIDIA GH200 480GB", 989),
        ("NVIDIA B200", 2250),
        ("NVIDIA GB200", 2500),
        ("NVIDIA L40S", 362),
        ("NVIDIA GeForce RTX 4090", 165),
    ],
)
def test_peaks_of_known_devices(name: str, tflops: int) -> None:
    assert peak_flops(name) == tflops * 1e12
    assert peak_flops(name, "fp32") == tflops * 0.5e12


def test_the_peak_of_an_unknown_device_is_unknown() -> None:
    assert peak_flops("NVIDIA GB10") is None
    assert peak_flops("Intel(R) Xeon(R) Processor") is None
