"""Start the processes of one run on this machine: what torchrun does, for `annotate --processes N`.

Each process is the same command with rank and address in its environment (`workers`). The run ends
as one: when a process fails or is killed, the others are ended and the reason is given; processes
whose launcher is killed end by themselves within a second.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import genet5
from genet5.cores import threads_of_each
from genet5.errors import RankError

_LAUNCHER = "GENET5_LAUNCHER"
_POLL_S = 0.1
_GRACE_S = 5.0
"""Time to remove temporary files after an interrupt."""


def run_processes(words: Sequence[str], count: int) -> int:
    """Run `genet5 annotate` as several processes; return the exit code.

    Args:
        words: Arguments after the command.
        count: Number of processes; they share the cores evenly.

    Raises:
        RankError: A process was killed, or one other than the first failed.
    """
    port, processes = _free_port(), list[subprocess.Popen[bytes]]()
    try:
        for number in range(count):
            processes.append(_start(words, number, count, port))
        return _wait(processes)
    finally:
        _end(processes)


def follow_launcher() -> None:
    """End this process when the one that launched it is gone; without one, do nothing."""
    launcher = os.environ.get(_LAUNCHER)
    if launcher is None:
        return

    def watch() -> None:
        while os.getppid() == int(launcher):
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, name="launcher", daemon=True).start()


def _start(words: Sequence[str], number: int, count: int, port: int) -> subprocess.Popen[bytes]:
    library = str(Path(genet5.__file__).parents[1])
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": threads_of_each(count),
        "PYTHONPATH": os.pathsep.join(filter(None, [library, os.environ.get("PYTHONPATH")])),
        "RANK": str(number),
        "LOCAL_RANK": str(number),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        _LAUNCHER: str(os.getpid()),
    }
    command = [sys.executable, "-m", "genet5", "annotate", *words]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL if number else None, env=environment)


def _wait(processes: Sequence[subprocess.Popen[bytes]]) -> int:
    """Wait until all have ended well, or one has not."""
    while True:
        codes = [process.poll() for process in processes]
        for number, code in enumerate(codes):
            if code is not None and code < 0:
                name = signal.Signals(-code).name
                raise RankError(
                    f"process {number} of {len(codes)} was killed ({name}). Run the same command"
                    " again: it resumes",
                    number,
                )
            if code and number == 0:
                return code
            if code:
                raise RankError(f"process {number} of {len(codes)} failed, see above", number)
        if None not in codes:
            return 0
        time.sleep(_POLL_S)


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """End all that are left."""
    deadline = time.monotonic() + _GRACE_S
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(deadline - time.monotonic(), 0))
        if process.poll() is None:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
