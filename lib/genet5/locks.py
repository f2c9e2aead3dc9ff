"""Locks on files and folders; the system ends them with the process that holds them.

Whoever holds a folder leaves its process id, start and host in `FOLDER/.genet5.lock`, so that a
refusal can name it. A child may keep the lock of a parent that was killed, for the seconds
until it notices: a lock whose owner is dead is taken over. Where the file system knows no locks, as
some network file systems, the named owner counts while it lives, on its own host.

Example:
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp(), "run")
    >>> with locked_folder(folder):
    ...     with locked_folder(folder):
    ...         pass
    Traceback (most recent call last):
    ...
    genet5.locks.FolderInUseError: ... in use by pid ...
    >>> folder.exists()
    False
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from genet5.errors import GeneT5Error

LOCK_FILE = ".genet5.lock"
"""In a folder that is held: who holds it."""
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class FolderInUseError(GeneT5Error):
    """Another process holds the folder.

    Args:
        folder: The folder.
        owner: Who holds it, as a phrase.
    """

    def __init__(self, folder: Path, owner: str) -> None:
        super().__init__(folder, owner)
        self.folder, self.owner = folder, owner

    def __str__(self) -> str:
        return f"{self.folder}: in use by {self.owner}; wait for its end, or name another folder"


@dataclass(frozen=True, slots=True)
class Owner:
    """A process."""

    pid: int
    started: str
    """When, in the system's ticks: process ids are used again."""
    host: str

    @classmethod
    def this_process(cls) -> Owner:
        """Return this process."""
        return cls(os.getpid(), process_start(os.getpid()), socket.gethostname())

    @property
    def is_dead(self) -> bool:
        """Whether it is known to have ended; of other hosts nothing is known."""
        if self.host != socket.gethostname():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:  # another user's
            return False
        return process_start(self.pid) != self.started

    def __str__(self) -> str:
        return f"pid {self.pid} on {self.host}"


def process_start(pid: int) -> str:
    """Return what distinguishes a process from others of its id; "?" where there is no /proc."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return "?"
    return text.rpartition(")")[2].split()[19]


def lock_file(path: Path) -> int | None:
    """Open a file, which is made if it is not there, and lock it; return its descriptor.

    None while another process holds it.

    Raises:
        OSError: It cannot be opened, or its file system knows no locks.
    """
    while True:
        handle = os.open(path, _FLAGS, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        except OSError:
            os.close(handle)
            raise
        if _is_of_name(handle, path):
            return handle
        os.close(handle)  # renamed or removed by its owner since it was opened


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Hold a folder while the block runs; folders that were made for it go again if still empty.

    Raises:
        FolderInUseError: Another process holds it.
        OSError: It cannot be made or written.
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK_FILE
    try:
        handle = _take(path)
        try:
            _write_owner(handle)
            yield
        finally:
            path.unlink(missing_ok=True)
            os.close(handle)
    finally:
        with suppress(OSError):  # not empty
            for each in missing:
                each.rmdir()


def _take(path: Path) -> int:
    """Open and lock a folder's file, from a dead owner if there is one."""
    while True:
        try:
            handle = lock_file(path)
            has_locks = True
        except OSError:
            handle, has_locks = os.open(path, _FLAGS, 0o666), False
        owner = _read_owner(path)
        if handle is not None and (has_locks or owner is None or owner.is_dead):
            return handle
        if handle is not None:
            os.close(handle)
        if owner is None or not owner.is_dead:
            raise FolderInUseError(path.parent, str(owner or "another process"))
        path.unlink(missing_ok=True)


def _write_owner(handle: int) -> None:
    os.truncate(handle, 0)
    os.pwrite(handle, json.dumps(asdict(Owner.this_process())).encode(), 0)


def _read_owner(path: Path) -> Owner | None:
    try:
        return Owner(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):  # being written, or not of this version
        return None


def _is_of_name(handle: int, path: Path) -> bool:
    """Whether an open file is the one that has this name now."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
