"""A Python that has imported torch already: a command is a fork of it in place of a new start.

To import torch and the trainer takes longer than most runs in the tests. `warm_python` gives the
path of an executable that takes a script, `-m MODULE` or `-c CODE`, and arguments, as the
interpreter does; recipes and torchrun take it for one. Signals that it gets reach the command's
process group, SIGKILL reaches the command; it ends as the command does. The server is an
interpreter of its own (`warm_python`), or a fork of this one (`forked_python`), which a worker of
pytest-xdist makes before it has imported any test: so both share the imports.
"""

from __future__ import annotations

import atexit
import ctypes
import faulthandler
import gc
import importlib
import marshal
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

import numpy as np

MODULES = (
    "genet5.annotate.adapt.strand",
    "genet5.annotate.annotator",
    "genet5.cli.finet",
    "genet5.train.run",
    "pandas",
    "torch._dynamo",
    "torch.distributed.launcher.api",
)
FORWARDED = [1, 2, 10, 12, 15]
"""HUP, INT, USR1, USR2, TERM."""
CLONE_NEWNET = 0x40000000
"""sched.h"""

# What stands for the interpreter, with a process id that a test can kill.
CLIENT = """#!{python} -IS
import marshal, os, signal, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
request = marshal.dumps((sys.argv[1:], os.getcwd(), dict(os.environ)))
network = os.open("/proc/self/ns/net", os.O_RDONLY)
socket.send_fds(server, [len(request).to_bytes(4, "little")], [0, 1, 2, network])
server.sendall(request)
for number in {forwarded}:
    signal.signal(number, lambda number, _: server.sendall(bytes([number])))
code = int(server.recv(16) or 1)
if code < 0:
    if code != -signal.SIGKILL:
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


@contextmanager
def warm_python(folder: Path) -> Iterator[str]:
    """Start the server, give the executable's path; in the end all commands are killed."""
    address = folder / "socket"
    with subprocess.Popen(
        [sys.executable, __file__, str(address)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "OMP_NUM_THREADS": "1",
            "OMP_WAIT_POLICY": "passive",
        },
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        yield write_client(folder, address)
        server.stdin.close()


@contextmanager
def forked_python(folder: Path) -> Iterator[str]:
    """The same with a fork of this process as the server; torch is imported here, too."""
    address = folder / "socket"
    import_modules()
    ours, theirs = socket.socketpair()
    if (pid := os.fork()) == 0:
        ours.close()
        forget_the_parent(theirs)
        leave(serve(address, partial(theirs.sendall, b"ready")))
    theirs.close()
    with ours:
        assert ours.recv(5) == b"ready"
        yield write_client(folder, address)
    os.waitpid(pid, 0)


def forget_the_parent(control: socket.socket) -> None:
    """Give a fork of pytest an interpreter's own streams and hooks; it ends when `control` does."""
    os.dup2(control.fileno(), 0)
    faulthandler.disable()
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        stream = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    sys.stderr.reconfigure(line_buffering=True, errors="backslashreplace")
    sys.excepthook, sys.unraisablehook = sys.__excepthook__, sys.__unraisablehook__
    threading.excepthook = threading.__excepthook__


def write_client(folder: Path, address: Path) -> str:
    """Write the executable."""
    client = folder / "python"
    text = CLIENT.format(python=sys.executable, address=str(address), forwarded=FORWARDED)
    client.write_text(text, encoding="utf-8")
    client.chmod(0o755)
    return str(client)


@dataclass
class Command:
    """What a client wants to be run; its standard streams and its network namespace."""

    words: list[str]
    folder: str
    environment: dict[str, str]
    streams: list[int]
    network: int

    @staticmethod
    def receive(client: socket.socket) -> Command | None:
        """Return what a client asks for; None if it was killed before it had asked."""
        length, handles, _, _ = socket.recv_fds(client, 4, 4)
        size = int.from_bytes(length, "little")
        with client.makefile("rb") as lines:
            request = lines.read(size)
        if not request or len(request) < size:
            for handle in handles:
                os.close(handle)
            return None
        *streams, network = handles
        return Command(*marshal.loads(request), streams, network)

    def run(self) -> int:
        """Become the command; return its exit code."""
        for number, stream in enumerate(self.streams):
            os.dup2(stream, number)
            os.close(stream)
        if not os.path.samestat(os.fstat(self.network), Path("/proc/self/ns/net").stat()):
            assert ctypes.CDLL(None).setns(self.network, CLONE_NEWNET) == 0
        os.close(self.network)
        os.chdir(self.folder)
        os.environ.clear()
        os.environ.update(self.environment)
        sys.path[:0] = self.environment.get("PYTHONPATH", "").split(os.pathsep)
        if threads := self.environment.get("OMP_NUM_THREADS"):  # read when torch was imported
            sys.modules["torch"].set_num_threads(int(threads))
        try:
            self._interpret()
        except SystemExit as end:
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
                return 1
            return end.code or 0
        except BaseException:
            traceback.print_exc()
            return 1
        return 0

    def _interpret(self) -> None:
        words = self.words[1:] if self.words[0] == "-u" else self.words
        if words[0] == "-m":
            sys.argv = words[1:]
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        elif words[0] == "-c":
            sys.argv = ["-c", *words[2:]]
            exec(compile(words[1], "<string>", "exec"), {"__name__": "__main__"})
        else:
            sys.argv = words
            sys.path.insert(0, str(Path(words[0]).resolve().parent))
            runpy.run_path(words[0], run_name="__main__")


class Server:
    """Forks a process for each connection and sends its exit code there."""

    def __init__(self, address: str) -> None:
        self.selector = selectors.DefaultSelector()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(address)
        self.listener.listen()
        self.selector.register(self.listener, selectors.EVENT_READ, self.start)
        self.clients: dict[int, socket.socket] = {}

    def serve(self) -> Command | None:
        """Serve until standard input ends; return in the process of each command."""
        self.selector.register(0, selectors.EVENT_READ, None)
        while True:
            for key, _ in self.selector.select():
                if key.data is None:
                    for pid in self.clients:
                        os.killpg(pid, signal.SIGKILL)
                    return None
                if (command := key.data()) is not None:
                    return command

    def start(self) -> Command | None:
        client, _ = self.listener.accept()
        command = Command.receive(client)
        if command is None:
            client.close()
            return None
        if pid := os.fork():
            for stream in (*command.streams, command.network):
                os.close(stream)
            self.clients[pid] = client
            handle = os.pidfd_open(pid)
            self.selector.register(client, selectors.EVENT_READ, partial(self.forward, pid))
            self.selector.register(handle, selectors.EVENT_READ, partial(self.end, pid, handle))
            return None
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for key in [*self.selector.get_map().values()]:
            if key.data is not None:
                os.close(key.fd) if isinstance(key.fileobj, int) else key.fileobj.close()
        self.selector.close()
        client.close()
        return command

    def forward(self, pid: int) -> None:
        """Pass a client's signals on; a client that was killed takes its command along."""
        client = self.clients.get(pid)
        if client is None:  # the command has ended in the same round
            return
        numbers = client.recv(16)
        if not numbers:
            self.selector.unregister(client)
            os.kill(pid, signal.SIGKILL)
        for number in numbers:
            with suppress(ProcessLookupError):
                os.killpg(pid, number)

    def end(self, pid: int, handle: int) -> None:
        """Send the exit code of a command that has ended."""
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        self.selector.unregister(handle)
        os.close(handle)
        client = self.clients.pop(pid)
        with suppress(KeyError):  # forward() has done it
            self.selector.unregister(client)
        with suppress(OSError):  # nobody waits any more
            client.sendall(str(code).encode())
        client.close()


def import_modules() -> None:
    """Import what commands take long to import; numba's own parts come with a first call."""
    for name in MODULES:
        importlib.import_module(name)
    strand = sys.modules["genet5.annotate.adapt.strand"]
    strand.ContigReader(np.frombuffer(b"ATGTAA" * 9, dtype=np.uint8), 11, ("ATG",)).strands(0, 54)


def serve(address: Path, ready: Callable[[], object]) -> int:
    """Be the server until its end; in the process of a command, return that one's exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()  # a collection would write into pages that all processes share
    gc.enable()  # a worker of pytest-xdist has it off while it imports
    server = Server(str(address))
    ready()
    if (command := server.serve()) is None:
        os._exit(0)
    return command.run()


def leave(code: int) -> NoReturn:
    """End as Python does, without taking torch apart, which takes half a second."""
    threading._shutdown()
    atexit._run_exitfuncs()
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    import_modules()
    leave(serve(Path(sys.argv[1]), partial(print, "ready", flush=True)))
