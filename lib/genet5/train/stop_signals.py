"""SIGINT and SIGTERM as requests to stop: the loop finishes its step, saves and ends."""

from __future__ import annotations

import logging
import os
import signal
from types import FrameType, TracebackType
from typing import Any

log = logging.getLogger(__name__)


class StopSignals:
    """Catches SIGINT and SIGTERM while the block runs; a second SIGINT ends the program at once.

    When an error leaves the block after SIGTERM, the process ends at once, as SIGTERM asks:
    torchrun ends all ranks when one dies, and those that lost it need not find out why. Outside the
    main thread it catches nothing: whoever runs us there handles signals.
    """

    def __init__(self) -> None:
        self.is_stopping = False
        """Whether a signal came."""
        self._is_terminated = False
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
        if self._is_terminated and isinstance(error, Exception):
            log.error("SIGTERM, then %s: %s", type(error).__name__, str(error).partition("\n")[0])
            logging.shutdown()
            os.kill(os.getpid(), signal.SIGTERM)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._owner:  # a worker that makes batches: it goes when the run goes
            return
        if self.is_stopping and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.is_stopping = True
        self._is_terminated |= number == signal.SIGTERM
        log.warning("%s: finishing the step, then saving", signal.Signals(number).name)
