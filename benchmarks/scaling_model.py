#!/usr/bin/env python3
"""The tables of docs/explanation/scaling.md.

Measured sweeps, and a model of memory and time on 1, 2, 8 and 64 GPUs.

The model multiplies what is known (FLOPs of `genet5.train.telemetry.flops`, weights, measured bytes
of activations) by what is assumed (`Machine`, `MFU`, `STATE`, all stated on the page). It has no
parameter that was fitted. --write puts the tables into the page, between its markers; a test holds
that the page is what this script prints.

Example:
    python benchmarks/scaling_model.py --write
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import machine
import torch

from genet5.cli.parse import run
from genet5.config.model import ModelConfig, preset
from genet5.errors import FormatError
from genet5.model.network import GeneT5
from genet5.train.telemetry.flops import WindowSizes, forward_flops, training_flops

PAGE = machine.ROOT / "docs" / "explanation" / "scaling.md"
SWEEP = machine.ROOT / "benchmarks" / "results" / "2026-11-21_cpu_scaling.json"

Name = Literal["small", "base"]
NAMES: tuple[Name, ...] = ("small", "base")
MFU = {"small": 0.40, "base": 0.28}
"""Targets of the project for dense models and for experts; not measured."""
WINDOW_BP = 6144
LABELS_PER_WINDOW, POSITIONS_PER_WINDOW = 47, 14
"""Means of the benchmark's artificial windows (a test holds them)."""
STATE = {"weights": 4, "gradients": 4, "AdamW": 8}
"""Bytes per weight, fp32."""
ADAMW_8BIT = 2
"""Bytes per weight of AdamW's moments in 8 bits."""
COPY = 2
"""Bytes per weight of the bf16 copies that autocast keeps until the backward pass."""
WIRE_BYTES = 8
"""Bytes per weight and step that a GPU sends in a ring.

DDP sums fp32 gradients (2 x 4); FSDP2 gathers bf16 weights for the
forward and the backward pass and sums fp32 gradients (2 + 2 + 4); both times (n - 1) / n."""
BACKWARD = 2 / 3
"""Share of a step's computation that communication can be hidden by."""


@dataclass(frozen=True, slots=True)
class Machine:
    """GPUs that train together."""

    label: str
    gpus: int
    bytes_per_s: float
    """Of one GPU's ring, one direction."""
    peak: float = 989e12
    """H200, bf16, FLOP/s."""
    memory: float = 141e9
    """H200."""


NVLINK, ROCE = 450e9, 25e9
MACHINES = (
    Machine("1", 1, NVLINK),
    Machine("2, two hosts", 2, ROCE),
    Machine("8, one host", 8, NVLINK),
    Machine("64, eight hosts", 64, ROCE),
)
USABLE = 0.9
"""Share of the memory that tensors can have; the rest is CUDA's and fragmentation."""


def parameters(config: ModelConfig) -> int:
    """Return the number of weights."""
    with torch.device("meta"):
        return sum(weight.numel() for weight in GeneT5(config).parameters())


def window_tokens(config: ModelConfig) -> int:
    """Return the tokens of a window."""
    return round(WINDOW_BP / config.bp_per_token)


def window_flops(config: ModelConfig) -> int:
    """Return the FLOPs of training on one window."""
    sizes = WindowSizes(
        tokens=window_tokens(config),
        bases=WINDOW_BP,
        labels=LABELS_PER_WINDOW,
        positions=POSITIONS_PER_WINDOW,
    )
    return training_flops(forward_flops(config, sizes)).total


def state_bytes(weights: int, gpus: int, *, sharded: bool, adamw: int = STATE["AdamW"]) -> float:
    """Return what weights, gradients and optimizer take on one GPU.

    DDP holds all of it and autocast's copies; FSDP2 a share (the copies of one layer at a time are
    left out)."""
    held = STATE["weights"] + STATE["gradients"] + adamw
    return weights * held / gpus if sharded else weights * (held + COPY)


def tokens_that_fit(free: float, bytes_per_token: float) -> int:
    """Return the tokens of the largest micro-batch, in whole thousands."""
    return max(0, int(free / bytes_per_token / 1000) * 1000)


