"""Progress of long tasks on stderr: a bar on a terminal, a line now and then elsewhere.

`TaskProgress` is the base of the others; `CountProgress` counts things, `BaseProgress` bases,
`DownloadProgress` bytes.

Example:
    >>> with CountProgress("windows") as progress:
    ...     progress.show("baking", 3, 10)
"""

from __future__ import annotations

import logging
import sys
import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

log = logging.getLogger(__name__)

_LINE_EVERY_S = 30.0


class TaskProgress:
    """Base of the displays of one task; a context manager.

    Args:
        name: Text before the bar.
        columns: Texts after the bar, before the remaining time.
        total: Size of the task; None if not known yet.
        fields: Initial values of the fields that `columns` show.
    """

    def __init__(
        self, name: str, *columns: ProgressColumn, total: float | None = None, **fields: Any
    ) -> None:
        self._last = time.monotonic()
        self._bar: Progress | None = None
        if sys.stderr.isatty() and log.isEnabledFor(logging.INFO):
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                *columns,
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self._task = self._bar.add_task(name, total=total, **fields)

    def __enter__(self) -> Self:
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

    def _show(self, done: float, total: float | None, line: str, **fields: Any) -> None:
        """Move the bar, or log the line if the last one was long ago."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total, **fields)
        elif time.monotonic() - self._last > _LINE_EVERY_S:
            self._last = time.monotonic()
            log.info("%s", line)


class CountProgress(TaskProgress):
    """Counts the finished items of a stage; a context manager.

    Args:
        unit: What is counted, as a plural.
    """

    def __init__(self, unit: str) -> None:
        super().__init__("", MofNCompleteColumn())
        self._unit = unit

    def show(self, stage: str, done: int, total: int) -> None:
        """Report that `done` of the stage's `total` items are finished."""
        line = f"{stage} | {done:,}/{total:,} {self._unit} ({100 * done / total:.1f}%)"
        self._show(done, total, line, description=stage)


class BaseProgress(TaskProgress):
    """Counts finished bases, and contigs and genes as they are written; a context manager.

    Args:
        total_bp: Bases in all.
        total_contigs: Contigs in all.
    """

    def __init__(self, total_bp: int, total_contigs: int = 1) -> None:
        self._total, self._total_contigs = max(total_bp, 1), total_contigs
        rate = TextColumn("{task.fields[rate]}")
        super().__init__("annotate", TaskProgressColumn(), rate, total=self._total, rate="")
        self.done_bp = 0
        self._contigs = self._genes = 0
        self._started = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def add(self, bases: int) -> None:
        """Count bases."""
        self.done_bp += bases
        per_s = self.done_bp / max(self.elapsed_s, 1e-9)
        minutes, seconds = divmod(int((self._total - self.done_bp) / max(per_s, 1e-9)), 60)
        rate = f"{per_s / 1e6:.2f} Mbp/s" if per_s >= 1e6 else f"{per_s / 1000:.1f} kbp/s"
        rate += self._written
        line = (
            f"{self.done_bp / 1e6:.1f} of {self._total / 1e6:.1f} Mbp"
            f" ({100 * self.done_bp / self._total:.0f}%) | {rate} | eta {minutes}m{seconds:02d}s"
        )
        self._show(self.done_bp, self._total, line, rate=rate)

    def add_contig(self, genes: int) -> None:
        """Count a contig that is written, and its genes."""
        self._contigs += 1
        self._genes += genes

    @property
    def _written(self) -> str:
        """What is written, once anything is."""
        if not self._contigs:
            return ""
        return f" | {self._contigs:,} of {self._total_contigs:,} contigs, {self._genes:,} genes"


class DownloadProgress(TaskProgress):
    """Shows one download; a context manager, and a `Meter`."""

    def __init__(self, name: str) -> None:
        super().__init__(name, DownloadColumn(), TransferSpeedColumn())
        self._name = name

    def at(self, done: int, total: int | None) -> None:
        """Report the bytes that have arrived, and those of the whole file if known."""
        of = f" of {total / 1e6:.1f}" if total else ""
        self._show(done, total, f"{self._name}: {done / 1e6:.1f}{of} MB")
