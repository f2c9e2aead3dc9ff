#!/usr/bin/env python3
"""Time and memory of the compressor against the window's length, beside the same with a dense mask.

Two parts: `compressor`, whole, from token states to latents; and its cross-attention alone
(`reading` in result files; queries, keys and values given), which shows how the cost grows once the
window is long. The peer holds a mask of all latents with all tokens, as the compressor did at
first. Tokens have 1 to 2 n - 1 bp, n = the preset's mean. Both take turns in one process for each
case; their memory is measured in one each, as the growth of the peak over what the inputs take
(resident on a CPU). On CUDA one process does it all: its allocator knows each peak, and to start
sixty processes takes minutes.

Example:
    python benchmarks/bench_compressor.py --rounds 3
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import measure
import torch
from machine import work_ms
from torch import Tensor

from genet5.blocks.anchored import AnchoredMask, attend_anchored
from genet5.blocks.attention import key_mask
from genet5.blocks.perceiver import Compressor
from genet5.cli.parse import run
from genet5.config.json_files import save_json
from genet5.config.model import ModelConfig, preset

LENGTHS = {
    ("nano", "compressor"): (6144, 24_576),
    ("base", "compressor"): (6144, 32_768),
    ("nano", "reading"): (6144, 12_288, 24_576, 49_152),
    ("base", "reading"): (8192, 16_384, 32_768, 65_536),
}
"""Windows in bp; the latents are enough for each."""
PASSES = ("inference", "forward and backward")
CONTENDERS = ("blocks", "dense mask")


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchConfig(measure.RunConfig):
    """What to measure and how often."""

    batches: tuple[int, ...] = (1, 8)
    """Windows of a batch, for the whole compressor.

    The cross-attention alone is measured with one.
    """
    most_bp: int = 200_000
    """Leave out batches of more bases."""
    dtype: Literal["fp32", "bf16"] = "fp32"
    """bf16 = autocast."""
    rounds: int = 5
    """Measured rounds."""
    out: Path | None = None
    """JSON file; by default benchmarks/results/DATE_DEVICE_compressor.json."""
    one: str | None = None
    """Measure this case only (JSON), and print JSON; the script calls itself so."""
    memory: str | None = None
    """With `one`: the memory of this contender instead of the time of both."""


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table."""

    part: str
    preset: str
    window_bp: int
    batch: int
    does: str


class DenseCompressor(Compressor):
    """Reads through a mask of all latents with all tokens."""

    def _mask(self, start_bp_BS: Tensor, num_tokens_B: Tensor, num_latents: int) -> AnchoredMask:
        shape = self.config.compressor
        anchor = (torch.arange(num_latents, device=start_bp_BS.device) + 0.5) * shape.bin_bp
        distance = (anchor[:, None] - start_bp_BS[:, None] - self.config.bp_per_token / 2).abs()
        unseen = (distance > shape.window_bp) | ~key_mask(num_tokens_B, start_bp_BS.shape[1])[:, 0]
        bias = (-0.1 / shape.bin_bp * distance).masked_fill(unseen, float("-inf"))
        dtype = self.latents.dtype
        if torch.is_autocast_enabled(bias.device.type):
            dtype = torch.get_autocast_dtype(bias.device.type)
        return AnchoredMask("sdpa", bias=bias[:, None].to(dtype))


def cases(settings: BenchConfig) -> Iterator[Case]:
    """Yield all cases in the table's order."""
    for (name, part), lengths in LENGTHS.items():
        batches = settings.batches if part == "compressor" else (1,)
        passes = PASSES if part == "compressor" else PASSES[1:]
        for length, batch, does in itertools.product(lengths, batches, passes):
            if length * batch <= settings.most_bp:
                yield Case(part, name, length, batch, does)