def step_seconds(
    flops: float, weights: int, mfu: float, machine_: Machine, micro_batches: int = 1
) -> tuple[float, float]:
    """Return the seconds of a step's computation, and of communication that nothing hides.

    Args:
        flops: Of one micro-batch on one GPU.
        weights: Of the model.
        mfu: Share of the peak that computation reaches.
        machine_: GPUs and their network.
        micro_batches: Per step; gradients travel once, after the last one's backward pass.
    """
    one = flops / (mfu * machine_.peak)
    sent = WIRE_BYTES * weights * (machine_.gpus - 1) / machine_.gpus / machine_.bytes_per_s
    return one * micro_batches, max(0.0, sent - BACKWARD * one)


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it: 90 -> 1.5 min, 7200 -> 2 h, 200000 -> 2.3 d."""
    for limit, size, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.2g} {unit}"
    days = seconds / 86_400
    return f"{days:.2g} d" if days < 100 else f"{days:.0f} d"


# ---- tables -------------------------------------------------------------------------------------


def sweep_table(record: Mapping[str, Any]) -> str:
    """Return what was measured: time and memory beside the first row of each question."""
    names = {
        "window_bp": "window, bp (24.6 kb in all)",
        "latents": "latents of a window",
        "experts": "experts (2 in use; 0 = dense)",
    }
    lines = [
        "| question | value | weights, M | s a step | of the first | tensors in a step, MiB |",
        "|---|---|---|---|---|---|",
    ]
    first: dict[str, float] = {}
    for row in record["results"]:
        question, ms = row["question"], machine.work_ms(row)
        title = "" if question in first else names[question]
        first.setdefault(question, ms)
        lines.append(
            f"| {title} | {row['value']:,} | {row['parameters'] / 1e6:.1f} | {ms / 1000:.2f} | "
            f"{ms / first[question]:.2f} | {row['live_mib']:.0f} |"
        )
    return "\n".join(lines)


def memory_table(activations: Mapping[str, Mapping[str, float]]) -> str:
    """Return what each GPU holds, and the largest micro-batch beside it."""
    lines = [
        "| model | | state, GB | with 8-bit AdamW | k tokens that fit | with gradient "
        "checkpointing |",
        "|---|---|---|---|---|---|",
    ]
    for name in NAMES:
        weights = parameters(preset(name))
        ways = [("DDP, any number", 1, False)]
        ways += [(f"FSDP2, {gpus} GPUs", gpus, True) for gpus in (2, 8, 64)]
        for label, gpus, sharded in ways:
            state = state_bytes(weights, gpus, sharded=sharded)
            small = state_bytes(weights, gpus, sharded=False, adamw=ADAMW_8BIT)
            small_gb = "-" if sharded else f"{small / 1e9:.2f}"  # finet takes no 8-bit AdamW there
            free = USABLE * MACHINES[0].memory - state
            fit = [tokens_that_fit(free, activations[name][way]) for way in ("kept", "recomputed")]
            title = f"`{name}`, {weights / 1e6:,.0f} M" if gpus == 1 and not sharded else ""
            lines.append(
                f"| {title} | {label} | {state / 1e9:.2f} | {small_gb} | {fit[0] // 1000:,} | "
                f"{fit[1] // 1000:,} |"
            )
    return "\n".join(lines)


def time_table(activations: Mapping[str, Mapping[str, float]]) -> str:
    """Return how long a pass over the DNA takes, and what communication costs."""
    lines = [
        "| model | GPUs | s a step | lost to the network | with 4 micro-batches | 1 Gbp | 100 "
        "Gbp | 400 Gbp |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in NAMES:
        config = preset(name)
        weights, per_window = parameters(config), window_flops(config)
        free = USABLE * MACHINES[0].memory - state_bytes(weights, 1, sharded=False)
        windows = tokens_that_fit(free, activations[name]["kept"]) // window_tokens(config)
        for host in MACHINES:
            computed, waited = step_seconds(windows * per_window, weights, MFU[name], host)
            four = step_seconds(windows * per_window, weights, MFU[name], host, micro_batches=4)
            lost = [100 * w / (c + w) for c, w in ((computed, waited), four)]
            per_bp = sum(four) / (4 * windows * WINDOW_BP * host.gpus)
            times = [duration(per_bp * gbp * 1e9) for gbp in (1, 100, 400)]
            title = f"`{name}`, {windows} windows a GPU" if host.gpus == 1 else ""
            lines.append(
                f"| {title} | {host.label} | {computed + waited:.2f} | {lost[0]:.0f} % | "
                f"{lost[1]:.0f} % | {' | '.join(times)} |"
            )
    return "\n".join(lines)


def tables() -> dict[str, str]:
    """Return the page's tables by name."""
    record = json.loads(SWEEP.read_text(encoding="utf-8"))
    activations = record["activation_bytes_per_token"]
    return {
        "sweep": sweep_table(record),
        "memory": memory_table(activations),
        "time": time_table(activations),
    }


def filled(page: str, found: Mapping[str, str]) -> str:
    """Return a page with the tables between its markers.

    Raises:
        FormatError: A table has no markers.
    """
    for name, table in found.items():
        marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not marked.search(page):
            raise FormatError(f"no markers for the table {name!r}", path=PAGE)
        page = marked.sub(lambda match, table=table: f"{match[1]}{table}\n{match[2]}", page)
    return page


@dataclass(frozen=True, kw_only=True, slots=True)
class TablesConfig:
    """What to do with the tables."""

    write: bool = False
    """Put them into docs/explanation/scaling.md, too."""


def show(settings: TablesConfig) -> int:
    """Print the tables."""
    found = tables()
    print("\n\n".join(found.values()))
    if settings.write:
        PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(run(show, TablesConfig, None, name="scaling_model", description=__doc__ or ""))
