"""Processes of one run on this machine: their environment, and how the run ends."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from typing import Any

import pytest

from genet5 import cores
from genet5.annotate import launch
from genet5.errors import RankError


class FakeProcess:
    """Has ended, or ends when it gets SIGINT, or only when it is killed."""

    def __init__(self, code: int | None = 0, *, deaf: bool = False) -> None:
        self.code, self.deaf = code, deaf
        self.got: list[str] = []

    def poll(self) -> int | None:
        return self.code

    def send_signal(self, number: int) -> None:
        self.got.append(signal.Signals(number).name)
        if not self.deaf:
            self.code = -number

    def wait(self, timeout: float | None = None) -> int:
        if self.code is None:
            raise subprocess.TimeoutExpired("annotate", timeout or 0)
        return self.code

    def kill(self) -> None:
        self.got.append("SIGKILL")
        self.code = -signal.SIGKILL


class Started(list[tuple[list[str], dict[str, Any]]]):
    """What was started: words and options."""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    found = Started()

    class Popen(FakeProcess):
        def __init__(self, command: Sequence[str], **options: Any) -> None:
            super().__init__(0)
            found.append((list(command), options))

        def __class_getitem__(cls, _: object) -> type:
            return cls

    monkeypatch.setattr(launch.subprocess, "Popen", Popen)
    return found


def test_processes_get_their_ranks_and_a_share_of_the_cores(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(cores, "usable_cores", lambda: 5)
    assert launch.run_processes(["g.fa", "-o", "x.gff3"], 2) == 0
    environments = [options["env"] for _, options in started]
    assert [each["RANK"] for each in environments] == ["0", "1"]
    assert {each["WORLD_SIZE"] for each in environments} == {"2"}
    assert {each["OMP_NUM_THREADS"] for each in environments} == {"2"}
    assert len({each["MASTER_PORT"] for each in environments}) == 1
    assert all(command[-4:] == ["annotate", "g.fa", "-o", "x.gff3"] for command, _ in started)


def test_only_the_first_process_reads_standard_input(started: Started) -> None:
    launch.run_processes(["-"], 2)
    assert [options["stdin"] for _, options in started] == [None, subprocess.DEVNULL]


def test_the_first_process_decides_the_exit_code() -> None:
    assert launch._wait([FakeProcess(0), FakeProcess(0)]) == 0
    assert launch._wait([FakeProcess(2), FakeProcess(None)]) == 2


def test_a_process_that_fails_or_is_killed_is_named() -> None:
    with pytest.raises(RankError, match="process 1 of 2 failed, see above"):
        launch._wait([FakeProcess(None), FakeProcess(1)])
    with pytest.raises(RankError, match=r"process 1 of 2 was killed \(SIGKILL\).* it resumes"):
        launch._wait([FakeProcess(None), FakeProcess(-signal.SIGKILL)])


def test_the_run_lasts_as_long_as_any_process(monkeypatch: pytest.MonkeyPatch) -> None:
    last = FakeProcess(None)
    monkeypatch.setattr(launch.time, "sleep", lambda _: setattr(last, "code", 0))
    assert launch._wait([FakeProcess(0), last]) == 0


def test_what_is_left_is_interrupted_and_what_does_not_end_is_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(launch, "_GRACE_S", 0.0)
    ended, polite, deaf = FakeProcess(0), FakeProcess(None), FakeProcess(None, deaf=True)
    launch._end([ended, polite, deaf])  # type: ignore[list-item]
    assert (ended.got, polite.got, deaf.got) == ([], ["SIGINT"], ["SIGINT", "SIGKILL"])


def test_processes_end_when_one_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    first = FakeProcess(None)

    def start(words: Sequence[str], number: int, count: int, port: int) -> FakeProcess:
        if number:
            raise OSError("no memory")
        return first

    monkeypatch.setattr(launch, "_start", start)
    with pytest.raises(OSError, match="no memory"):
        launch.run_processes([], 2)
    assert first.got == ["SIGINT"]


def test_a_process_without_a_launcher_watches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GENET5_LAUNCHER", raising=False)
    monkeypatch.setattr(launch.threading, "Thread", None)
    launch.follow_launcher()


def test_a_process_ends_with_its_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    parents, codes = iter([41, 41, 1]), []

    class Now:
        """A thread that runs at once."""

        def __init__(self, target: Any, **_: Any) -> None:
            self.start = target

    monkeypatch.setenv("GENET5_LAUNCHER", "41")
    monkeypatch.setattr(launch.threading, "Thread", Now)
    monkeypatch.setattr(launch.time, "sleep", lambda _: None)
    monkeypatch.setattr(os, "getppid", lambda: next(parents))
    monkeypatch.setattr(os, "_exit", codes.append)
    launch.follow_launcher()
    assert codes == [1]
