"""Runs that are alive without progress."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from genet5.config.train import DurationConfig
from genet5.model.folders import list_checkpoints
from genet5.train.objective import Objective
from genet5.train.progress_watch import TIMES, ProgressWatch, StalledRunError


def test_the_usual_step_decides_how_long_is_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter([10.0, 12.0, 14.0, 100.0, 103.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    watch = ProgressWatch(tmp_path / "stacks", lambda: False, least_s=5.0, first_s=99.0)
    assert watch.limit_s == 99.0
    for _ in range(3):
        watch.mark_step()
    assert watch.limit_s == 2.0 * TIMES
    watch.mark()  # a validation; its time is no step's
    watch.mark_step()
    watch.mark_step()
    assert watch.limit_s == 2.0 * TIMES


def test_standing_still_is_reported_once_with_the_stacks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reported = threading.Event()
    watch = ProgressWatch(
        tmp_path / "stacks", lambda: reported.set() or False, least_s=0.0, first_s=0.05, look_s=0.01
    )
    with watch:
        assert reported.wait(20)
        time.sleep(0.1)
    assert caplog.text.count("no progress for") == 1
    assert "test_standing_still_is_reported_once" in (tmp_path / "stacks").read_text()


def test_a_run_that_hangs_in_a_step_is_ended_with_its_stacks(
    toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging, ended, reports = threading.Event(), threading.Event(), []

    def end(reason: str) -> None:  # called again and again; a busy machine is slow to hang
        if hanging.is_set():
            reports.append((reason, (tmp_path / "stacks-0.txt").read_text()))
        if len(reports) == 2:
            ended.set()

    def hang_in_a_kernel(output: Any, batch: Any) -> Any:
        hanging.set()
        assert ended.wait(20)
        return toy.sums(output, batch)

    monkeypatch.setattr("genet5.train.progress_watch.end_process", end)
    duration = DurationConfig(max_steps=1, stuck_after=10.0)
    config = replace(toy.config(tmp_path), duration=duration)
    trainer = toy.trainer(config, objective=Objective(hang_in_a_kernel, toy.counts))
    assert trainer._watch.limit_s == 300.0  # it reports at half of the time at the latest
    trainer._watch = ProgressWatch(trainer._stacks, lambda: False, 0.1, look_s=0.02)
    trainer.run()
    reason, stacks = reports[1]
    assert re.match(r"no progress for \d+ s: this process ends \(--stuck_after\)", reason)
    assert "hang_in_a_kernel" in stacks


class HangingSource:
    """Its third batch never comes; like a `DataLoader`, it looks now and then."""

    def __init__(self, source: Any, hang: Any = time.sleep) -> None:
        self._source, self._hang = source, hang

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def __len__(self) -> int:
        return len(self._source)

    def __iter__(self) -> Iterator[Any]:
        for number, batch in enumerate(self._source):
            while number == 3:
                self._hang(0.005)
            yield batch


def test_a_run_whose_data_stop_saves_its_last_step_and_ends(toy: Any, tmp_path: Path) -> None:
    trainer = toy.trainer(toy.config(tmp_path, grad_accum=2), source=HangingSource(toy.Source(6)))
    stacks, end_wait = trainer._stacks, trainer._signals.end_wait
    trainer._watch = ProgressWatch(stacks, end_wait, least_s=0.3, first_s=0.3, look_s=0.05)
    with pytest.raises(StalledRunError, match="no training data came after step 1"):
        trainer.run()
    (newest,) = list_checkpoints(tmp_path / "checkpoints")
    resumed = toy.trainer(toy.config(tmp_path, grad_accum=2))
    resumed.load(newest)
    assert (resumed.state.progress.step, resumed._source.step) == (1, 2)  # not the third batch


def test_a_signal_ends_a_wait_for_data(toy: Any, tmp_path: Path) -> None:
    asked: list[int] = []

    def hang(seconds: float) -> None:
        if not asked:
            asked.append(1)
            os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(seconds)

    trainer = toy.trainer(toy.config(tmp_path), source=HangingSource(toy.Source(6), hang))
    outcome = trainer.run()
    assert (outcome.reason, outcome.step) == ("interrupted", 3)
