"""SIGINT and SIGTERM."""

from __future__ import annotations

import os
import signal

import pytest

from genet5.train.stop_signals import StopSignals


def test_the_first_signal_asks_and_the_second_interrupts() -> None:
    before = signal.getsignal(signal.SIGINT)  # ignored in shells' background jobs
    with StopSignals() as signals:
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.is_stopping
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
