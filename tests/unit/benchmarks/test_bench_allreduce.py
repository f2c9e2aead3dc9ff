"""The figures of bench_allreduce.py.

Over two ranks it runs in tests/integration/test_two_nodes.py.
"""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest
import torch.distributed as dist
from bench_allreduce import BenchConfig, bench, bus_factor, measure_size

from genet5.errors import ConfigError
from genet5.train.distributed.processes import Ranks


@pytest.mark.parametrize(("world_size", "factor"), [(1, 0.0), (2, 1.0), (4, 1.5), (8, 1.75)])
def test_bus_bandwidth_counts_what_a_link_carries(world_size: int, factor: float) -> None:
    assert (
        bus_factor(world_size) == factor
    )  # a ring: n - 1 shares of 1 / n to sum, as many to spread


def test_algorithm_bandwidth_is_bytes_over_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0.0, 0.004)  # each sum takes 4 ms
    monkeypatch.setattr("bench_allreduce.time", SimpleNamespace(perf_counter=lambda: next(clock)))
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    row = measure_size(BenchConfig(rounds=3, device="cpu"), Ranks(), 1)
    assert row["median_ms"] == 4.0
    assert row["algorithm_gb_s"] == pytest.approx(2**20 / 0.004 / 1e9, abs=1e-4)
    assert row["bus_gb_s"] == 0


def test_one_process_has_nothing_to_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(ConfigError, match=r"bin/distributed\.sh"):
        bench(BenchConfig(device="cpu"))
