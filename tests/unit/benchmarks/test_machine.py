"""What a command costs, and what a result file records about the machine."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from machine import ROOT, environment, result_path, run_measured
from measure import device_label

from genet5.errors import ExternalToolError


def test_a_command_costs_time_and_its_output_comes_back() -> None:
    cost, text = run_measured([sys.executable, "-c", "print('done')"])
    assert text == "done\n"
    assert cost.wall_s > 0
    assert cost.cpu_s > 0


@pytest.mark.slow
def test_peak_memory_is_the_commands_own_whatever_we_hold_ourselves() -> None:
    held = np.ones(25_000_000)  # 200 MB
    small, _ = run_measured([sys.executable, "-S", "-c", "pass"])
    large, _ = run_measured([sys.executable, "-S", "-c", "b'x' * (100 << 20)"])
    assert held.all()
    assert 1 < small.peak_mib < 50
    assert large.peak_mib - small.peak_mib == pytest.approx(100, abs=5)


def test_variables_are_set_for_the_command_alone() -> None:
    show = [
        sys.executable,
        "-c",
        "import os; print(os.environ.get('BENCH_PROBE'), 'PATH' in os.environ)",
    ]
    assert run_measured(show, {"BENCH_PROBE": "1"})[1] == "1 True\n"
    assert run_measured(show)[1] == "None True\n"


def test_a_failed_command_is_an_error_with_its_last_words() -> None:
    with pytest.raises(ExternalToolError, match="exit 3: no parameters"):
        run_measured([sys.executable, "-c", "import sys; print('no parameters'); sys.exit(3)"])
    with pytest.raises(ExternalToolError, match="no-such-program"):
        run_measured(["no-such-program"])


def test_a_record_names_machine_code_and_versions() -> None:
    found = environment("numpy", "no-such-package")
    assert found["versions"]["numpy"] == np.__version__
    assert found["versions"]["no-such-package"] is None
    assert found["device"].endswith("cores")
    where = ROOT / "benchmarks" / "results"
    assert result_path("x", "h100") == where / f"{found['date']}_h100_x.json"


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA A100-SXM4-80GB", "a100"),
        ("NVIDIA GeForce RTX 4090", "4090"),
    ],
)
def test_result_files_name_a_gpu_shortly(name: str, label: str) -> None:
    assert device_label(name) == label
