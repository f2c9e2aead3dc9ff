"""SIGINT and SIGTERM as requests to stop: the loop finishes its step, saves and ends.

A wait for data, which may never end, is left at once.
"""

from __future__ import annotations

import logging
import os
import signal
from _thread import interrupt_main
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

log = logging.getLogger(__name__)


class WaitEndedError(Exception):
    """A signal, or who watches the run, has ended a wait for data."""


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
        self._is_waiting = self._is_wait_over = False
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

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Let a signal end the block.

        Raises:
            WaitEndedError: One came, or has come before, or `end_wait` was called.
        """
        self._is_waiting = True
        try:
            if self.is_stopping:
                raise WaitEndedError
            yield
        finally:
            self._is_waiting = False

    def end_wait(self) -> bool:
        """End a wait from another thread; False if there is none, or nothing that ends it."""
        if not (self._is_waiting and self._before):
            return False
        self._is_wait_over = True
        interrupt_main(signal.SIGTERM)  # runs our handler in the main thread; no process gets it
        return True

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._owner:  # a worker that makes batches: it goes when the run goes
            return
        if self._is_wait_over:
            self._is_wait_over = False
            if self._is_waiting:
                raise WaitEndedError
            return
        if self.is_stopping and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.is_stopping = True
        self._is_terminated |= number == signal.SIGTERM
        log.warning("%s: finishing the step, then saving", signal.Signals(number).name)
        if self._is_waiting:
            raise WaitEndedError
