"""How far a download is: a bar on a terminal, a line now and then elsewhere; both on stderr."""

from __future__ import annotations

import logging
import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

log = logging.getLogger(__name__)

_LINE_EVERY_S = 30.0


class DownloadProgress:
    """Shows one download; a context manager, and a `Meter`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._last = time.monotonic()
        self._bar = _bar() if sys.stderr.isatty() else None
        self._task = None if self._bar is None else self._bar.add_task(name, total=None)

    def __enter__(self) -> DownloadProgress:
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

    def at(self, done: int, total: int | None) -> None:
        """So many bytes are there."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total)
        elif time.monotonic() - self._last > _LINE_EVERY_S:
            self._last = time.monotonic()
            of = f" of {total / 1e6:.1f}" if total else ""
            log.info("%s: %.1f%s MB", self._name, done / 1e6, of)


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
