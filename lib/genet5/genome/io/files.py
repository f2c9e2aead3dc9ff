"""Open input files whatever their compression, and write output files all or nothing.

Compression is told by the first bytes, never by the name (bgzip is gzip). Output goes to a temporary file beside the
target and is renamed at the end, so that a killed run leaves no half file; the path `-` is standard input or output.
A name that ends in `.gz` is written as gzip without a time stamp: the same content gives the same bytes.

Example:
    with atomic_writer(Path("genes.gff3.gz")) as out:
        write_gff3(out, genes, lengths)
"""

from __future__ import annotations

import codecs
import errno
import gzip
import io
import os
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, Literal, TextIO, cast, overload

from genet5.errors import DataError

_BLOCK_BYTES = 1 << 17
_MOST_IN_MEMORY = 32 << 20
"""An unpacked copy of more bytes goes to the disk."""
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
    is_stdin = str(path) == "-"
    raw = cast("io.BufferedReader", sys.stdin.buffer) if is_stdin else _open_raw(path)
    head = raw.peek(6)[:6]
    if head.startswith(_GZIP):
        if is_stdin:
            return cast("BinaryIO", gzip.GzipFile(fileobj=raw))
        raw.close()
        return cast("BinaryIO", gzip.open(path, "rb"))
    for magic, name in _OTHER_COMPRESSION.items():
        if head.startswith(magic):
            raw.close()
            raise DataError(
                f"a {name} file", expected="plain text, gzip or bgzip", path=path,
                remedy="Decompress it first",
            )  # fmt: skip
    return raw


def open_text(path: Path) -> TextIO:
    """Open a plain, gzip or bgzip text file; lines may end in LF, CRLF or CR, and a byte order mark is dropped.

    Bytes that are no UTF-8 become U+FFFD: they occur in free text only, and must not stop a run.

    Raises:
        DataError: There is no such file, or it is compressed in another way.
    """
    return io.TextIOWrapper(open_binary(path), encoding="utf-8-sig", errors="replace")


@contextmanager
def open_seekable(path: Path) -> Iterator[BinaryIO]:
    """Open a text file as bytes that can be read in any order, UTF-8 with LF line ends, as `open_text` would give it.

    A plain file in that form is read in place. Else (compressed, standard input, CRLF, byte order mark, other bytes) a copy
    is made: in memory if it is small, or in a temporary file (TMPDIR) that vanishes.

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
        with open_text(path) as text:
            while block := text.read(_BLOCK_BYTES):
                copy.write(block.encode())
        copy.seek(0)
    except BaseException as error:
        copy.close()
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(
                f"no room in {tempfile.gettempdir()} for an unpacked copy",
                path=path, remedy="Set TMPDIR to a folder with more room",
            ) from error  # fmt: skip
        raise
    return cast("BinaryIO", copy)


@contextmanager
def damage_as_data_error(path: Path) -> Iterator[None]:
    """Turn the errors of a damaged compressed file or a failing disk into a `DataError` that names the file."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"damaged gzip file ({error})", path=path, remedy="Fetch or compress it again"
        ) from error
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror or error})", path=path) from error


@overload
@contextmanager
def atomic_writer(path: Path, *, binary: Literal[False] = False) -> Iterator[TextIO]: ...
@overload
@contextmanager
def atomic_writer(path: Path, *, binary: Literal[True]) -> Iterator[BinaryIO]: ...
@contextmanager
def atomic_writer(path: Path, *, binary: bool = False) -> Iterator[IO[str] | IO[bytes]]:
    """Write a file that appears under its name only when the block ends without an error.

    Args:
        path: The target; `-` is standard output, and a name in `.gz` is compressed.
        binary: Write bytes instead of UTF-8 text with LF line ends.
    """
    if str(path) == "-":
        yield sys.stdout.buffer if binary else sys.stdout
        (sys.stdout.buffer if binary else sys.stdout).flush()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with scratch.open("wb") as raw:
            yield from _layers(raw, compress=path.suffix == ".gz", binary=binary)
            raw.flush()
            os.fsync(raw.fileno())
        os.replace(scratch, path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


def _layers(raw: BinaryIO, *, compress: bool, binary: bool) -> Iterator[IO[str] | IO[bytes]]:
    squeezed = gzip.GzipFile("", "wb", 6, raw, mtime=0) if compress else None
    body = cast("BinaryIO", squeezed or raw)
    text = None if binary else io.TextIOWrapper(body, encoding="utf-8", newline="\n")
    yield text or body
    if text is not None:
        text.flush()
        text.detach()
    if squeezed is not None:
        squeezed.close()


def _open_raw(path: Path) -> io.BufferedReader:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise DataError("file not found", path=path, remedy="Check the path") from None
    except OSError as error:
        raise DataError(f"cannot be opened ({error.strerror})", path=path) from error
