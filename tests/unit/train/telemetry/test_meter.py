"""What is counted between two progress lines."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from genet5.config.model import preset
from genet5.dataset.batch import Batch, Inputs, Targets, position_steps
from genet5.train.distributed.processes import Ranks
from genet5.train.telemetry.flops import WindowSizes, forward_flops
from genet5.train.telemetry.meter import Meter, device_peak, gene_flops, window_sizes

SIZES = [
    WindowSizes(tokens=40, bases=230, labels=5, positions=2),
    WindowSizes(tokens=31, bases=190, labels=2, positions=0),
]


@pytest.fixture
def batch() -> Batch:
    """Two windows of unequal sizes, padded."""
    inputs = Inputs(
        input_ids=torch.zeros(2, 48, dtype=torch.int64),
        token_start_bp=torch.zeros(2, 48, dtype=torch.int64),
        num_tokens=torch.tensor([40, 31]),
        bases=torch.zeros(2, 256, dtype=torch.uint8),
        num_bases=torch.tensor([230, 190]),
        genetic_code=torch.tensor([11, 11]),
        evidence=torch.zeros(2, 0, 256, dtype=torch.uint8),
    )
    labels = torch.tensor([[1, 9, -1, -200, 2, 0], [1, 2, 0, 0, 0, 0]])
    targets = Targets(
        labels=labels,
        label_weights=torch.ones(2, 6),
        position_steps=position_steps(labels),
        states=torch.zeros(2, 2, 256, dtype=torch.int8),
        boundaries=torch.zeros(2, 8, 256, dtype=torch.int8),
        base_weights=torch.ones(2, 2, 256),
        starts=torch.full((*labels.shape, 9), -1, dtype=torch.int32),
    )
    return Batch(inputs, targets, ("a", "b"))


def test_sizes_of_windows_leave_padding_out(batch: Batch) -> None:
    assert window_sizes(batch) == SIZES


def test_utilisation_is_useful_flops_over_time_and_peak(
    batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    shape = preset("nano")
    useful = 3 * sum(forward_flops(shape, size).total for size in SIZES)
    meter = Meter(Ranks(), flops=gene_flops(shape), peak=useful * 2.0)
    for _ in range(3):
        meter.count_step([batch, batch])
    now = 112.0
    reading = meter.read()
    assert reading.mfu_pct == pytest.approx(100 * 3 * 2 / (12 * 2))
    assert reading.padding_pct == pytest.approx(100 * (1 - 71 / 96))
    meter.count_step([batch])
    now = 113.0
    assert meter.read().mfu_pct == pytest.approx(50)


def test_several_ranks_are_measured_against_all_their_devices(
    batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ranks, "sum", lambda self, values: values * 2)
    now = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    meter = Meter(Ranks(0, 2), flops=gene_flops(preset("nano")), peak=1e12)
    alone = Meter(Ranks(), flops=gene_flops(preset("nano")), peak=1e12)
    for each in (meter, alone):
        each.count_step([batch])
    now = 1.0
    together = meter.read().mfu_pct
    monkeypatch.setattr(Ranks, "sum", lambda self, values: values)
    assert together == pytest.approx(alone.read().mfu_pct)


@pytest.mark.parametrize("known", [{}, {"flops": gene_flops(preset("nano"))}, {"peak": 1e12}])
def test_without_shape_or_peak_there_is_no_utilisation(batch: Batch, known: Any) -> None:
    meter = Meter(Ranks(), **known)
    meter.count_step([batch])
    assert meter.read().mfu_pct is None


def test_the_peak_of_a_cpu_is_not_guessed() -> None:
    assert device_peak(torch.device("cpu"), "bf16") is None


def test_a_run_reports_its_utilisation_in_the_line_and_the_metrics_where_the_peak_is_known(
    toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "genet5")
    toy.trainer(
        toy.config(tmp_path / "unknown", max_steps=1), flops=gene_flops(preset("nano"))
    ).run()
    monkeypatch.setattr("genet5.train.loop.device_peak", lambda device, precision: 1e9)
    assert "| mfu" not in caplog.text
    toy.trainer(toy.config(tmp_path / "known", max_steps=1), flops=gene_flops(preset("nano"))).run()
    assert "| mfu" in caplog.text
    for name, is_reported in (("unknown", False), ("known", True)):
        (row,) = [
            row
            for row in map(json.loads, (tmp_path / name / "metrics.jsonl").read_text().splitlines())
            if row["kind"] == "train"
        ]
        assert (row.get("mfu_pct", 0) > 0) is is_reported
