"""How many bases of a genome are annotated, and how fast."""

from __future__ import annotations

import time

from rich.progress import TaskProgressColumn, TextColumn

from genet5.progress import TaskProgress


class BaseProgress(TaskProgress):
    """Counts bases done; a context manager."""

    def __init__(self, total_bp: int) -> None:
        self._total = max(total_bp, 1)
        rate = TextColumn("{task.fields[rate]}")
        super().__init__("annotate", TaskProgressColumn(), rate, total=self._total, rate="")
        self.done_bp = 0
        self._started = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._started

    def add(self, bases: int) -> None:
        """Count bases."""
        self.done_bp += bases
        rate = self.done_bp / max(self.elapsed_s, 1e-9)
        minutes, seconds = divmod(int((self._total - self.done_bp) / max(rate, 1e-9)), 60)
        line = (
            f"{self.done_bp / 1e6:.1f} of {self._total / 1e6:.1f} Mbp ({100 * self.done_bp / self._total:.0f}%)"
            f" | {rate / 1000:.1f} kbp/s | eta {minutes}m{seconds:02d}s"
        )
        self._show(self.done_bp, self._total, line, rate=f"{rate / 1000:.1f} kbp/s")
