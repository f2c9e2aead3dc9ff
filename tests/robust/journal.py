"""The journal of `annotate`, damaged: each window is as it was, or is decoded again."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genet5.annotate.journal import Journal
from genet5.decode.window_found import WindowFound

NUM_WINDOWS = 12


@dataclass(frozen=True)
class JournalTarget:
    """A journal that is damaged between two runs."""

    name: str
    change: Callable[[bytes, random.Random], bytes]

    def run(self, seeds: Path, folder: Path, draw: random.Random) -> str:
        """Write, damage, open again, judge."""
        path = folder / "genes.gff3.progress"
        windows = [_window(number) for number in range(NUM_WINDOWS)]
        _write(path, windows)
        path.write_bytes(self.change(path.read_bytes(), draw))
        resumed = Journal(path, "run")
        try:
            for number, window in enumerate(windows):
                if resumed.knows(number) and resumed.found(number).to_json() != window.to_json():
                    return f"window {number} is another"
                resumed.add(number, window)
            if any(
                resumed.found(number).to_json() != window.to_json()
                for number, window in enumerate(windows)
            ):
                return "a window that was decoded again is lost"
        finally:
            resumed.close(remove=False)
        return ""


def _window(number: int) -> WindowFound:
    rng = np.random.default_rng(number)
    return WindowFound((), rng.integers(0, 101, (2, 5, 60), dtype=np.uint8))


def _write(path: Path, windows: list[WindowFound]) -> None:
    journal = Journal(path, "run")
    for number, window in enumerate(windows):
        journal.add(number, window)
    journal.close(remove=False)
