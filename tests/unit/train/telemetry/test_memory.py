"""Memory, now and over time."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import torch

from genet5.train.telemetry.memory import MemoryWatch, read_memory


def test_memory_is_measured_without_cuda() -> None:
    memory = read_memory(torch.device("cpu"))
    assert 0 < memory.rss_gib <= memory.rss_peak_gib < memory.host_total_gib
    assert memory.cuda_total_gib == 0
    assert (memory.used_gib, memory.total_gib) == (memory.rss_gib, memory.host_total_gib)


def test_the_memory_watch_appends_lines_under_one_header(tmp_path: Path) -> None:
    path, step = tmp_path / "memwatch.csv", 0
    for step in (1, 2):
        with MemoryWatch(path, lambda step=step: step, every_s=0.01):
            time.sleep(0.05)
    with path.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert {row["step"] for row in rows} == {"1", "2"}
    assert all(float(row["rss_gib"]) > 0 for row in rows)
