"""The journal of a run: what was found in each window, so that a killed run can resume.

Lines beside the output file, each with a checksum (CRC-32): a header that names genome, model and
settings by a hash, then one record per window as it was decoded. All that follows decoding is cheap
and deterministic, so nothing else is kept. A torn last line is cut off, and a damaged one is passed
over, with a warning: its window is decoded again. The checksums begin from the run's hash, so that
a record of another run is none. Memory holds the place of each record, 8 bytes, not its content.

    3f2a90c1 {"run":"..."}
    9b1d33e0 [0,[["protein_coding",1,...]]]
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import zlib
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from genet5.decode.window_found import WindowFound

log = logging.getLogger(__name__)

FORMAT = 4
"""Version of the lines and of how windows are read; another version's journal is another run's."""
_SAMPLE_BYTES = 1 << 20
_UNKNOWN = -1


class Journal:
    """Windows of earlier runs, and the file that gets those of this one.

    Windows are named by their number in the order of the run.

    Args:
        path: The file.
        run_key: Names the run; a journal of another one is replaced.
        restart: Replace the file in any case.
    """

    def __init__(self, path: Path, run_key: str, *, restart: bool = False) -> None:
        self._path, self._seed = path, zlib.crc32(run_key.encode())
        self._places = array("q")
        self.num_known = 0
        """Windows of earlier runs."""
        self.is_resumed = not restart and self._load()
        """Whether an earlier run of the same kind had begun."""
        self._file = path.open("r+b" if self.is_resumed else "w+b")
        self._end = self._file.seek(0, 2)
        if not self.is_resumed:
            self._write({"run": run_key})

    def knows(self, number: int) -> bool:
        """Whether a window was decoded already."""
        return number < len(self._places) and self._places[number] != _UNKNOWN

    def knows_all(self, numbers: Iterable[int]) -> bool:
        """Whether all of some windows were decoded already."""
        return all(self.knows(number) for number in numbers)

    def found(self, number: int) -> WindowFound:
        """Return what was found in a window that is known."""
        self._file.seek(self._places[number])
        return WindowFound.from_json(self._value(self._file.readline())[1:])

    def add(self, number: int, found: WindowFound) -> None:
        """Keep a window."""
        self._file.seek(self._end)
        self._note(number, self._end)
        self._write([number, *found.to_json()])

    def flush(self) -> None:
        """Hand all to the operating system."""
        self._file.flush()

    def close(self, *, remove: bool) -> None:
        """Close the file; `remove` it when the run is done."""
        self._file.close()
        if remove:
            self._path.unlink(missing_ok=True)

    def _write(self, value: object) -> None:
        text = json.dumps(value, separators=(",", ":")).encode()
        self._end += self._file.write(b"%08x %s\n" % (zlib.crc32(text, self._seed), text))

    def _value(self, line: bytes) -> Any:
        """Return what a line holds; None if it is not as this run wrote it."""
        checksum, _, text = line[:-1].partition(b" ")
        is_whole = line.endswith(b"\n") and checksum == b"%08x" % zlib.crc32(text, self._seed)
        return json.loads(text) if is_whole else None

    def _note(self, number: int, place: int) -> None:
        missing = number + 1 - len(self._places)
        self._places.extend([_UNKNOWN] * missing)
        self._places[number] = place

    def _load(self) -> bool:
        """Note where the records lie; return whether there is any line of this run."""
        if not self._path.exists():
            return False
        good = damaged = end = 0
        for place, line in _lines(self._path):
            value = self._value(line)
            good += value is not None
            damaged += value is None and line.endswith(b"\n")
            end = place + len(line) if line.endswith(b"\n") else place
            if isinstance(value, list):
                self.num_known += not self.knows(value[0])
                self._note(value[0], place)
        if not good:
            log.info("%s belongs to another run: starting anew", self._path)
            return False
        os.truncate(self._path, end)
        self._report(damaged)
        return True

    def _report(self, damaged: int) -> None:
        if self.num_known:
            log.info("resuming: %d windows are decoded already (%s)", self.num_known, self._path)
        if damaged:
            log.warning(
                "%d records of %s are damaged: their windows are decoded again",
                damaged, self._path,
            )  # fmt: skip


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file, each with its place."""
    place = 0
    with path.open("rb") as file:
        for line in file:
            yield place, line
            place += len(line)


def run_key(**facts: object) -> str:
    """Hash of everything that decides what is found in windows."""
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def file_stamp(path: Path) -> str:
    """Hash of a file's size, beginning and end: its version, without reading all of it."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(_SAMPLE_BYTES)
        stream.seek(max(0, size - _SAMPLE_BYTES))
        tail = stream.read(_SAMPLE_BYTES)
    return hashlib.sha256(b"%d:" % size + head + tail).hexdigest()
