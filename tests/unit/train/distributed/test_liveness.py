"""When a rank dies or fails, the others end soon and log why; a clean end alarms nobody."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch.distributed as dist

from genet5.errors import CheckpointError, ConfigError, RankError
from genet5.train.distributed.liveness import Looks, watch_ranks
from genet5.train.distributed.peer_errors import may_come_from_a_peer, remedy
from genet5.train.distributed.rendezvous import enter_attempt, open_attempt, run_store

WORKER = Path(__file__).with_name("watch_worker.py")
HOST = socket.gethostname()
LIMIT_S = 3.0
"""As in the worker."""
SOON_S = 60.0
"""Far above the limit: the machine may be busy; far below torch's timeout in the worker."""


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}


class Scene:
    """A toy run: its ranks' process ids, logs and exit codes."""

    def __init__(self, nursery: subprocess.Popen[str], name: str, size: int, logs: Path) -> None:
        self.logs, self.size = logs, size
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        assert nursery.stdin is not None
        self.nursery = nursery
        nursery.stdin.write(f"{name} {size} {port} {logs}\n")
        nursery.stdin.flush()
        self.pids: list[int] = self.answer()

    def answer(self) -> Any:
        assert self.nursery.stdout is not None
        return json.loads(self.nursery.stdout.readline())

    def log(self, rank: int) -> str:
        path = self.logs / str(rank)
        return path.read_text() if path.exists() else ""

    def hit(self, rank: int, number: signal.Signals) -> None:
        """Send a signal to a rank once all are in the block."""
        end = time.monotonic() + SOON_S
        while not all("ready" in self.log(r) for r in range(self.size)):
            assert time.monotonic() < end, [self.log(r) for r in range(self.size)]
            time.sleep(0.02)
        os.kill(self.pids[rank], number)


@pytest.fixture(scope="module")
def nursery(python: str) -> Iterator[subprocess.Popen[str]]:
    command = [python, str(WORKER)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
    ) as process:
        yield process
        process.kill()


@pytest.mark.slow
def test_a_killed_rank_ends_those_that_wait_for_it_and_those_that_do_not(
    nursery: subprocess.Popen[str], tmp_path: Path
) -> None:
    scene = Scene(nursery, "wait_for_victim", 3, tmp_path)
    scene.hit(2, signal.SIGKILL)
    before = time.monotonic()
    assert scene.answer() == [1, 1, -signal.SIGKILL]
    assert time.monotonic() - before < SOON_S
    line = f"rank 2 on host {HOST} has not been heard of for"
    assert line in scene.log(0)  # its main thread slept all the time
    assert f"RankError: {line}" in scene.log(1)  # its main thread got it from gloo
    assert "--resume" in scene.log(0)


@pytest.mark.slow
def test_a_stopped_rank_ends_the_others(nursery: subprocess.Popen[str], tmp_path: Path) -> None:
    scene = Scene(nursery, "wait_for_victim", 2, tmp_path)
    scene.hit(1, signal.SIGSTOP)
    before = time.monotonic()
    while "not been heard of" not in scene.log(0):
        assert time.monotonic() - before < SOON_S, scene.log(0)
        time.sleep(0.02)
    assert time.monotonic() - before > LIMIT_S / 2
    assert f"rank 1 on host {HOST} has not been heard of for {LIMIT_S:.0f} s" in scene.log(0)
    os.kill(scene.pids[1], signal.SIGCONT)
    assert scene.answer() == [1, 1]  # awake again, it learns that the run is over


@pytest.mark.slow
def test_ranks_that_live_without_progress_end_themselves(
    nursery: subprocess.Popen[str], tmp_path: Path
) -> None:
    scene = Scene(nursery, "stuck_in_compute", 2, tmp_path)
    assert scene.answer() == [1, 1]
    assert "this process ends (--stuck_after)" in scene.log(1)
    assert "in stuck_in_compute" in (tmp_path / "stacks-1").read_text()
    assert "in all_reduce" in (tmp_path / "stacks-0").read_text()


@pytest.mark.slow
def test_a_store_that_does_not_answer_ends_the_others(
    nursery: subprocess.Popen[str], tmp_path: Path
) -> None:
    scene = Scene(nursery, "wait_for_first", 2, tmp_path)
    scene.hit(0, signal.SIGSTOP)
    before = time.monotonic()
    while "not been heard of" not in scene.log(1):
        assert time.monotonic() - before < SOON_S, scene.log(1)
        time.sleep(0.02)
    os.kill(scene.pids[0], signal.SIGKILL)
    assert scene.answer() == [-signal.SIGKILL, 1]
    assert f"rank 0 on host {HOST} has not been heard of: the run's store at 127" in scene.log(1)


@pytest.mark.slow
def test_a_killed_rank_0_takes_the_store_along(
    nursery: subprocess.Popen[str], tmp_path: Path
) -> None:
    scene = Scene(nursery, "wait_for_first", 2, tmp_path)
    scene.hit(0, signal.SIGKILL)
    assert scene.answer() == [-signal.SIGKILL, 1]
    assert f"rank 0 on host {HOST} has not been heard of" in scene.log(1)


