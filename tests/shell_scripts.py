"""Shell scripts, called with a PATH of chosen programs."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path


def add_program(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def call(
    script: Path,
    *arguments: str,
    path: Path | None = None,
    cwd: Path | None = None,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    search = {"PATH": str(path)} if path else {}
    return subprocess.run(
        [str(script), *arguments],
        env={**os.environ, **search, **environment},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def value_of(arguments: list[str], flag: str) -> str:
    return arguments[arguments.index(flag) + 1]