def shape_of(case: Case) -> ModelConfig:
    """Return the preset with latents for the window."""
    config = preset(case.preset)  # type: ignore[arg-type]
    count = max(config.compressor.num_latents, -(-case.window_bp // config.compressor.bin_bp))
    return replace(config, compressor=replace(config.compressor, num_latents=count))


def token_starts(case: Case, mean_bp: float) -> tuple[Tensor, Tensor]:
    """Return starts (B, S) and the number of tokens of each row."""
    draw = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 2 * int(mean_bp), (case.batch, case.window_bp), generator=draw)
    starts = lengths.cumsum(dim=1) - lengths[:, :1]
    counts = (starts < case.window_bp).sum(dim=1)
    return starts[:, : int(counts.max())].clamp_max(case.window_bp).contiguous(), counts


def steps(case: Case, device: torch.device) -> dict[str, Callable[[], Any]]:
    """Return what is measured: a step of each contender."""
    torch.manual_seed(0)
    config = shape_of(case)
    starts, counts = (x.to(device) for x in token_starts(case, config.bp_per_token))
    bases = torch.full_like(counts, case.window_bp)
    ours, dense = (kind(config).to(device) for kind in (Compressor, DenseCompressor))
    for weight in ours.parameters():
        torch.nn.init.normal_(weight, std=0.05)
    dense.load_state_dict(ours.state_dict())
    states = torch.randn(*starts.shape, config.width, device=device)
    shape, latents = config.compressor, -(-case.window_bp // config.compressor.bin_bp)
    width = config.width // shape.heads
    sizes = ((shape.heads, latents), *2 * ((shape.kv_heads, starts.shape[1]),))
    qkv = [torch.randn(case.batch, *size, width, device=device) for size in sizes]

    def whole(compressor: Compressor) -> Callable[..., Tensor]:
        return lambda x: compressor(x, starts, counts, bases, case.window_bp)

    def cross_attention(compressor: Compressor) -> Callable[..., Tensor]:
        return lambda *x: attend_anchored(*x, compressor._read(starts, counts, latents))

    make, given = (whole, [states]) if case.part == "compressor" else (cross_attention, qkv)
    kinds = dict(zip(CONTENDERS, (make(ours), make(dense)), strict=True))
    return {name: in_pass(case.does, evaluate, given) for name, evaluate in kinds.items()}


def in_pass(
    does: str, evaluate: Callable[..., Tensor], given: list[Tensor]
) -> Callable[[], Tensor | None]:
    """Return a step that evaluates, with its backward pass if asked for."""

    def step() -> Tensor | None:
        if does == "inference":
            with torch.inference_mode():
                return evaluate(*given)
        evaluate(*(x.detach().requires_grad_() for x in given)).sum().backward()
        return None

    return step


def figures(settings: BenchConfig, case: Case, memory: str | None) -> dict[str, dict[str, float]]:
    """Measure one case in this process: the time of both contenders, or the memory of one."""
    device = measure.start(settings)
    with torch.autocast(device.type, torch.bfloat16, enabled=settings.dtype == "bf16"):
        for step in steps(replace(case, window_bp=1024, batch=1), device).values():
            step()  # what libraries take once is no cost of either
        both = steps(case, device)
        if memory:
            return {memory: {"peak_mib": peak_mib(both[memory], device)}}
        return measure.time_in_turn(both, device, rounds=settings.rounds, warmup=1)


def peak_mib(step: Callable[[], Any], device: torch.device) -> float:
    """Return the growth of the peak memory in one step."""
    peak = measure.PeakMemory(device)
    step()
    return round(peak.growth_mib(), 1)


def ask(settings: BenchConfig, case: Case, memory: str | None) -> dict[str, dict[str, float]]:
    """Get the same from a process of its own."""
    flags = [
        f"--{key}={getattr(settings, key)}" for key in ("dtype", "rounds", "device", "threads")
    ]
    flags += ["--memory", memory] if memory else []
    command = [sys.executable, __file__, "--one", json.dumps(asdict(case)), *flags]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or ["killed"])[-1]
        raise RuntimeError(f"{case}: {reason}")
    return json.loads(result.stdout.strip().splitlines()[-1])


def measure_case(
    settings: BenchConfig, case: Case, device: torch.device
) -> dict[str, dict[str, float]]:
    """Return time and memory of each contender."""
    found: dict[str, dict[str, float]] = {name: {} for name in CONTENDERS}
    for memory in (None, *CONTENDERS):
        get = figures if device.type == "cuda" else ask
        for name, row in get(settings, case, memory).items():
            found[name] |= row
    return found


def bench(settings: BenchConfig) -> int:
    """Measure everything, print a table and write JSON."""
    if settings.one is not None:
        print(json.dumps(figures(settings, Case(**json.loads(settings.one)), settings.memory)))
        return 0
    device = measure.start(settings)
    out = settings.out or measure.result_path(device, "compressor")
    record: dict[str, Any] = {
        "what": "compressor, and its cross-attention alone, against the window's length",
        **measure.environment(device),
        "note": settings.note,
        "dtype": settings.dtype,
        "results": [],
    }
    print("| part | preset | window bp | batch | pass | ms | dense ms | times | MiB | dense MiB |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for case in cases(settings):
        row = measure_case(settings, case, device)
        pair = [row[name] for name in CONTENDERS]
        ms, dense_ms = map(work_ms, pair)
        cells = (*asdict(case).values(), ms, dense_ms, round(dense_ms / ms, 2))
        print(
            "|", " | ".join(map(str, (*cells, *(its["peak_mib"] for its in pair)))), "|", flush=True
        )
        record["results"].append({**asdict(case), **row})
        save_json(out, record)
    print(f"\nwritten: {out}")
    return 0


if __name__ == "__main__":
    sys.exit(run(bench, BenchConfig, None, name="bench_compressor", description=__doc__ or ""))
