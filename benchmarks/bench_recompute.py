#!/usr/bin/env python3
"""Time and memory of gradient checkpointing.

None, every layer, every second layer, all but products (`--checkpoint_keep`).

Two layers each of a dense encoder and of a decoder with experts, of base's shape, in bf16, forward
and backward. Variants take turns in every round. Memory is what the layers keep between the passes
and the peak of both passes, weights and their gradients left out of the former: exact bytes of
tensors (`live_bytes`; on CUDA the allocator's), measured apart from the times.

Example:
    python benchmarks/bench_recompute.py --rounds 3
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measure
import torch
from live_bytes import LiveBytes
from machine import work_ms
from torch import Tensor, nn

from genet5.blocks.attention import key_mask
from genet5.blocks.decoder import DecoderLayer
from genet5.blocks.encoder import EncoderLayer
from genet5.blocks.rope import rope_table
from genet5.blocks.windowed import choose_backend, window_mask
from genet5.cli.parse import run
from genet5.config.json_files import save_json
from genet5.config.model import KeepName, preset

VARIANTS: dict[str, tuple[KeepName | None, KeepName | None]] = {
    "keep everything": (None, None),
    "recompute every layer": ("nothing", "nothing"),
    "recompute every second layer": ("nothing", None),
    "recompute all but products": ("products", "products"),
}
"""What each of the two layers keeps."""
KINDS = ("encoder, dense", "decoder, experts")


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchConfig(measure.RunConfig):
    """Size of the micro-batch and length of the measurement."""

    windows: int = 2
    """Windows of a micro-batch."""
    tokens: int = 512
    """Sequence tokens of a window, or labels of it for the decoder."""
    rounds: int = 5
    """Measured rounds."""
    out: Path | None = None
    """JSON file; by default benchmarks/results/DATE_DEVICE_recompute.json."""


def make_layers(kind: str, device: torch.device) -> nn.ModuleList:
    """Return two layers of base's shape."""
    torch.manual_seed(0)
    config, make = preset("base"), EncoderLayer if kind.startswith("encoder") else DecoderLayer
    layers = nn.ModuleList(make(config, index) for index in range(2))
    for weight in layers.parameters():
        nn.init.normal_(weight, std=0.02)
    return layers.to(device)


def make_inputs(kind: str, settings: BenchConfig, device: torch.device) -> tuple[Any, ...]:
    """Return what a layer takes; the first is its input."""
    config, length = preset("base"), settings.tokens
    x = torch.randn(settings.windows, length, config.width, device=device, requires_grad=True)
    lengths = torch.full((settings.windows,), length, device=device)
    real = torch.ones(settings.windows, length, dtype=torch.bool, device=device)
    if kind.startswith("encoder"):
        backend = choose_backend("auto", device, torch.bfloat16)
        window = config.encoder.window_tokens
        mask = window_mask(
            backend, lengths, length, window=window, slopes_H=None, dtype=torch.bfloat16
        )
        return x, mask, None, real
    head_width = config.width // config.decoder.heads
    rope = rope_table(torch.arange(length, device=device), head_width)
    latents = torch.randn(settings.windows, length, config.width, device=device)
    return x, latents, key_mask(lengths, length), (rope, rope, rope), real


def forward(
    layers: nn.ModuleList, keeps: tuple[KeepName | None, ...], inputs: tuple[Any, ...]
) -> Tensor:
    """Return the loss of one pass."""
    (x, *others), total = inputs, torch.zeros((), device=inputs[0].device)
    with torch.autocast(x.device.type, torch.bfloat16):
        for layer, keep in zip(layers, keeps, strict=True):
            layer.keep = keep
            x, loss = layer(x, *others)
            if loss is not None:
                total = total + loss.z + loss.balance()
    return total + x.float().square().mean()


def step(
    layers: nn.ModuleList, keeps: tuple[KeepName | None, ...], inputs: tuple[Any, ...]
) -> Callable[[], None]:
    """Return one forward and backward pass."""

    def both_ways() -> None:
        layers.zero_grad(set_to_none=True)
        forward(layers, keeps, inputs).backward()

    return both_ways


def memory_mib(
    layers: nn.ModuleList, keeps: tuple[KeepName | None, ...], inputs: tuple[Any, ...]
) -> dict[str, float]:
    """Return what is kept between the passes, and the peak of both."""
    layers.zero_grad(set_to_none=True)
    if inputs[0].is_cuda:  # the allocator knows; compiled attention does not run under `LiveBytes`
        peak = measure.PeakMemory(inputs[0].device)
        loss = forward(layers, keeps, inputs)
        kept_mib = peak.now_mib()
        loss.backward()
        return {"kept_mib": round(kept_mib, 1), "peak_mib": round(peak.growth_mib(), 1)}
    with LiveBytes() as live:
        loss = forward(layers, keeps, inputs)
        kept = live.now
        loss.backward()
    return {"kept_mib": round(kept / 2**20, 1), "peak_mib": round(live.peak / 2**20, 1)}


def bench(settings: BenchConfig) -> int:
    """Measure, print a table and write JSON."""
    device = measure.start(settings)
    record: dict[str, Any] = {
        "what": "gradient checkpointing, two layers of base, forward and backward, bf16",
        **measure.environment(device),
        "note": settings.note,
        "shape": {"windows": settings.windows, "tokens": settings.tokens},
        "rounds": settings.rounds,
        "results": [],
    }
    out = settings.out or measure.result_path(device, "recompute")
    print(
        "| layers | variant | ms | time | kept MiB | kept | peak MiB "
        "|\n|---|---|---|---|---|---|---|"
    )
    for kind in KINDS:
        layers, inputs = make_layers(kind, device), make_inputs(kind, settings, device)
        steps = {name: step(layers, keeps, inputs) for name, keeps in VARIANTS.items()}
        times = measure.time_in_turn(steps, device, rounds=settings.rounds, warmup=1)
        memory = {name: memory_mib(layers, keeps, inputs) for name, keeps in VARIANTS.items()}
        first = next(iter(VARIANTS))
        for name in VARIANTS:
            row = {
                "layers": kind,
                "variant": name,
                **times[name],
                **memory[name],
                "time_ratio": round(work_ms(times[name]) / work_ms(times[first]), 3),
                "kept_ratio": round(memory[name]["kept_mib"] / memory[first]["kept_mib"], 3),
            }
            shown = (
                work_ms(row),
                row["time_ratio"],
                row["kept_mib"],
                row["kept_ratio"],
                row["peak_mib"],
            )
            print(f"| {kind} | {name} | {' | '.join(map(str, shown))} |", flush=True)
            record["results"].append(row)
        save_json(out, record)
    print(f"\nwritten: {out}")
    return 0


if __name__ == "__main__":
    sys.exit(run(bench, BenchConfig, None, name="bench_recompute", description=__doc__ or ""))
