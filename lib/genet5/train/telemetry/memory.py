"""Memory over time: host memory of this process, and CUDA's peak active and reserved memory.

`MemoryWatch` appends one line to a CSV every few seconds from its own thread; `read_memory` is one
look.

    with MemoryWatch(Path("out/memwatch.csv"), step=lambda: loop.step):
        ...
"""

from __future__ import annotations

import csv
import logging
import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType

import torch

log = logging.getLogger(__name__)

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory in GiB; the CUDA figures are 0 without CUDA."""

    rss_gib: float
    """Memory of this process now."""
    rss_peak_gib: float
    """Highest so far."""
    host_total_gib: float
    """Memory of the machine."""
    cuda_active_peak_gib: float
    """Highest memory in use by tensors so far."""
    cuda_reserved_peak_gib: float
    """Highest memory held by torch's allocator so far."""
    cuda_total_gib: float
    """Memory of the device."""
    cuda_retries: int
    """Times that the allocator had to free its cache to find memory."""
    cuda_ooms: int
    """Allocations that failed."""

    @property
    def used_gib(self) -> float:
        """What a progress line shows: the device's peak, or the process's memory on a CPU."""
        return self.cuda_reserved_peak_gib if self.cuda_total_gib else self.rss_gib

    @property
    def total_gib(self) -> float:
        """What `used_gib` is a part of."""
        return self.cuda_total_gib or self.host_total_gib


def read_memory(device: torch.device | None = None) -> Memory:
    """Return this process's memory; CUDA's only for a CUDA device."""
    active = reserved = total = 0.0
    retries = ooms = 0
    if device is not None and device.type == "cuda":
        stats = torch.cuda.memory_stats(device)
        active = stats.get("active_bytes.all.peak", 0) / GIB
        reserved = stats.get("reserved_bytes.all.peak", 0) / GIB
        retries, ooms = stats.get("num_alloc_retries", 0), stats.get("num_ooms", 0)
        total = torch.cuda.get_device_properties(device).total_memory / GIB
    rss, peak = _resident_bytes()
    return Memory(
        rss_gib=rss / GIB,
        rss_peak_gib=peak / GIB,
        host_total_gib=_host_bytes() / GIB,
        cuda_active_peak_gib=active,
        cuda_reserved_peak_gib=reserved,
        cuda_total_gib=total,
        cuda_retries=retries,
        cuda_ooms=ooms,
    )


def _resident_bytes() -> tuple[int, int]:
    """Return resident memory now and at its peak; without /proc both are the peak."""
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return peak, peak
    now = pages * os.sysconf("SC_PAGE_SIZE")
    return now, max(now, peak)


def _host_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


class MemoryWatch:
    """Writes memory to a CSV while the block runs.

    Args:
        path: The CSV; an existing one is continued.
        step: Called for the current step of the run.
        device: Its CUDA memory is written, too.
        every_s: Seconds between lines.
    """

    def __init__(
        self,
        path: Path,
        step: Callable[[], int],
        device: torch.device | None = None,
        every_s: float = 5.0,
    ) -> None:
        self._path, self._step, self._device, self._every_s = path, step, device, every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memwatch", daemon=True)

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        try:
            self._write_rows()
        except OSError as error:  # a full disk; the run continues
            log.warning("%s ends here (%s)", self._path, error.strerror or error)

    def _write_rows(self) -> None:
        columns = ["time_s", "step", *(field.name for field in fields(Memory))]
        is_new = not self._path.exists() or self._path.stat().st_size == 0
        with self._path.open("a", newline="", encoding="utf-8") as out:
            writer = csv.DictWriter(out, columns, lineterminator="\n")
            if is_new:
                writer.writeheader()
            while True:
                is_last = self._stop.is_set()
                memory = asdict(read_memory(self._device))
                row = {key: round(value, 4) for key, value in memory.items()}
                writer.writerow({"time_s": round(time.time(), 1), "step": self._step(), **row})
                out.flush()
                if is_last:
                    return
                self._stop.wait(self._every_s)
