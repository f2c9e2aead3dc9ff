"""Open input files, whatever their compression, from files, pipes and standard input.

Compression is recognised by the first bytes, never by the name (bgzip is gzip); the path `-` is
standard input. What can be read only once (a pipe, a FIFO, standard input) is copied to a
temporary file by `spooled` where a command reads its input several times. A gzip file may grow
to 512 MiB, and beyond that to 200 times its size: genomes grow 3 to 5 times, annotations 10 to 30
times, a file made to fill memory or disk 1,000 times. The command line's `--unpack_all`, or
GENET5_UNPACK_ALL=1 in the environment, lifts the bound.

Example:
    >>> path = Path(tempfile.mkdtemp(), "misleading_name.txt")
    >>> _ = path.write_bytes(gzip.compress(b"one line"))
    >>> with open_text(path) as lines:
    ...     list(lines)
    ['one line']
"""

from __future__ import annotations

import codecs
import errno
import gzip
import io
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TextIO, cast

from genet5.errors import ConfigError, DataError
from genet5.outputs import STANDARD_STREAM, descriptor_of, follow_links, is_stream

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BLOCK_BYTES = 1 << 17
_MOST_IN_MEMORY = 32 << 20
"""An unpacked copy of more bytes goes to the disk."""
UNPACK_ALL = "GENET5_UNPACK_ALL"
"""Environment variable, so that processes inherit it."""
_FREE_BYTES = 512 << 20
"""A contig of 500 million N is 0.5 MB of gzip."""
_MOST_TIMES = 200
_GZIP = b"\x1f\x8b"
_OTHER_COMPRESSION = {
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"PK\x03\x04": "zip",
    b"\x28\xb5\x2f\xfd": "zstd",
}


def open_binary(path: Path) -> BinaryIO:
    """Open a plain, gzip or bgzip file for reading bytes; `-` is standard input.

    Raises:
        DataError: There is no such file, or it is compressed in another way.
    """
    raw = _open_raw(path)
    head = raw.peek(6)[:6]
    if head.startswith(_GZIP):
        return cast("BinaryIO", _Gunzipped(raw, path))
    for magic, name in _OTHER_COMPRESSION.items():
        if head.startswith(magic):
            raw.close()
            raise DataError(
                f"a {name} file", expected="plain text, gzip or bgzip", path=path,
                remedy="Decompress it first",
            )  # fmt: skip
    return raw


def open_text(path: Path) -> TextIO:
    """Open a plain, gzip or bgzip text file; lines may end in LF, CRLF or CR.

    A byte order mark is dropped; one of UTF-16 (spreadsheets write it) decides the encoding. Bytes
    that are no UTF-8 become U+FFFD: they occur in free text only, and must not stop a run.

    Raises:
        DataError: There is no such file, or it is compressed in another way.
    """
    raw = open_binary(path)
    head = cast("io.BufferedReader", raw).peek(2)[:2]
    is_utf_16 = head in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    return io.TextIOWrapper(raw, encoding="utf-16" if is_utf_16 else "utf-8-sig", errors="replace")


@contextmanager
def open_seekable(path: Path) -> Iterator[BinaryIO]:
    """Open a text file as seekable bytes: UTF-8 with LF line ends, as `open_text` would give it.

    A plain file in that form is read in place. Else (compressed, standard input, a pipe, CRLF, byte
    order mark, other bytes) a copy is made: in memory if it is small, or in a temporary file
    (TMPDIR) that is removed.

    Raises:
        DataError: As `open_text`; or the file is damaged, or there is no room for the copy.
    """
    with damage_as_data_error(path):
        file = path.open("rb", _BLOCK_BYTES) if _is_plain(path) else _unpacked(path)
    with file:
        yield file


def _is_plain(path: Path) -> bool:
    """Whether a regular file is uncompressed UTF-8 without byte order mark and carriage returns."""
    if not path.is_file():  # standard input, a pipe, or nothing
        return False
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb", buffering=0) as file:
        block = file.read(_BLOCK_BYTES)
        if block.startswith((_GZIP, codecs.BOM_UTF8, *_OTHER_COMPRESSION)):
            return False
        while block:
            if b"\r" in block:
                return False
            try:
                decoder.decode(block)
            except UnicodeDecodeError:
                return False
            block = file.read(_BLOCK_BYTES)
    return not decoder.getstate()[0]


def _unpacked(path: Path) -> BinaryIO:
    copy = tempfile.SpooledTemporaryFile(_MOST_IN_MEMORY)  # noqa: SIM115 - the caller closes it
    try:
        with room_for_copy(path), open_text(path) as text:
            while block := text.read(_BLOCK_BYTES):
                copy.write(block.encode())
        copy.seek(0)
    except BaseException:
        copy.close()
        raise
    return cast("BinaryIO", copy)


