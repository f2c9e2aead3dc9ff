"""Seeds, memory, the run's record and the stop signals."""

from __future__ import annotations

import csv
import json
import os
import signal
import time
from pathlib import Path

import pytest
import torch

from genet5.errors import CheckpointError
from genet5.train.interrupts import StopSignals
from genet5.train.state.random_state import (
    capture_random_state,
    derive_seed,
    restore_random_state,
    seed_everything,
)
from genet5.train.telemetry.memory import MemoryWatch, read_memory
from genet5.train.telemetry.record import end_record, start_record


def test_seeds_differ_by_purpose_and_rank() -> None:
    seeds = {
        derive_seed(seed, purpose, rank) for seed in (0, 1) for purpose in "ab" for rank in (0, 1)
    }
    assert len(seeds) == 8
    assert derive_seed(0, "a") == derive_seed(0, "a", 0)


def test_seeding_repeats_all_generators() -> None:
    seed_everything(5, deterministic=False)
    first = torch.rand(2)
    seed_everything(5, deterministic=True)
    assert torch.equal(torch.rand(2), first)
    assert torch.are_deterministic_algorithms_enabled()


def test_an_incomplete_random_state_is_refused() -> None:
    tensors, values = capture_random_state()
    del tensors["python"]
    with pytest.raises(CheckpointError, match="random state lacks"):
        restore_random_state(tensors, values)


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


def test_the_record_tells_what_ran_and_keeps_earlier_parts(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    for reason in ("interrupted", "finished"):
        start_record(path, {"seed": 3}, device="cpu", world_size=1)
        end_record(path, {"reason": reason})
    record = json.loads(path.read_text())
    assert record["settings"] == {"seed": 3}
    assert record["outcome"] == {"reason": "finished"}
    assert [part["outcome"]["reason"] for part in record["earlier"]] == ["interrupted"]
    assert record["packages"]["torch"]
    assert record["started"] <= record["ended"]


def test_the_first_signal_is_a_wish_and_the_second_an_order() -> None:
    with StopSignals() as signals:
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.is_stopping
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
