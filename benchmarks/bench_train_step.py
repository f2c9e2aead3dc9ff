#!/usr/bin/env python3
r"""Time a training step of GeneT5 beside T5 and BART of transformers, equal in size and tokens.

A step is the loop's own: the micro-batch moves to the device, forward, loss, backward, clipping,
AdamW, the check for finite numbers. Micro-batches of artificial gene windows are made once and take
turns. FLOPs are those that the mathematics needs (`genet5.train.telemetry.flops`), padding left
out, encoder and decoder apart; MFU relates them to the device's peak where that is known, and
`of_matmul_pct` to the fastest large matrix product of the same run. A peer has as many weights as
GeneT5 uses for a token (experts: the active ones) in layers of the same width, dense attention by
SDPA, no dropout. --compile compiles our layers, --compile_peers theirs (minutes: each of their
layers is compiled anew).

With --micro_batch auto (on CUDA the default for base) a step is tried with more and more windows
until memory ends. On CUDA each model runs alone, on a CPU those of a preset take turns where they
are small, and the processor time counts. --sweep measures small shapes instead: step time and
memory against window length, latents and experts (docs/explanation/scaling.md).

Example:
    python benchmarks/bench_train_step.py --device cuda --compile --rounds 10 \
        --presets nano small dense300m base
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import gene_batches
import measure
import sweep_train_step
import torch
from live_bytes import LiveBytes
from machine import work_ms
from train_step import (
    BenchConfig,
    Contender,
    ShapeName,
    active_parameters,
    make_ours,
    make_peer,
    row,
    shape,
)

from genet5.cli.parse import run
from genet5.config.json_files import save_json
from genet5.config.model import ModelConfig
from genet5.dataset.batch import Batch
from genet5.dataset.flat_batch import pack, unpack
from genet5.dataset.windows import Window
from genet5.errors import ConfigError
from genet5.model.network import GeneT5
from genet5.model.precision import resolve_precision
from genet5.train.telemetry.meter import device_peak

CUDA_WINDOWS: dict[str, int | Literal["auto"]] = {
    "nano": 128,
    "small": 128,
    "dense300m": 64,
    "base": "auto",
}
"""Micro-batch on CUDA, in windows."""
CPU_WINDOWS: dict[str, int | Literal["auto"]] = {
    "nano": 4,
    "small": 2,
    "dense300m": 1,
    "base": 1,
}
"""Micro-batch on a CPU, in windows."""
STATE_BYTES = 16
"""Weight, gradient and AdamW's two moments in fp32."""
Maker = Callable[[list[Batch]], Contender]
TOGETHER_BYTES = 4e9
"""On a CPU the models of a preset take turns if their states are smaller than this."""


# ---- size of the micro-batch ------------------------------------------------------------------


