"""Output files: checked before the work begins, written all or nothing.

A file goes to a temporary name beside its target, `TARGET.genet5.tmp`, and is renamed at the end,
so that a killed run leaves no half file; its temporary file is taken over by the next writer of the
target, as the lock on it has gone. A symbolic link is followed and kept: its target is replaced.
Devices, FIFOs and open descriptors (`/dev/null`, `>(command)`, `/dev/stdout`) are written to
directly and never replaced, and `-` is standard output. A name that ends in `.gz` is written as
gzip without a time stamp: the same content gives the same bytes.

Example:
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "genes.txt")
    >>> check_outputs({"output": path, "proteins": None})
    >>> with atomic_writer(path) as out:
    ...     _ = out.write("gene_1")
    >>> path.read_text()
    'gene_1'
"""

from __future__ import annotations

import fcntl
import gzip
import io
import os
import re
import stat
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, Literal, TextIO, cast, overload

from genet5.errors import ConfigError, DataError
from genet5.locks import lock_file

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BASE_COLORS = {"A": "#2a9d4a", "C": "#2a6f97", "G": "#d99a1c", "T": "#c0392b"}
"""Of the letters of sequence logos."""

STANDARD_STREAM = Path("-")
"""Standard input where a file is read, standard output where one is written."""

_DESCRIPTOR_NAMES = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
_DESCRIPTOR = re.compile(r"/(?:dev|proc/(?:self|\d+))/fd/(\d+)")
_MOST_LINKS = 40


def descriptor_of(path: Path) -> int | None:
    """Return the open descriptor that a name stands for (`/dev/stdout`, `/dev/fd/63`), or None.

    Example:
        >>> descriptor_of(Path("/dev/stdout")), descriptor_of(Path("genes.gff3"))
        (1, None)
    """
    name = str(path)
    found = _DESCRIPTOR.fullmatch(name)
    return int(found[1]) if found else _DESCRIPTOR_NAMES.get(name)


def is_standard_output(path: Path | None) -> bool:
    """Whether an output goes to standard output, by `-` or by a device's name."""
    return path is not None and (path == STANDARD_STREAM or descriptor_of(follow_links(path)) == 1)


def is_stream(path: Path) -> bool:
    """Whether a path is no regular file that can be read or written twice, but a pipe or device."""
    target = follow_links(path)
    if path == STANDARD_STREAM or descriptor_of(target) is not None:
        return True
    return target.exists() and not target.is_file() and not target.is_dir()


def follow_links(path: Path) -> Path:
    """Follow symbolic links in a path's last part, up to the name of an open descriptor."""
    for _ in range(_MOST_LINKS):
        if descriptor_of(path) is not None or not path.is_symlink():
            return path
        path = path.parent / path.readlink()
    raise DataError("too many symbolic links", path=path)


def check_outputs(
    outputs: Mapping[str, Path | None], inputs: Mapping[str, Path | None] | None = None
) -> None:
    """Raise unless each output can be written and is a file of its own; writes nothing.

    Args:
        outputs: Flag or metavariable -> path; None where the output is not wanted.
        inputs: The same of files that are read: no output may replace one of them.

    Raises:
        ConfigError: A path is a folder, cannot be written, or is named twice.
    """
    seen: dict[object, str] = {}
    for field, path in (inputs or {}).items():
        if path is not None and path != STANDARD_STREAM:
            seen.setdefault(_identity(path), field)
    for field, path in outputs.items():
        if path is None:
            continue
        _check_writable(field, path)
        key = _identity(path)
        if key is not None and key in seen:
            rule = f"is the same file as {seen[key]}; name another one"
            raise ConfigError(field, str(path), rule)
        seen[key] = field


def check_folder(field: str, path: Path) -> None:
    """Raise unless a folder for outputs is there and can be written, or can be made.

    Raises:
        ConfigError: It cannot.
    """
    if path.exists() and not path.is_dir():
        raise ConfigError(field, str(path), "must be a folder")
    _check_can_create(field, path, path)


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

    Raises:
        DataError: The file cannot be written.
    """
    if is_standard_output(path):
        out = sys.stdout.buffer if binary else sys.stdout
        yield out
        out.flush()
        return
    with _opened(path) as raw, _layers(raw, compress=path.suffix == ".gz", binary=binary) as body:
        yield body


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a descriptor, device or FIFO as it is; else a temporary file that takes the name."""
    target = follow_links(path)
    descriptor = descriptor_of(target)
    if descriptor is not None or (target.exists() and not target.is_file()):
        opened = target if descriptor is None else os.dup(descriptor)
        with _Output.buffered(opened, path) as raw:
            yield raw
        return
    scratch = _Scratch(target, path)
    with _Output.buffered(scratch.handle, path) as raw, scratch:
        yield raw
        raw.flush()
        os.fsync(raw.fileno())
        scratch.publish()


