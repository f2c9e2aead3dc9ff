"""The help of executables, each run in a fork of one Python that has the parser imported.

To start Python and import the parser takes longer than what a command adds, and there are many
commands. `python help_pages.py EXECUTABLE ...` prints a JSON object for each: code, output, errors
and the processor time of its process.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import sys
import tempfile
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class HelpPage:
    """What `EXECUTABLE --help` printed, and how it ended."""

    code: int
    stdout: str
    stderr: str
    processor_s: float


def print_help(executable: str) -> HelpPage:
    """Run `EXECUTABLE --help` in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("stdout", "stderr")]
        if (pid := os.fork()) == 0:
            for number, path in enumerate(files, 1):
                os.dup2(os.open(path, os.O_CREAT | os.O_WRONLY), number)
            code = run_help(executable)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)  # the folder is the parent's
        _, status, used = os.wait4(pid, 0)
        texts = [path.read_text(encoding="utf-8") for path in files]
    return HelpPage(os.waitstatus_to_exitcode(status), *texts, used.ru_utime + used.ru_stime)


def run_help(executable: str) -> int:
    """Run `EXECUTABLE --help` in this process; return its exit code."""
    sys.argv = [executable, "--help"]
    sys.path.insert(0, str(Path(executable).parent))
    try:
        runpy.run_path(executable, run_name="__main__")
    except SystemExit as end:
        return int(end.code or 0)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    importlib.import_module("tyro")
    for word in sys.argv[1:]:
        page = print_help(word)
        print(json.dumps(asdict(page)), flush=True)
