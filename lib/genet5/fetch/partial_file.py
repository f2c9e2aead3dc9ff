"""Files that are not complete yet: appended to, never through a link; errors of the disk."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import BinaryIO

from genet5.errors import DataError


def opened(part: Path, *, append: bool) -> BinaryIO:
    """Open a partial file for writing, but no symbolic link."""
    how = os.O_APPEND if append else os.O_TRUNC
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | how, 0o666)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise DataError(
            "a symbolic link", expected="a file of fetch's own", path=part, remedy="Remove it"
        ) from error
    return os.fdopen(handle, "ab" if append else "wb")


def disk_error(error: OSError, path: Path) -> DataError:
    """Return the error to raise when writing under `path` failed."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _disk_full(path)
    return DataError(f"cannot be written ({error.strerror or error})", path=path)


def _disk_full(path: Path) -> DataError:
    return DataError(
        "the disk is full", path=path,
        remedy="Free some space and run the same command again: it resumes",
    )  # fmt: skip


def check_space(part: Path, wanted: int) -> None:
    """Raise if the rest of the file does not fit on the disk."""
    if wanted > shutil.disk_usage(part.parent).free:
        raise _disk_full(part)


def size_of(path: Path) -> int:
    """Return the bytes of a file, 0 if there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
