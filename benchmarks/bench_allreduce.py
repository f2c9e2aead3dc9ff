#!/usr/bin/env python3
r"""Bandwidth between the processes of a run.

Sums of one tensor over all ranks (all-reduce), as training does with gradients.

Run it under torchrun: NCCL between GPUs, gloo between CPUs. Two figures for each size, in GB/s (1e9
bytes): algorithm bandwidth = bytes of the tensor / time, and bus bandwidth = algorithm bandwidth *
2 (n - 1) / n for n ranks, what a link carries whatever n is (formula: github.com/NVIDIA/nccl-tests,
doc/PERFORMANCE.md). A 200 Gbit/s link carries 25 GB/s at most. The time of a round is that of its
slowest rank.

Example:
    bin/distributed.sh --script benchmarks/bench_allreduce.py --nnodes 2 --node-rank 0 \
        --master 192.168.100.10
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import measure
import torch
import torch.distributed as dist

from genet5.cli.parse import run
from genet5.config.json_files import save_json
from genet5.errors import ConfigError, RankError
from genet5.train.distributed.processes import Ranks, distributed

GB = 1e9


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchConfig:
    """What to send."""

    sizes_mib: tuple[int, ...] = (1, 4, 16, 64, 256)
    """Sizes of the tensor, fp32."""
    rounds: int = 20
    """Measured rounds of each size."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device; auto = CUDA where there is one."""
    at_least: float | None = None
    """Exit with 1 if the best bus bandwidth is below this, in GB/s."""
    note: str = ""
    """What the result file records about the link, such as: 200 GbE RoCE, MTU 9000."""
    out: Path | None = None
    """JSON file; by default benchmarks/results/DATE_DEVICE_allreduce.json."""


def bus_factor(world_size: int) -> float:
    """Return bus bandwidth over algorithm bandwidth.

    Each rank sends and receives this share of the tensor.
    """
    return 2 * (world_size - 1) / world_size


def measure_size(settings: BenchConfig, ranks: Ranks, size_mib: int) -> dict[str, Any]:
    """Return times and bandwidths of one size.

    Raises:
        RankError: The sum came out wrong.
    """
    tensor = torch.ones(size_mib * 2**20 // 4, device=ranks.device)
    dist.all_reduce(tensor)
    if tensor.min().item() != ranks.world_size or tensor.max().item() != ranks.world_size:
        raise RankError(
            f"{ranks.world_size} ones were summed to {tensor.min().item():g} to "
            f"{tensor.max().item():g}: the link or a GPU is faulty"
        )
    times_ms = []
    for _ in range(settings.rounds):
        tensor.fill_(1)
        ranks.barrier()
        measure.synchronize(ranks.device)
        start = time.perf_counter()
        dist.all_reduce(tensor)
        measure.synchronize(ranks.device)
        times_ms.append(1000 * (time.perf_counter() - start))
    slowest = [max(times) for times in zip(*ranks.gather(times_ms), strict=True)]
    found = measure.summary(slowest)
    algorithm = size_mib * 2**20 / GB / (found["median_ms"] / 1000)
    bus = algorithm * bus_factor(ranks.world_size)
    return {
        "mib": size_mib,
        **found,
        "algorithm_gb_s": round(algorithm, 4),
        "bus_gb_s": round(bus, 4),
    }


def bench(settings: BenchConfig) -> int:
    """Measure all sizes; rank 0 prints a table and writes JSON."""
    with distributed(settings.device) as ranks:
        if ranks.world_size == 1:
            raise ConfigError(
                "world size", 1, "must be 2 or more; start it with bin/distributed.sh --script"
            )
        rows = []
        for size_mib in settings.sizes_mib:
            rows.append(measure_size(settings, ranks, size_mib))
            if ranks.is_first:
                show(rows)
        best = max(row["bus_gb_s"] for row in rows)
        if ranks.is_first:
            record(settings, ranks, rows)
        ranks.barrier()
    if settings.at_least is None or best >= settings.at_least:
        return 0
    if ranks.is_first:
        print(f"wrong: bus bandwidth {best:.2f} GB/s, expected at least {settings.at_least:g} GB/s")
    return 1


def show(rows: list[dict[str, Any]]) -> None:
    """Print the last row, and the head of the table before the first."""
    if len(rows) == 1:
        print("| MiB | ms | algorithm GB/s | bus GB/s |\n|---|---|---|---|")
    names = ("mib", "median_ms", "algorithm_gb_s", "bus_gb_s")
    print("|", " | ".join(str(rows[-1][name]) for name in names), "|", flush=True)


def record(settings: BenchConfig, ranks: Ranks, rows: list[dict[str, Any]]) -> None:
    """Write the result file."""
    out = settings.out or measure.result_path(ranks.device, "allreduce")
    found = {
        "what": "sums of one fp32 tensor over all ranks",
        **measure.environment(ranks.device),
        "note": settings.note,
        "backend": dist.get_backend(),
        "ranks": ranks.world_size,
        "rounds": settings.rounds,
        "results": rows,
    }
    save_json(out, found)
    print(f"\nwritten: {out}")


if __name__ == "__main__":
    sys.exit(run(bench, BenchConfig, None, name="bench_allreduce", description=__doc__ or ""))
