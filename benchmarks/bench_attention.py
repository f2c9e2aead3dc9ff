#!/usr/bin/env python3
"""Time and memory of windowed self-attention against the input's length, beside dense attention.

One layer's attention (queries, keys and values given), a batch of one. Contenders: each of our
backends that runs here, PyTorch's fused attention over the whole input without any mask or bias
(the cheapest dense peer there is), and the same with the window as a mask. Each measurement is a
process of its own; memory is the growth of its peak over what the inputs take (resident memory on a
CPU, allocated memory on CUDA). A measurement that would take longer than --limit_s, guessed from
the one before, is left out, with a note.

Example:
    python benchmarks/bench_attention.py --lengths 1024 4096 --rounds 3
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import measure
import torch
from machine import work_ms
from torch import Tensor
from torch.nn import functional as F

from genet5.blocks.attention import alibi_slopes
from genet5.blocks.windowed import attend_window, choose_backend, window_mask
from genet5.cli.parse import run
from genet5.config.json_files import save_json
from genet5.errors import ConfigError
from genet5.train.distributed.processes import choose_device

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
PEERS = ("dense", "dense with mask")
PassName = Literal["forward", "forward and backward"]


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchConfig(measure.RunConfig):
    """Shape of the attention and lengths to measure."""

    lengths: tuple[int, ...] = (1024, 2048, 4096, 8192, 16384, 32768, 65536)
    """Tokens of the input."""
    window: int = 512
    """Tokens that each attends to, both sides together."""
    heads: int = 12
    """Attention heads."""
    head_width: int = 64
    """Width of a head."""
    alibi: bool = False
    """With ALiBi (as the base preset has); our backends alone."""
    dtype: Literal["auto", "fp32", "bf16"] = "auto"
    """auto = bf16 on CUDA, fp32 on a CPU."""
    rounds: int = 5
    """Measured rounds."""
    limit_s: float = 100.0
    """Leave out steps that would take longer (processor time on a CPU)."""
    out: Path | None = None
    """JSON file; by default benchmarks/results/DATE_DEVICE_attention.json."""
    passes: tuple[PassName, ...] = ("forward", "forward and backward")
    """What is timed."""
    one: str | None = None
    """Measure this contender at the first length in the first pass only, and print JSON.

    The script calls itself so.
    """

    @property
    def torch_dtype(self) -> torch.dtype:
        """Number format."""
        if self.dtype == "auto":
            return DTYPES["bf16" if choose_device(self.device).type == "cuda" else "fp32"]
        return DTYPES[self.dtype]


def contender(settings: BenchConfig, name: str, length: int) -> Callable[..., Tensor]:
    """Return a function of queries, keys and values."""
    device = choose_device(settings.device)
    if name == "dense":
        return F.scaled_dot_product_attention
    if name == "dense with mask":
        index = torch.arange(length, device=device)
        mask = (index[:, None] - index).abs() <= settings.window // 2
        return lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    slopes = alibi_slopes(settings.heads, device) if settings.alibi else None
    backend = choose_backend(name, device, settings.torch_dtype)
    lengths = torch.tensor([length], device=device)

    def windowed(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        mask = window_mask(
            backend,
            lengths,
            length,
            window=settings.window,
            slopes_H=slopes,
            dtype=settings.torch_dtype,
        )
        return attend_window(q, k, v, mask)

    return windowed


def measure_one(settings: BenchConfig) -> int:
    """Measure one contender at one length and print the figures as JSON."""
    assert settings.one is not None
    torch.manual_seed(0)
    device, length = measure.start(settings), settings.lengths[0]
    shape = (1, settings.heads, length, settings.head_width)
    qkv = [torch.randn(shape, device=device, dtype=settings.torch_dtype) for _ in range(3)]
    goal = torch.randn_like(qkv[0])
    attention = contender(settings, settings.one, length)

    def step() -> None:
        if settings.passes[0] == "forward":
            with torch.no_grad():
                attention(*qkv)
            return
        given = [x.detach().requires_grad_() for x in qkv]
        attention(*given).backward(goal)

    peak = measure.PeakMemory(device)
    first = work_ms(measure.time_in_turn({"it": step}, device, rounds=1, warmup=0)["it"])
    peak_mib = peak.growth_mib()
    is_long = first > 1000 * settings.limit_s / (settings.rounds + 1)
    rounds = 1 if is_long else settings.rounds
    row = measure.time_in_turn({"it": step}, device, rounds=rounds, warmup=0)["it"]
    print(json.dumps({**row, "rounds": rounds, "peak_mib": round(peak_mib, 1)}))
    return 0


def ask(settings: BenchConfig, name: str, length: int, kind: PassName) -> dict[str, Any]:
    """Measure in a process of its own."""
    shape = ("window", "heads", "head_width", "dtype", "rounds", "limit_s", "device", "threads")
    flags = [f"--{key}={getattr(settings, key)}" for key in shape]
    flags += ["--alibi"] * settings.alibi + ["--passes", kind]
    command = [sys.executable, __file__, "--one", name, "--lengths", str(length), *flags]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or ["killed"])[-1]
        return {"left_out": f"failed: {reason}"}
    return json.loads(result.stdout.strip().splitlines()[-1])


def contenders(settings: BenchConfig) -> list[str]:
    """Return the names of all that run here."""
    device, found = choose_device(settings.device), ["sdpa"]
    if device.type == "cuda":  # flex on a CPU is for checking: it has no backward pass
        for name in ("flex", "flash"):
            try:
                found.append(choose_backend(name, device, settings.torch_dtype))
            except ConfigError:
                continue
    return [*found, *PEERS]


def bench(settings: BenchConfig) -> int:
    """Measure everything, print a table and write JSON."""
    if settings.one is not None:
        return measure_one(settings)
    device = measure.start(settings)
    shape = {key: getattr(settings, key) for key in ("window", "heads", "head_width", "alibi")}
    out = settings.out or measure.result_path(device, "attention")
    record = {
        "what": "windowed self-attention of one layer against length",
        **measure.environment(device),
        "note": settings.note,
        "shape": shape | {"dtype": str(settings.torch_dtype).removeprefix("torch.")},
        "results": [],
    }
    print("| pass | tokens | contender | ms | processor ms | peak MiB |")
    print("|---|---|---|---|---|---|")
    for kind in settings.passes:
        for name in contenders(settings):
            guess_ms = 0.0
            for length in settings.lengths:
                row = {"left_out": f"would take about {guess_ms / 1000:.0f} s"}
                if guess_ms <= 1000 * settings.limit_s:
                    row = ask(settings, name, length, kind)
                growth = 2 if name in PEERS else 1
                if "median_ms" in row:
                    following = settings.lengths[settings.lengths.index(length) + 1 :]
                    if following:
                        guess_ms = work_ms(row) * (following[0] / length) ** growth
                elif "failed" in row["left_out"]:
                    guess_ms = float("inf")
                shown = [row.get("median_ms", row.get("left_out")), row.get("cpu_ms", "")]
                cells = (kind, length, name, *shown, row.get("peak_mib", ""))
                print("|", " | ".join(map(str, cells)), "|", flush=True)
                record["results"].append({"pass": kind, "tokens": length, "contender": name, **row})
                save_json(out, record)  # now: whoever ends the run keeps what is done
    print(f"\nwritten: {out}")
    return 0


if __name__ == "__main__":
    sys.exit(run(bench, BenchConfig, None, name="bench_attention", description=__doc__ or ""))
