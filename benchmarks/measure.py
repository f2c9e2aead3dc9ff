"""What the speed benchmarks of torch modules share: rounds in turn, peak memory, the device.

Contenders take turns in every round, so that a machine that slows down slows all of them; figures
are medians over rounds with quartiles."""

from __future__ import annotations

import gc
import re
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import machine
import torch

from genet5.train.distributed.processes import choose_device


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """Where a benchmark runs; each adds what it measures."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device; auto = CUDA where there is one."""
    threads: int = 1
    """Threads on a CPU.

    Processor time is time with one, and other work on the machine disturbs it least.
    """
    note: str = ""
    """What the result file records about the machine, such as: shared, other jobs ran."""


def start(settings: RunConfig) -> torch.device:
    """Return the device; on a CPU, take as many threads as were asked for."""
    device = choose_device(settings.device)
    if device.type == "cpu":
        torch.set_num_threads(settings.threads)
    return device


def environment(device: torch.device, *packages: str) -> dict[str, Any]:
    """Return what a result file records about the machine, the code and the load at the start."""
    found = machine.environment("torch", *packages) | {"threads": torch.get_num_threads()}
    if device.type == "cuda":
        found["device"] = torch.cuda.get_device_name(device)
    return found


def result_path(device: torch.device, what: str) -> Path:
    """Return benchmarks/results/DATE_DEVICE_WHAT.json."""
    if device.type != "cuda":
        return machine.result_path(what)
    return machine.result_path(what, device_label(torch.cuda.get_device_name(device)))


def device_label(name: str) -> str:
    """Return a GPU's short name, as result files have it.

    Example:
        >>> names = ("NVIDIA H100 80GB HBM3", "NVIDIA H200", "NVIDIA GeForce RTX 4090")
        >>> [device_label(name) for name in names]
        ['h100', 'h200', '4090']
    """
    words = name.lower().replace("-", " ").split()
    return next((word for word in words if re.match(r"[a-z]+\d", word)), words[-1])


def synchronize(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def time_in_turn(
    contenders: Mapping[str, Callable[[], Any]],
    device: torch.device,
    *,
    rounds: int,
    warmup: int = 2,
) -> dict[str, dict[str, float]]:
    """Run each contender once a round; return its median and quartiles in ms.

    Added on a CPU: the median and the least of the processor time, "cpu_ms" and "least_cpu_ms";
    other jobs on the machine only add to it, by what they take of caches and memory. On CUDA: the
    peak of allocated memory.

    Args:
        contenders: Name -> one step.
        device: Where they run.
        rounds: How many are measured.
        warmup: How many come before.
    """
    times: dict[str, list[float]] = {name: [] for name in contenders}
    worked: dict[str, list[float]] = {name: [] for name in contenders}
    peaks: dict[str, float] = {}
    for index in range(warmup + rounds):
        for name, step in contenders.items():
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
            synchronize(device)
            start, start_work = time.perf_counter(), time.process_time()
            step()
            synchronize(device)
            if index >= warmup:
                times[name].append(1000 * (time.perf_counter() - start))
                worked[name].append(1000 * (time.process_time() - start_work))
            if device.type == "cuda":
                peaks[name] = torch.cuda.max_memory_allocated(device) / 2**20
    gc.collect()
    found = {name: summary(values) for name, values in times.items()}
    for name, values in worked.items():
        if device.type == "cpu":
            found[name]["cpu_ms"] = round(statistics.median(values), 3)
            found[name]["least_cpu_ms"] = round(min(values), 3)
    for name, peak in peaks.items():
        found[name]["peak_mib"] = round(peak, 1)
    return found


def summary(values_ms: list[float]) -> dict[str, float]:
    """Return median and quartiles."""
    if len(values_ms) < 2:
        return {"median_ms": round(values_ms[0], 3)}
    low, middle, high = statistics.quantiles(values_ms, n=4, method="inclusive")
    return {
        "median_ms": round(middle, 3),
        "quartile_1_ms": round(low, 3),
        "quartile_3_ms": round(high, 3),
    }


class PeakMemory:
    """Growth of the peak memory since this object was made.

    Of the process on a CPU, of allocations on CUDA.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        gc.collect()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self._before = torch.cuda.memory_allocated(device) / 2**20
        else:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets VmHWM
            self._before = _status_mib("VmRSS")

    def now_mib(self) -> float:
        """Return what is taken now beyond the start."""
        if self._device.type == "cuda":
            return torch.cuda.memory_allocated(self._device) / 2**20 - self._before
        return _status_mib("VmRSS") - self._before

    def growth_mib(self) -> float:
        """Return the growth so far."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) / 2**20 - self._before
        return _status_mib("VmHWM") - self._before


def _status_mib(key: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{key}:"))
