#!/usr/bin/env python3
"""Time bf16 beside fp32 on one device: what `--precision auto` decides by.

A processor without instructions for bf16 emulates its products. Measured are a square matrix
product, attention by SDPA, and a training step of a preset (the loop's own, bf16 by autocast with
fp32 weights); both precisions take turns in every round, and the ratio is the median over rounds of
processor time (CPU) or wall time (CUDA) in bf16 relative to fp32.

Example:
    python benchmarks/bench_precision.py --rounds 5
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import gene_batches
import measure
import torch
import train_step
from machine import work_ms
from torch.nn.functional import scaled_dot_product_attention

from genet5.cli.parse import run
from genet5.config.json_files import save_json
from genet5.model.precision import has_fast_bf16

Precision: TypeAlias = Literal["bf16", "fp32"]
Steps: TypeAlias = Mapping[str, Callable[[], Any]]
DTYPES: dict[Precision, torch.dtype] = {"bf16": torch.bfloat16, "fp32": torch.float32}


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchConfig(measure.RunConfig):
    """Sizes and length of the measurement."""

    matrix: int = 1024
    """Rows and columns of the matrices."""
    attention: tuple[int, int, int] = (8, 1024, 64)
    """Heads, positions and head width of SDPA."""
    preset: train_step.ShapeName = "nano"
    """Model that trains."""
    window_bp: int = 6144
    """Bases of its window; a micro-batch is one window."""
    rounds: int = 7
    """Measured rounds."""
    out: Path | None = None
    """JSON file; by default benchmarks/results/DATE_DEVICE_precision.json."""


def matrix_steps(settings: BenchConfig, device: torch.device) -> Steps:
    """Return a square matrix product in each precision."""
    size = settings.matrix
    a, b = (torch.randn(size, size, device=device) for _ in range(2))
    return {name: partial(torch.mm, a.to(dtype), b.to(dtype)) for name, dtype in DTYPES.items()}


def attention_steps(settings: BenchConfig, device: torch.device) -> Steps:
    """Return the forward pass of dense attention in each precision."""
    shape = (1, *settings.attention)
    inputs = [torch.randn(shape, device=device) for _ in range(3)]
    return {
        name: partial(scaled_dot_product_attention, *(x.to(dtype) for x in inputs))
        for name, dtype in DTYPES.items()
    }


def training_steps(settings: BenchConfig, device: torch.device) -> Steps:
    """Return a training step in each precision, of models with equal weights at the start."""
    batches = gene_batches.micro_batches(gene_batches.gene_windows(settings.window_bp, 1), 1)
    config = train_step.shape(settings.preset)
    found: dict[str, Callable[[], Any]] = {}
    for name in DTYPES:
        chosen = train_step.BenchConfig(device=settings.device, precision=name)
        found[name] = train_step.make_ours(config, chosen, device, batches).step
    return found


def rows(what: str, steps: Steps, settings: BenchConfig, device: torch.device) -> dict[str, Any]:
    """Measure both precisions; return their times and their ratio."""
    times = measure.time_in_turn(steps, device, rounds=settings.rounds, warmup=1)
    ratio = round(work_ms(times["bf16"]) / work_ms(times["fp32"]), 3)
    shown = (f"{work_ms(times[name]):.1f}" for name in ("fp32", "bf16"))
    print(f"| {what} | {' | '.join(shown)} | {ratio:.2f} |", flush=True)
    return {"what": what, **times, "bf16_of_fp32": ratio}


def bench(settings: BenchConfig) -> int:
    """Measure, print a table and write JSON."""
    device = measure.start(settings)
    torch.manual_seed(0)
    record: dict[str, Any] = {
        "what": "bf16 beside fp32",
        **measure.environment(device),
        "has_fast_bf16": has_fast_bf16(device),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "note": settings.note,
        "rounds": settings.rounds,
        "results": [],
    }
    out = settings.out or measure.result_path(device, "precision")
    contenders = {
        f"matrix product, {settings.matrix} x {settings.matrix}": matrix_steps,
        f"SDPA, {' x '.join(map(str, settings.attention))}": attention_steps,
        f"training step, {settings.preset}, {settings.window_bp} bp": training_steps,
    }
    print("| | fp32 ms | bf16 ms | bf16 / fp32 |\n|---|---:|---:|---:|")
    for what, make in contenders.items():
        record["results"].append(rows(what, make(settings, device), settings, device))
        save_json(out, record)
    print(f"\nwritten: {out}")
    return 0


if __name__ == "__main__":
    sys.exit(run(bench, BenchConfig, None, name="bench_precision", description=__doc__ or ""))