@contextmanager
def spooled(path: Path) -> Iterator[Path]:
    """Give the path of a file that can be read several times: a copy of standard input or a pipe.

    A regular file is given as it is. The copy is removed at the end; a `DataError` that passes
    through names the original path.

    Raises:
        DataError: The input cannot be read, or there is no room for the copy.
    """
    if not is_stream(path):
        yield path
        return
    with tempfile.NamedTemporaryFile(prefix="genet5_", suffix=path.suffix) as copy:
        with damage_as_data_error(path), room_for_copy(path), _open_raw(path) as source:
            shutil.copyfileobj(source, copy, _BLOCK_BYTES)
            copy.flush()
        try:
            yield Path(copy.name)
        except DataError as error:
            if error.path is not None and Path(error.path) == Path(copy.name):
                error.path = path
            raise


def check_inputs(inputs: Mapping[str, Path | None], *, once: bool = True) -> None:
    """Raise if an input is missing, or is a stream that cannot serve; reads nothing.

    Args:
        inputs: Flag or metavariable -> path; None where it is not given.
        once: Each input is read once, so that a stream will do, unless it is given twice.

    Raises:
        ConfigError: A stream is given twice, or one is given where a file is read several times.
        DataError: There is no such file, or it is a folder.
    """
    streams: dict[object, str] = {}
    for field, path in inputs.items():
        if path is None:
            continue
        if not is_stream(path):
            _check_is_file(path)
            continue
        if not once:
            rule = "is a pipe or device, but is read more than once; give a file"
            raise ConfigError(field, str(path), rule)
        key = STANDARD_STREAM if _is_standard_input(path) else os.path.realpath(path)
        if key in streams:
            rule = f"is {streams[key]} as well, but can be read only once; give files"
            raise ConfigError(field, str(path), rule)
        streams[key] = field


def _check_is_file(path: Path) -> None:
    if path.is_dir():
        raise DataError("a folder", expected="a file", path=path, remedy="Check the path")
    if not path.exists():
        raise _not_found(path)


@contextmanager
def damage_as_data_error(path: Path) -> Iterator[None]:
    """Turn errors of a damaged compressed file or a failing disk into a `DataError` with a path."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"damaged gzip file ({error})", path=path, remedy="Download or compress it again"
        ) from error
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror or error})", path=path) from error


@contextmanager
def room_for_copy(path: Path) -> Iterator[None]:
    """Turn the error of a full disk into a `DataError` that names TMPDIR."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DataError(
            f"no room in {tempfile.gettempdir()} for a copy", path=path,
            remedy="Set TMPDIR to a folder with more room",
        ) from error  # fmt: skip


class _Gunzipped(io.BufferedReader):
    """Decompresses an open file, and closes it; damage is an error that names the file."""

    def __init__(self, raw: io.BufferedReader, path: Path) -> None:
        super().__init__(_Inflated(raw, path), _BLOCK_BYTES)
        self._file = raw

    def close(self) -> None:
        super().close()
        self._file.close()


class _Counted:
    """Counts the bytes that are read of a file."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file, self.num_bytes = file, 0

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.num_bytes += len(data)
        return data


class _Inflated(io.RawIOBase):
    """The content of a gzip file, as long as it grows within the bound."""

    def __init__(self, packed: io.BufferedReader, path: Path) -> None:
        super().__init__()
        self._packed, self._path, self._num_bytes = _Counted(packed), path, 0
        self._body = gzip.GzipFile(fileobj=cast("BinaryIO", self._packed), mode="rb")
        self._is_bound = not os.environ.get(UNPACK_ALL)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        with damage_as_data_error(self._path):
            count = self._body.readinto(buffer)
        self._num_bytes += count
        if self._is_bound and self._num_bytes > _FREE_BYTES:
            self._check_growth()
        return count

    def _check_growth(self) -> None:
        if self._num_bytes > _MOST_TIMES * self._packed.num_bytes:
            raise DataError(
                f"a gzip file that grows over {_MOST_TIMES} times: {self._num_bytes >> 20:,} MiB"
                f" from {self._packed.num_bytes / 2**20:,.1f} MiB",
                path=self._path,
                remedy=f"If that is right, add --unpack_all (in Python, set {UNPACK_ALL}=1)",
            )


def _is_standard_input(path: Path) -> bool:
    return path == STANDARD_STREAM or descriptor_of(follow_links(path)) == 0


def _open_raw(path: Path) -> io.BufferedReader:
    if _is_standard_input(path):
        return cast("io.BufferedReader", sys.stdin.buffer)
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise _not_found(path) from None
    except OSError as error:
        raise DataError(f"cannot be opened ({error.strerror})", path=path) from error


def _not_found(path: Path) -> DataError:
    return DataError("file not found", path=path, remedy="Check the path")
