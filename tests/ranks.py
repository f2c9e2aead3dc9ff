"""Several processes as ranks of one run, with what torchrun puts into the environment."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

# Imports a script and becomes its ranks.
_FORK = """
import importlib, os, sys, traceback
name, size = sys.argv[1], int(sys.argv[2])
main, children = importlib.import_module(name).main, []
for rank in range(size):
    if pid := os.fork():
        children.append(pid)
        continue
    code = 1
    try:
        os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank))
        main(*sys.argv[3:])
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
sys.exit(f"exit codes {codes}" if any(codes) else 0)
"""

PATIENCE_S = 240


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def run_ranks(python: str, world_size: int, script: Path, *arguments: object) -> None:
    """Run `main` of a script as that many ranks on one thread each; all must succeed.

    Args:
        python: The interpreter; `warm.py` has one that starts fast.
        world_size: The number of ranks.
        script: It takes the arguments.
        arguments: Words, by `str`.
    """
    shared = {
        **os.environ,
        "WORLD_SIZE": str(world_size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(script.parent), *sys.path]),
    }
    command = [python, "-c", _FORK, script.stem, str(world_size), *map(str, arguments)]
    with subprocess.Popen(
        command,
        env=shared,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            text = process.communicate(timeout=PATIENCE_S)[0]
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, text