@pytest.mark.slow
def test_the_others_learn_why_a_rank_failed(nursery: subprocess.Popen[str], tmp_path: Path) -> None:
    scene = Scene(nursery, "wrong_data", 2, tmp_path)
    assert scene.answer() == [1, 1]
    assert (
        f"rank 1 on host {HOST} failed: DataError: x.arrow: no genes; start it again"
        in scene.log(0)
    )
    assert "RankError" not in scene.log(1)


@pytest.mark.slow
def test_an_error_of_this_rank_passes_unchanged(
    nursery: subprocess.Popen[str], tmp_path: Path
) -> None:
    scene = Scene(nursery, "no_memory", 2, tmp_path)
    assert scene.answer() == [1, 1]
    assert "\nRuntimeError: CUDA out of memory\n" in scene.log(0)
    assert "RankError" not in scene.log(0)
    assert (
        f"rank 0 on host {HOST} failed: RuntimeError: CUDA out of memory; start it again"
        in scene.log(1)
    )


@pytest.mark.slow
def test_a_broken_connection_between_living_ranks_is_named(
    nursery: subprocess.Popen[str], tmp_path: Path
) -> None:
    scene = Scene(nursery, "hang_up", 2, tmp_path)
    assert scene.answer() == [1, 1]
    assert "RankError: rank 0 lost the connection to another rank: [" in scene.log(0)
    assert "rank 0 lost the connection" in scene.log(1)


def test_a_checkpoint_that_a_lost_connection_stopped_is_not_this_ranks_failure() -> None:
    cause = RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer")
    error = CheckpointError("no checkpoint could be written")
    assert not may_come_from_a_peer(error)
    error.__cause__ = cause
    assert may_come_from_a_peer(error)


@pytest.mark.parametrize(
    ("remote", "hosts", "expected"),
    [
        ("127.0.1.1", ["a", "b"], "--interface"),
        ("127.0.1.1", ["a", "a"], "--resume"),
        ("10.0.0.2", ["a", "b"], "--resume"),
    ],
)
def test_a_machine_that_gave_its_loopback_address_gets_the_remedy(
    remote: str, hosts: list[str], expected: str
) -> None:
    error = RuntimeError(
        f"[gloo/pair.cc:1] connect [{hosts[0]}]:1, remote=[{remote}]:2: Connection refused"
    )
    assert expected in remedy(error, hosts)


@pytest.mark.slow
def test_ranks_may_end_at_different_times(nursery: subprocess.Popen[str], tmp_path: Path) -> None:
    scene = Scene(nursery, "finish", 3, tmp_path)
    assert scene.answer() == [0, 0, 0]
    for rank in range(3):
        assert "done" in scene.log(rank)
        assert " on host " not in scene.log(rank)  # no alarm


@pytest.mark.slow
def test_a_restart_by_torchrun_sees_nothing_of_the_first_attempt(
    nursery: subprocess.Popen[str], tmp_path: Path
) -> None:
    scene = Scene(nursery, "restart", 1, tmp_path)
    assert scene.answer() == [0], scene.log(0)
    assert "totals [(0, 2.0), (1, 2.0)]" in scene.log(0)
    assert scene.log(0).count("ready") == 4


def test_attempts_on_one_store_do_not_see_each_other() -> None:
    root = dist.HashStore()
    names = [meet(root), meet(root)]
    assert len(set(names[0])) == len(set(names[1])) == 1
    assert names[0][0] != names[1][0]


def meet(root: dist.Store) -> list[str]:
    """Let two ranks meet, rank 1 first: it must wait for the new attempt, not take the old one."""
    end = time.monotonic() + SOON_S
    entered: list[dist.Store] = []
    late = threading.Thread(target=lambda: entered.append(enter_attempt(root, 1, end)))
    late.start()
    time.sleep(0.2)
    opened = open_attempt(root, 2, end)
    late.join()
    opened.set("name", os.urandom(8).hex())
    return [store.get("name").decode() for store in (opened, entered[0])]


def test_a_rank_that_does_not_come_is_named() -> None:
    with pytest.raises(RankError, match=r"waited in vain for rank 1, 2 of 3") as caught:
        open_attempt(dist.HashStore(), 3, 0.0)
    assert caught.value.rank == 1
    with pytest.raises(RankError, match="rank 0 did not admit it"):
        enter_attempt(dist.HashStore(), 1, 0.0)


def test_a_missing_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(ConfigError, match="MASTER_ADDR"):
        run_store(1, 2, timeout=timedelta(seconds=1))


def test_a_single_rank_is_not_watched() -> None:
    threads = threading.active_count()
    store = run_store(0, 1, timeout=timedelta(seconds=1))
    with watch_ranks(store, 0, 1):
        assert threading.active_count() == threads


def test_missed_heartbeats_count_only_while_someone_looks() -> None:
    looks = Looks(2, interval_s=10)
    assert looks.look([5, 5], 100.0) == [0, 0]
    assert looks.look([5, 6], 110.0) == [1, 0]
    assert looks.look([5, 6], 111.0) == [1, 0]  # too soon to count
    assert looks.look([5, 6], 9000.0) == [2, 1]  # the watcher was suspended
    assert looks.look([6, 6], 9010.0) == [0, 2]