def largest(fits: Callable[[int], bool], limit: int, start: int = 8) -> int:
    """Return the largest number up to `limit` that fits, to an eighth; 0 if not even one does.

    Args:
        fits: Whether a number fits; what is smaller than one that fits does, too.
        limit: Most.
        start: First try; doubled while it fits.
    """
    good, bad, tried = 0, limit + 1, min(start, limit)
    while good < bad - max(1, good // 8):
        if fits(tried):
            good = tried
            tried = min(2 * tried, limit) if bad == limit + 1 else (good + bad) // 2
        else:
            bad = tried
            tried = (good + bad) // 2
        if good == limit:
            break
    return good


def choose_micro_batch(name: ShapeName, settings: BenchConfig, device: torch.device) -> int:
    """Return the number of windows of a micro-batch; 0 = not even one fits."""
    wanted = settings.micro_batch
    if wanted is None:
        wanted = (CUDA_WINDOWS if device.type == "cuda" else CPU_WINDOWS)[name]
    if wanted != "auto":
        return wanted
    if device.type != "cuda":
        raise ConfigError("micro_batch", wanted, "needs CUDA; give a number of windows")
    found = largest_micro_batch(name, settings, device)
    free()
    torch.compiler.reset()  # what was compiled for several sizes would serve any size, more slowly
    return found


def largest_micro_batch(name: ShapeName, settings: BenchConfig, device: torch.device) -> int:
    """Try steps on CUDA until memory ends, not compiled: compiled layers need no more."""
    windows = gene_batches.gene_windows(settings.window_bp, settings.max_micro_batch)
    batches = gene_batches.micro_batches(windows[:1], 1)
    contender = make_ours(shape(name), replace(settings, compile=False), device, batches)

    def fits(number: int) -> bool:
        batches[:] = gene_batches.micro_batches(windows[:number], number)
        try:
            contender.step()
            torch.cuda.synchronize()
        except torch.OutOfMemoryError:
            return False
        finally:
            contender.model.zero_grad(set_to_none=True)
            free()
        return True

    fits(1)  # the first step makes AdamW's moments, which must be there when larger ones are tried
    return largest(fits, settings.max_micro_batch)


def free() -> None:
    """Give memory back."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


# ---- measurement --------------------------------------------------------------------------------


def matmul_flops_per_s(device: torch.device, precision: str) -> float:
    """Return the FLOP/s of a large square matrix product, the best of several."""
    size = 8192 if device.type == "cuda" else 2048
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    best = float("inf")
    for _ in range(8):
        measure.synchronize(device)
        start = clock()
        a @ b
        measure.synchronize(device)
        best = min(best, clock() - start)
    return 2 * size**3 / best


def relate(found: dict[str, Any], ours: dict[str, Any], peak: float | None, matmul: float) -> None:
    """Add to a row what share of the device it used, and how many times as fast ours is."""
    per_s = found["tflop_per_s"] * 1e12
    found["mfu_pct"] = None if peak is None else round(100 * per_s / peak, 2)
    found["of_matmul_pct"] = round(100 * per_s / matmul, 2)
    found["genet5_is_faster_by"] = round(ours["tokens_per_s"] / found["tokens_per_s"], 3)


@dataclass(frozen=True, slots=True)
class Job:
    """Models of one shape that take turns."""

    preset: ShapeName
    models: tuple[str, ...]


def plan(settings: BenchConfig, device: torch.device) -> list[Job]:
    """Return the jobs in order.

    On CUDA every model runs alone, ours of all shapes before any peer: time may end. On a CPU,
    small models take turns."""
    models = ("genet5", *settings.peers)
    if device.type == "cuda":
        return [Job(name, (model,)) for model in models for name in settings.presets]
    jobs = []
    for name in settings.presets:
        weights, active = sizes(shape(name))
        together = STATE_BYTES * (weights + active * len(settings.peers)) < TOGETHER_BYTES
        jobs += [Job(name, models)] if together else [Job(name, (model,)) for model in models]
    return jobs


def sizes(config: ModelConfig) -> tuple[int, int]:
    """Return a shape's weights: all, and those that a token uses."""
    with torch.device("meta"):
        model = GeneT5(config)
    return sum(weight.numel() for weight in model.parameters()), active_parameters(model)


def obstacle(name: ShapeName, device: torch.device) -> str | None:
    """Say why a shape cannot be trained on this machine's CPU, if so."""
    needed = STATE_BYTES * sizes(shape(name))[0]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if device.type == "cuda" or needed < 0.6 * memory:
        return None
    return (
        f"weights, gradients and AdamW take {needed / 1e9:.0f} of this machine's "
        f"{memory / 1e9:.0f} GB"
    )


def measured(settings: BenchConfig, device: torch.device, until: float) -> Iterator[dict[str, Any]]:
    """Yield a row for each model; what memory or time does not take is a row with the reason."""
    numbers: dict[str, int] = {}
    for job in plan(settings, device):
        name = job.preset
        reason = obstacle(name, device)
        if reason is None and time.perf_counter() > until:
            reason = "--limit_s was over"
        if reason is None and name not in numbers:
            numbers[name] = choose_micro_batch(name, settings, device)
        if reason is None and not numbers[name]:
            reason = "not even one window fits"
        if reason is not None:
            yield from ({"preset": name, "model": model, "skipped": reason} for model in job.models)
        else:
            rows = measure_job(job, numbers[name], settings, device)
            numbers[name] = rows[0].get("micro_batch", numbers[name])
            yield from rows


def measure_job(
    job: Job, number: int, settings: BenchConfig, device: torch.device
) -> list[dict[str, Any]]:
    """Measure a job's models with micro-batches of `number` windows."""
    config = shape(job.preset)
    active = sizes(config)[1]
    windows = gene_batches.gene_windows(settings.window_bp, number * settings.batches)
    makers: dict[str, Maker] = {
        "genet5": lambda batches: make_ours(config, settings, device, batches)
    }
    for peer in settings.peers:
        makers[peer] = lambda batches, peer=peer: make_peer(
            peer, config, settings, device, batches, active
        )
    chosen = {model: makers[model] for model in job.models}
    rows = measure_group(chosen, windows, number, settings, device)
    return [{"preset": job.preset, **found} for found in rows]


def measure_group(
    makers: Mapping[str, Maker],
    windows: Sequence[Window],
    number: int,
    settings: BenchConfig,
    device: torch.device,
) -> list[dict[str, Any]]:
    """Measure models that take turns.

    What runs out of CUDA's memory gets three quarters of its windows.
    """
    while number:
        try:
            return measure_once(makers, windows, number, settings, device)
        except torch.OutOfMemoryError:
            number = 3 * number // 4
        finally:
            torch.compiler.reset()
            free()
    return [{"model": name, "skipped": "not even one window fits"} for name in makers]


def pinned(batches: Sequence[Batch]) -> list[Batch]:
    """Return micro-batches in page-locked memory, as the loader gives them."""
    return [unpack(pack(batch).pin_memory()) for batch in batches]


def measure_once(
    makers: Mapping[str, Maker],
    windows: Sequence[Window],
    number: int,
    settings: BenchConfig,
    device: torch.device,
) -> list[dict[str, Any]]:
    """Measure models that take turns, with micro-batches of `number` windows."""
    batches = gene_batches.micro_batches(windows, number)[: settings.batches]
    if device.type == "cuda":
        batches = pinned(batches)
    contenders = {name: make(batches) for name, make in makers.items()}
    steps = {name: contender.step for name, contender in contenders.items()}
    warmup = 3 if device.type == "cuda" or settings.compile else 1
    times = measure.time_in_turn(steps, device, rounds=settings.rounds, warmup=warmup)
    if device.type == "cpu" and not settings.compile:
        for name, contender in contenders.items():
            times[name]["peak_mib"] = tensor_peak_mib(contender)
    return [
        {"model": name, **row(contender, times[name])} for name, contender in contenders.items()
    ]


def tensor_peak_mib(contender: Contender) -> float:
    """Return the most that weights, AdamW's moments and a step's tensors take together on a CPU."""
    with LiveBytes() as live:
        contender.step()
    held = contender.parameters * (STATE_BYTES - 4)  # gradients are made in the step
    return round((held + live.peak) / 2**20, 1)


_COLUMNS = (
    "preset",
    "model",
    "weights",
    "windows",
    "ms a step",
    "tokens/s",
    "kbp/s",
    "TFLOP/s",
    "MFU %",
    "of a matrix product %",
    "peak GiB",
    "genet5 faster by",
)
_HEAD = f"| {' | '.join(_COLUMNS)} |\n|{'---|' * len(_COLUMNS)}"


def line(found: dict[str, Any]) -> str:
    """Return a row of the table."""
    start = f"| {found['preset']} | {found['model']} |"
    if "skipped" in found:
        return f"{start} left out: {found['skipped']} |"
    ms = work_ms(found)
    peak = f"{found['peak_mib'] / 1024:.1f}" if "peak_mib" in found else ""
    mfu = "" if found["mfu_pct"] is None else f"{found['mfu_pct']:.1f}"
    return (
        f"{start} {found['parameters'] / 1e6:.1f} M | {found['micro_batch']} | {ms:.1f} | "
        f"{found['tokens_per_s']:,.0f} | {found['bp_per_s'] / 1000:,.1f} | "
        f"{found['tflop_per_s']:.3g} | {mfu} | "
        f"{found['of_matmul_pct']:.1f} | {peak} | {found['genet5_is_faster_by']:.2f} |"
    )


def bench(settings: BenchConfig) -> int:
    """Measure, print a table and write JSON."""
    begin = time.perf_counter()
    until = begin + (settings.limit_s or float("inf"))
    device = measure.start(settings)
    torch.set_float32_matmul_precision("high")
    settings = replace(settings, precision=resolve_precision(settings.precision, device))
    if settings.sweep:
        return sweep_train_step.sweep(settings, device)
    peak = device_peak(device, settings.precision)
    matmul = matmul_flops_per_s(device, settings.precision)
    record: dict[str, Any] = {
        "what": "training step: forward, loss, backward, clipping, AdamW",
        **measure.environment(device, "transformers", "flash-attn"),
        "note": settings.note,
        "settings": {
            name: getattr(settings, name)
            for name in (
                "window_bp",
                "batches",
                "rounds",
                "compile",
                "attention",
                "gradient_checkpointing",
                "precision",
            )
        },
        "peak_tflop_per_s": None if peak is None else peak / 1e12,
        "matmul_tflop_per_s": round(matmul / 1e12, 3),
        "results": [],
    }
    out = settings.out or measure.result_path(device, "train_step")
    print(_HEAD)
    for found in measured(settings, device, until):
        if "skipped" not in found:
            ours = next(
                (
                    row
                    for row in record["results"]
                    if row["preset"] == found["preset"] and "skipped" not in row
                ),
                found,
            )
            relate(found, ours, peak, matmul)
        record["results"].append(found)
        record["seconds"] = round(time.perf_counter() - begin, 1)
        save_json(out, record)  # now: whoever ends the run keeps what is done
        print(line(found), flush=True)
    print(f"\nwritten: {out} ({record['seconds']} s)")
    return 0


if __name__ == "__main__":
    sys.exit(run(bench, BenchConfig, None, name="bench_train_step", description=__doc__ or ""))
