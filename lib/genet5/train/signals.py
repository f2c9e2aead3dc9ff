"""SIGINT and SIGTERM as a wish to stop: the loop finishes its step, saves and ends."""

from __future__ import annotations

import logging
import os
import signal
from types import FrameType, TracebackType
from typing import Any

log = logging.getLogger(__name__)


class StopSignals:
    """Catches SIGINT and SIGTERM while the block runs; a second SIGINT ends the program at once.

    Outside the main thread it catches nothing: whoever runs us there handles signals.
    """

    def __init__(self) -> None:
        self.is_stopping = False
        """Whether a signal came."""
        self._owner = os.getpid()
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopSignals:
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._stop)
        except ValueError:
            self._before = {}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._owner:  # a worker that makes batches: it goes when the run goes
            return
        if self.is_stopping and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.is_stopping = True
        log.warning("%s: finishing the step, then saving", signal.Signals(number).name)
