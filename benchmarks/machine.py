"""What all benchmarks share and needs no torch.

A record of where they ran, and what a command costs.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from genet5 import __version__
from genet5.errors import ExternalToolError

ROOT = Path(__file__).resolve().parents[1]

_WATCH = """
import json, os, subprocess, sys, time
begin = time.perf_counter()
with open(sys.argv[1], "wb") as output:
    process = subprocess.Popen(sys.argv[2:], stdout=output)
_, status, usage = os.wait4(process.pid, 0)
wall_s = time.perf_counter() - begin
cpu_s = usage.ru_utime + usage.ru_stime
print(json.dumps([os.waitstatus_to_exitcode(status), wall_s, cpu_s, usage.ru_maxrss]))
"""
"""A small process that starts the command.

A child's peak memory counts that of its parent at the start.
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a command took, start-up and files included."""

    wall_s: float
    cpu_s: float
    """Processor time of all cores together."""
    peak_mib: float
    """Peak resident size of its largest process."""


def run_measured(
    command: Iterable[str | Path], env: Mapping[str, str] | None = None
) -> tuple[Cost, str]:
    """Run a command; return what it took, and its standard output.

    Args:
        command: Program and arguments.
        env: Environment variables to set besides those of this process.

    Raises:
        ExternalToolError: It failed; with the end of its messages.
    """
    words = [str(word) for word in command]
    with tempfile.NamedTemporaryFile() as output:
        watch = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _WATCH, output.name, *words],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env={**os.environ, **(env or {})},
        )
        text = output.read().decode("utf-8", "replace")
    if watch.returncode:  # the command could not be started
        raise ExternalToolError(f"{' '.join(words)}: {watch.stderr[-2000:]}")
    code, wall_s, cpu_s, peak = json.loads(watch.stdout)
    if code:
        raise ExternalToolError(f"{' '.join(words)}: exit {code}: {(text + watch.stderr)[-2000:]}")
    return Cost(wall_s, cpu_s, peak / (1024 if sys.platform == "linux" else 1 << 20)), text


def environment(*packages: str) -> dict[str, Any]:
    """Return what a result file records about the machine, the code and the load at the start.

    Args:
        packages: Python packages whose versions matter besides our own.
    """
    versions: dict[str, str | None] = {"genet5": __version__, "python": platform.python_version()}
    return {
        "date": today(),
        "device": processor(),
        "commit": commit(),
        "versions": versions | {name: _version(name) for name in packages},
        "load_average_1_min": round(os.getloadavg()[0], 2),
    }


def work_ms(row: Mapping[str, Any]) -> float:
    """Return a timed row's processor time where it was taken (CPU), else its wall time."""
    return float(row.get("cpu_ms", row.get("median_ms")))


def today() -> str:
    """Return the date in UTC."""
    return datetime.datetime.now(tz=datetime.UTC).date().isoformat()


def result_path(what: str, device: str = "cpu") -> Path:
    """Return benchmarks/results/DATE_DEVICE_WHAT.json."""
    return ROOT / "benchmarks" / "results" / f"{today()}_{device}_{what}.json"


def processor() -> str:
    """Return the processor's name and the number of cores that may be used."""
    name, info = platform.processor() or platform.machine(), Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text(encoding="utf-8").splitlines()
        models = [line for line in lines if line.startswith("model name")]
        name = models[0].partition(":")[2].strip() if models else name
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cores} cores"


def commit() -> str:
    """Return the checkout's commit, marked when files have changed since; empty outside git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    except FileNotFoundError:
        return ""
    return answer.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