class _Scratch:
    """The temporary file of a target, locked while it is written.

    A killed writer's file has no lock any more: the next writer of the target takes it over. Where
    another one is at work, or the file system knows no locks, the file gets a name of its own.

    Args:
        target: What it becomes.
        path: The output's name for messages.
    """

    def __init__(self, target: Path, path: Path) -> None:
        self._target = target
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            self.handle, self._file = _lock(target)
            os.truncate(self.handle, 0)
        except OSError as error:
            raise _unwritable(path, error) from error

    def __enter__(self) -> _Scratch:
        return self

    def publish(self) -> None:
        """Give the file its target's name; it must happen before its handle is closed."""
        os.replace(self._file, self._target)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            with suppress(OSError):
                self._file.unlink()


def _lock(target: Path) -> tuple[int, Path]:
    """Open a temporary file that no other process writes."""
    shared = target.with_name(f"{target.name}.genet5.tmp")
    try:
        handle = lock_file(shared)
    except OSError:  # another user's, or a file system without locks
        handle = None
    if handle is not None:
        return handle, shared
    own = target.with_name(f"{target.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    handle = os.open(own, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    with suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return handle, own


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files of earlier writers of an output that were killed.

    One that is locked belongs to a writer at work, and stays.
    """
    target = follow_links(path)
    name = re.compile(re.escape(target.name) + r"(\.genet5|(\.\d+)+)\.tmp")
    if not is_stream(path) and target.parent.is_dir():
        for file in target.parent.iterdir():
            if name.fullmatch(file.name) and not _is_locked(file):
                file.unlink(missing_ok=True)


def _is_locked(file: Path) -> bool:
    try:
        handle = os.open(file, os.O_RDWR)
    except OSError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(handle)
    return False


class _Output(io.FileIO):
    """An unbuffered file whose errors name the output."""

    def __init__(self, file: Path | int, path: Path) -> None:
        super().__init__(file, "wb")
        self._path = path

    @classmethod
    def buffered(cls, file: Path | int, path: Path) -> BinaryIO:
        try:
            return cast("BinaryIO", io.BufferedWriter(cls(file, path)))
        except OSError as error:
            raise _unwritable(path, error) from error

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:  # its reader has left: the command ends without a message
            raise
        except OSError as error:
            raise _unwritable(self._path, error) from error


def _unwritable(path: Path, error: OSError) -> DataError:
    return DataError(f"cannot be written ({error.strerror or error})", path=path)


@contextmanager
def _layers(raw: BinaryIO, *, compress: bool, binary: bool) -> Iterator[IO[str] | IO[bytes]]:
    """Put compression and text over an open file; finish both, and leave the file open."""
    with ExitStack() as stack:
        body: IO[bytes] = raw
        if compress:
            body = cast("IO[bytes]", gzip.GzipFile("", "wb", 6, raw, mtime=0))
            stack.callback(body.close)
        if binary:
            yield body
            return
        text = io.TextIOWrapper(cast("BinaryIO", body), encoding="utf-8", newline="\n")
        stack.callback(text.detach)  # flushes; the layers below close themselves
        yield text


def _check_writable(field: str, path: Path) -> None:
    target = follow_links(path)
    descriptor = descriptor_of(target)
    if path == STANDARD_STREAM:
        return
    try:
        if descriptor is not None:
            os.fstat(descriptor)
            return
        if target.is_dir():
            raise ConfigError(field, str(path), "is a folder; name a file")
        if target.exists() and not os.access(target, os.W_OK):
            raise ConfigError(field, str(path), "cannot be written: Permission denied")
    except OSError as error:
        raise ConfigError(field, str(path), f"cannot be written: {error.strerror}") from None
    if not target.exists() or target.is_file():
        _check_can_create(field, path, target.parent)


def _check_can_create(field: str, path: Path, folder: Path) -> None:
    """Make and remove a nameless file in a folder, or in what is there of the way to it."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        rule = f"cannot be written: {folder}: {error.strerror}"
        raise ConfigError(field, str(path), rule) from None


def _identity(path: Path) -> object:
    """What two names of one file have in common; None for a device, which may be named twice."""
    if is_standard_output(path):
        return STANDARD_STREAM
    try:
        found = path.stat()
    except OSError:
        return os.path.realpath(path)
    return None if stat.S_ISCHR(found.st_mode) else (found.st_dev, found.st_ino)


def svg_element(figure: Figure) -> str:
    """Return a matplotlib figure as an SVG element for a page; equal figures give equal texts."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :]


def draw_letter(axes: Axes, base: str, middle: float, bottom: float, height: float) -> None:
    """Draw a base of a sequence logo, filling a box of width 0.9; the axes' limits stay.

    Args:
        axes: Where.
        base: A, C, G or T.
        middle: Of the box, along x.
        bottom: Of the box.
        height: Of the box.
    """
    from matplotlib.patches import PathPatch
    from matplotlib.textpath import TextPath
    from matplotlib.transforms import Affine2D

    outline = TextPath((0, 0), base, size=1)
    box = outline.get_extents()
    moved = Affine2D().translate(-box.x0, -box.y0)
    placed = moved.scale(0.9 / box.width, height / box.height).translate(middle - 0.45, bottom)
    letter = PathPatch(outline.transformed(placed), facecolor=BASE_COLORS[base], linewidth=0)
    letter.set_in_layout(False)  # the axes have their limits: nothing needs to be measured
    axes.add_artist(letter)
