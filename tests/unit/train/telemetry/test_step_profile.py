"""`finet --profile`: a trace and a table of some steps."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch

from genet5.train.telemetry.step_profile import StepProfiler


def run(folder: Path, steps: int) -> None:
    with StepProfiler(folder, steps=2) as profiler:
        for _ in range(steps):
            torch.ones(4, 4) @ torch.ones(4, 4)
            profiler.step()


def test_a_profile_is_a_trace_and_a_table(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "genet5")
    run(tmp_path / "profile", steps=6)
    trace = json.loads((tmp_path / "profile" / "trace.json").read_text())
    products = [each for each in trace["traceEvents"] if each.get("name") == "aten::matmul"]
    assert len(products) == 2
    assert "aten::mm" in (tmp_path / "profile" / "table.txt").read_text()
    assert caplog.text.count("profile of 2 steps") == 1


def test_a_profile_that_cannot_be_written_does_not_end_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "profile").write_text("a file")
    run(tmp_path / "profile", steps=6)
    assert "no profile could be written" in caplog.text
