"""The journal of a run: what was found in each window, so that a killed run can resume.

JSON lines beside the output file: a header that names genome, model and settings by a hash, then
one line per window as it was decoded. All that follows decoding is cheap and deterministic, so
nothing else is kept. A torn last line is ignored.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from genet5.decode.fragment import GeneFragment

log = logging.getLogger(__name__)

WindowKey = tuple[int, int, int]
"""Index of the contig, strand pass (0 forward, 1 reverse complement), index of the window."""

FORMAT = 2
"""Version of the lines; a journal of another version belongs to another run."""
_SAMPLE_BYTES = 1 << 20


class Journal:
    """Windows of earlier runs, and the file that gets those of this one."""

    def __init__(self, path: Path, run_key: str, *, restart: bool = False) -> None:
        self._path, self._key = path, run_key
        self.known: dict[WindowKey, list[Any]] = {} if restart else self._load()
        self._out: TextIO = (
            path.open("a", encoding="utf-8") if self.known else path.open("w", encoding="utf-8")
        )
        if not self.known:
            self._write({"run": run_key})

    def fragments(self, key: WindowKey) -> list[GeneFragment] | None:
        """Return what an earlier run found in a window; None if it did not get there."""
        values = self.known.get(key)
        return None if values is None else [GeneFragment.from_json(v) for v in values]

    def add(self, key: WindowKey, fragments: Sequence[GeneFragment]) -> None:
        """Keep a window."""
        self._write([*key, [fragment.to_json() for fragment in fragments]])

    def flush(self) -> None:
        """Hand all to the operating system."""
        self._out.flush()

    def close(self, *, remove: bool) -> None:
        """Close the file; `remove` it when the run is done."""
        self._out.close()
        if remove:
            self._path.unlink(missing_ok=True)

    def _write(self, value: object) -> None:
        self._out.write(json.dumps(value, separators=(",", ":")) + "\n")

    def _load(self) -> dict[WindowKey, list[Any]]:
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
        except FileNotFoundError:
            return {}
        rows = [json.loads(line) for line in lines if line.endswith("\n")]
        if not rows or rows[0] != {"run": self._key}:
            log.info("%s belongs to another run: starting anew", self._path)
            return {}
        if len(rows) < len(lines):
            self._path.write_text("".join(lines[:-1]), encoding="utf-8")
        if len(rows) > 1:
            log.info("resuming: %d windows are decoded already (%s)", len(rows) - 1, self._path)
        return {(row[0], row[1], row[2]): row[3] for row in rows[1:]}


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
