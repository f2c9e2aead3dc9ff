"""Run another program: without a shell, to its end, with its last words where it fails."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from genet5.errors import ExternalToolError


def output_of(command: Sequence[str], folder: Path, *, remedy: str) -> str:
    r"""Run a program in a folder; return what it wrote to standard output.

    Args:
        command: The program's name on PATH, and its arguments.
        folder: Where it runs; names of files are relative to it.
        remedy: What the user can do if it fails, as a sentence.

    Raises:
        ExternalToolError: It ended with another exit code than 0; the text has its last line.

    Example:
        >>> output_of(["echo", "1", "2"], Path("/"), remedy="")
        '1 2\n'
    """
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        errors="replace", check=False,
    )  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ExternalToolError(
            f"{' '.join(command)} failed with exit code {done.returncode}: {last}. {remedy}"
        )
    return done.stdout
