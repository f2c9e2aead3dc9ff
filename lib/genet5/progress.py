"""How far a long task is: a bar on a terminal, a line now and then elsewhere; both on stderr.

Example:
    class Counter(TaskProgress):
        def at(self, done: int, total: int) -> None:
            self._show(done, total, f"{done} of {total}")
"""

from __future__ import annotations

import logging
import sys
import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

log = logging.getLogger(__name__)

_LINE_EVERY_S = 30.0


class TaskProgress:
    """Base of what shows one task; a context manager.

    Args:
        name: What the bar says before itself.
        columns: What it says behind itself, before the time that is left.
        total: Size of the task; None = not known yet.
        fields: First values of what `columns` name.
    """

    def __init__(
        self, name: str, *columns: ProgressColumn, total: float | None = None, **fields: Any
    ) -> None:
        self._last = time.monotonic()
        self._bar: Progress | None = None
        if sys.stderr.isatty():
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
