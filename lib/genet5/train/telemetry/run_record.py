"""`run.json`: what ran, with which settings, where and when."""

from __future__ import annotations

import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import genet5
from genet5.config.json_files import load_json, save_json

PACKAGES = ("torch", "numpy", "safetensors", "pyarrow", "transformers")


def start_record(path: Path, settings: dict[str, Any], *, device: str, world_size: int) -> None:
    """Write `run.json` at a run's start; the parts before a resume stay listed under "earlier"."""
    earlier: list[Any] = []
    if path.exists():
        before = load_json(path)
        earlier = [*before.pop("earlier", []), before]
    save_json(
        path,
        {
            "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
            "settings": settings,
            "genet5": genet5.__version__,
            "commit": _commit(),
            "python": platform.python_version(),
            "packages": {name: _version(name) for name in PACKAGES},
            "host": platform.node(),
            "platform": platform.platform(),
            "device": _device_name(device),
            "threads": torch.get_num_threads(),
            "world_size": world_size,
            "started": _now(),
            "ended": None,
            "earlier": earlier,
        },
    )


def end_record(path: Path, outcome: dict[str, Any]) -> None:
    """Add the end and the outcome."""
    save_json(path, {**load_json(path), "ended": _now(), "outcome": outcome})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _device_name(device: str) -> str:
    if device.startswith("cuda"):
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return device


def _commit() -> str | None:
    """Return the commit of the checkout that this package lies in; None when it was installed."""
    root = Path(genet5.__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:  # no git on this machine, which is no reason to end a run
        return None
    return done.stdout.strip() or None
