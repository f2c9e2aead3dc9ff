"""A progress bar on a terminal, a line now and then elsewhere; both on stderr."""

from __future__ import annotations

import logging
import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

log = logging.getLogger(__name__)

_LINE_EVERY_S = 30.0


class BaseProgress:
    """Counts bases done; a context manager."""

    def __init__(self, total_bp: int) -> None:
        self._total = max(total_bp, 1)
        self.done_bp = 0
        self._started = self._last = time.monotonic()
        self._bar = _bar() if sys.stderr.isatty() else None
        self._task = (
            None
            if self._bar is None
            else self._bar.add_task("annotate", total=self._total, rate="")
        )

    def __enter__(self) -> BaseProgress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._started

    def add(self, bases: int) -> None:
        """Count bases."""
        self.done_bp += bases
        rate = self.done_bp / max(self.elapsed_s, 1e-9)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self.done_bp, rate=f"{rate / 1000:.1f} kbp/s")
        elif time.monotonic() - self._last > _LINE_EVERY_S:
            self._last = time.monotonic()
            left = (self._total - self.done_bp) / max(rate, 1e-9)
            log.info(
                "%.1f of %.1f Mbp (%.0f%%) | %.1f kbp/s | eta %dm%02ds",
                self.done_bp / 1e6,
                self._total / 1e6,
                100 * self.done_bp / self._total,
                rate / 1000,
                *divmod(int(left), 60),
            )


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
