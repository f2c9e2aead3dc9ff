"""A run of several processes ends as one: when a rank dies, the others end within a minute and say why.

torchrun ends the processes of its own machine only; those of other machines would wait in a collective for hours, because
its timeout has to be long. So every rank beats: a thread of its own raises a counter in the run's store every few
seconds. Rank 0 watches all counters and publishes a verdict; the others watch rank 0's and the verdict: one request per
interval and rank. Silence is measured on the watcher's clock, and only while the watcher itself runs, so neither
differing clocks nor a suspended machine raise an alarm. A rank that fails writes its error as the verdict.

The main thread may hang in a collective or in the driver, where no exception reaches it: the thread logs one line and
ends the process with exit code 1. A second thread watches the first, which hangs when the store's machine vanishes.

    store = run_store(rank, world_size, timeout=TIMEOUT)
    with watch_ranks(store, rank, world_size):
        dist.init_process_group(backend, store=store, rank=rank, world_size=world_size, timeout=TIMEOUT)
        ...
        dist.destroy_process_group()  # after an error it might wait for the dead
"""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta

import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from genet5.errors import ConfigError, RankError

log = logging.getLogger(__name__)

JOIN_S = 600.0
"""Seconds that ranks wait for each other at the start; torchrun's agents wait as long."""
LIMIT_S = 45.0
"""Silence that counts as death: with two intervals for finding out and telling, the others end within a minute."""
INTERVAL_S = 5.0
_POLL_S = 0.1
"""Pause between two looks while somebody waits for the answer."""
_GRACE_S = 2.0
"""The main thread may well notice by itself, and end in a tidier way than a thread can end it."""
_EXIT_S = 30.0
"""After an error CUDA's teardown may wait for a collective that never ends."""
_RESUME = "go on from the last checkpoint with --resume"
_BROKEN = (
    "gloo/transport",
    "Connection closed",
    "Connection reset",
    "Connection refused",
    "Broken pipe",
    "remote process exited",
    "remote error",
)
"""Words of gloo's and NCCL's errors when the other side of a connection is gone."""


def run_store(rank: int, world_size: int, *, timeout: timedelta, join_s: float = JOIN_S) -> Store:
    """Meet the other ranks; return a key-value store of this attempt of the run alone.

    Address and host of the store come from the environment that torchrun sets (or MASTER_ADDR and MASTER_PORT, where
    rank 0 hosts it). torchrun's store outlives a restart, and a new rank that reads the address of a dead one waits for
    it; its restart count cannot tell attempts apart, as machines may count differently. So rank 0 names the attempt,
    and the others take a name only when it was given to themselves. Every rank calls it, before anything else.

    Args:
        rank: This process.
        world_size: Number of processes.
        timeout: Longest wait for a key of the returned store.
        join_s: Longest wait for the other ranks.

    Raises:
        ConfigError: The environment does not say where the store is.
        RankError: Not all ranks came in time.
    """
    if world_size == 1:
        store: Store = dist.HashStore()  # type: ignore[attr-defined]
        return store
    deadline = time.monotonic() + join_s
    root = PrefixStore("genet5", _connect(rank, world_size, join_s))
    store = _open_attempt(root, world_size, deadline) if rank == 0 else _enter(root, rank, deadline)
    store.set_timeout(timeout)
    return store


def _connect(rank: int, world_size: int, join_s: float) -> Store:
    where = _address()
    store: Store
    try:
        store, _, _ = next(
            rendezvous("env://", rank, world_size, timeout=timedelta(seconds=join_s))
        )
    except ValueError as error:
        raise ConfigError(
            "MASTER_ADDR, MASTER_PORT", where, "must name rank 0's machine; torchrun sets them"
        ) from error
    except RuntimeError as error:
        raise RankError(
            f"rank {rank} cannot reach the run's store at {where} ({_first_line(error)}); expected rank 0's machine "
            "there. Check --master, the port and the firewall",
            0,
        ) from error
    return store


def _open_attempt(root: Store, world_size: int, deadline: float) -> Store:
    name = uuid.uuid4().hex
    store = PrefixStore(name, root)
    store.set("verdict", "")
    for rank in range(world_size):
        store.set(_beat_key(rank), "0")
    root.set("attempt", name)
    keys = [f"here/{rank}" for rank in range(1, world_size)]
    while not store.check(keys):
        if time.monotonic() > deadline:
            missing = [rank for rank in range(1, world_size) if not store.check([f"here/{rank}"])]
            raise RankError(
                f"waited in vain for rank {', '.join(map(str, missing))} of {world_size}; expected all of them to "
                f"reach the run's store at {_address()}. See their logs",
                missing[0] if missing else None,
            )
        time.sleep(_POLL_S)
    tickets = [json.loads(text) for text in store.multi_get(keys)]
    store.set("hosts", json.dumps([socket.gethostname(), *(host for _, host in tickets)]))
    store.set("admitted", json.dumps([ticket for ticket, _ in tickets]))
    return store


def _enter(root: Store, rank: int, deadline: float) -> Store:
    ticket = uuid.uuid4().hex
    while time.monotonic() < deadline:
        if root.check(["attempt"]):
            store = PrefixStore(root.get("attempt").decode(), root)
            store.set(f"here/{rank}", json.dumps([ticket, socket.gethostname()]))
            if store.check(["admitted"]) and ticket in json.loads(store.get("admitted")):
                return store
        time.sleep(_POLL_S)
    raise RankError(
        f"rank {rank} reached the run's store at {_address()}, but rank 0 did not admit it; expected all ranks to start "
        "together. See rank 0's log",
        0,
    )


@contextmanager
def watch_ranks(
    store: Store,
    rank: int,
    world_size: int,
    *,
    limit_s: float = LIMIT_S,
    interval_s: float = INTERVAL_S,
) -> Iterator[None]:
    """End this process, with the reason, when another rank fails or falls silent while the block runs.

    Leaving the block tells the others: without an error that this rank is done (rank 0 waits until all are, as the
    store may live in it), with an error what happened. When an error leaves the block, the process ends within half a
    minute, whatever hangs on the way out. A single rank is not watched.

    Args:
        store: What `run_store` returned.
        rank: This process.
        world_size: Number of processes.
        limit_s: Silence in seconds that counts as death.
        interval_s: Seconds between two beats.

    Raises:
        RankError: Another rank failed or died, and the main thread noticed it first (by a broken connection), or had
            done its part. Errors of this rank itself pass unchanged.
    """
    if world_size == 1:
        yield
        return
    watch = _Watch(store, rank, world_size, limit_s, interval_s)
    try:
        yield
    except BaseException as error:
        if isinstance(error, SystemExit) and not error.code:
            watch.leave()
            raise
        reason = watch.fail(error)
        faulthandler.dump_traceback_later(_EXIT_S, exit=True, file=sys.__stderr__ or 2)
        if reason is not None:
            raise reason from error
        raise
    watch.leave()


class Stillness:
    """For how long numbers have not changed, as seen by one who looks from time to time.

    Args:
        count: How many numbers.
        longest_step_s: Time between two looks counts up to this much: a watcher that was itself stopped saw nothing.
    """

    def __init__(self, count: int, longest_step_s: float) -> None:
        self._values: list[int | None] = [None] * count
        self._still_s = [0.0] * count
        self._longest_step_s = longest_step_s
        self._before_s: float | None = None

    def look(self, values: Sequence[int], now_s: float) -> list[float]:
        """Return the seconds for which each number has stood still.

        Args:
            values: The numbers.
            now_s: Time on any clock that never goes back.
        """
        step_s = 0.0 if self._before_s is None else now_s - self._before_s
        step_s = min(step_s, self._longest_step_s)
        pairs = zip(values, self._values, strict=True)
        self._still_s = [
            still_s + step_s if value == before else 0.0
            for (value, before), still_s in zip(pairs, self._still_s, strict=True)
        ]
        self._values, self._before_s = list(values), now_s
        return list(self._still_s)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why the run ends.

    Args:
        rank: Who failed or is silent.
        text: The line that all ranks log.
    """

    rank: int
    text: str


class _Watch:
    """The threads of one rank; they alone use the store, as a request may hang for ever."""

    def __init__(
        self, store: Store, rank: int, world_size: int, limit_s: float, interval_s: float
    ) -> None:
        self._hosts: list[str] = json.loads(store.get("hosts"))
        # a connection of its own: others wait on theirs for hours
        self._store: Store = store.clone()  # type: ignore[attr-defined]
        self._store.set_timeout(timedelta(seconds=limit_s))
        self._rank, self._world_size = rank, world_size
        self._limit_s, self._interval_s = limit_s, interval_s
        self._watched = range(world_size) if rank == 0 else range(1)
        self._stillness = Stillness(len(self._watched), 2 * interval_s)
        self._rounds = 0
        self._has_finished = False
        self._is_suspicious = False
        self._report: Verdict | None = None  # what this rank has to tell
        self._verdict: Verdict | None = None
        self._told_s: float | None = None  # when the verdict was known here
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._is_leaving = threading.Event()
        self._is_over = threading.Event()
        for name, target in (("beat", self._beat), ("guard", self._guard)):
            threading.Thread(target=target, name=f"ranks-{name}", daemon=True).start()

    # ---- the main thread

    def leave(self) -> None:
        """Say goodbye; rank 0 first waits for all others."""
        self._has_finished = True
        self._is_leaving.set()
        self._wake.set()
        if not self._is_over.wait(self._limit_s):
            log.info("done; waiting for the other ranks to end")
            self._is_over.wait()
        if self._verdict is not None:
            raise RankError(self._verdict.text, self._verdict.rank)

    def fail(self, error: BaseException) -> RankError | None:
        """Tell the others that this rank ends by an error; return a better one if another rank is its cause."""
        self._is_leaving.set()
        if _may_come_from_a_peer(error):
            self._suspect()
            if self._verdict is not None:
                return RankError(self._verdict.text, self._verdict.rank)
            if _is_broken_connection(error):
                text = (
                    f"rank {self._rank} lost the connection to another rank: {_first_line(error)}"
                )
                better = RankError(f"{text}; {_remedy(error, self._hosts)}")
                self._tell(str(better))
                return better
        what = f"{type(error).__name__}: {_first_line(error)}"
        where = f"rank {self._rank} on host {self._hosts[self._rank]}"
        self._tell(f"{where} failed: {what}; {_RESUME}")
        return None

    def _suspect(self) -> None:
        """Look at all ranks, with less patience, until a verdict is there."""
        with self._lock:
            self._is_suspicious = True
            self._watched = range(self._world_size)
            self._stillness = Stillness(self._world_size, 2 * self._interval_s)
        self._wake.set()
        self._is_over.wait(self._patience_s() + _GRACE_S)

    def _tell(self, text: str) -> None:
        self._report = Verdict(self._rank, text)
        self._wake.set()
        self._is_over.wait(self._farewell_s())

    def _patience_s(self) -> float:
        """Silence that counts as death: a broken connection needs less proof."""
        return min(self._limit_s, 2.5 * self._interval_s) if self._is_suspicious else self._limit_s

    def _farewell_s(self) -> float:
        """How long the others may take to hear a verdict."""
        return 2 * self._interval_s + _GRACE_S

    # ---- the thread that talks with the store

    def _beat(self) -> None:
        try:
            while not self._round():
                is_quiet = self._verdict is None and not self._is_leaving.is_set()
                self._wake.wait(self._interval_s if is_quiet else min(_POLL_S, self._interval_s))
                self._wake.clear()
        except RuntimeError as error:
            self._decide(self._lost_store(f"broke the connection ({_first_line(error)})"))
        self._finish()

    def _round(self) -> bool:
        """Beat, look and tell once; return whether there is nothing left to say."""
        if self._report is not None:
            self._publish(self._report)
        with self._lock:
            watched, stillness = self._watched, self._stillness
        keys = ["verdict", *map(_beat_key, watched)]
        verdict, *beats = self._store.multi_get(keys)
        still_s = stillness.look([int(beat) for beat in beats], time.monotonic())
        alive = {rank: s for rank, s, b in zip(watched, still_s, beats, strict=True) if int(b) >= 0}
        alive.pop(self._rank, None)
        if verdict:
            self._hear(Verdict(**json.loads(verdict)))
        elif alive and max(alive.values()) > self._patience_s():
            self._publish(self._silent(max(alive, key=lambda rank: alive[rank])))
        self._rounds += 1
        is_done = self._is_done(alive)
        if is_done and self._rank:
            self._store.set(_beat_key(self._rank), "-1")
        else:
            self._store.add(_beat_key(self._rank), 1)
        return is_done

    def _is_done(self, alive: dict[int, float]) -> bool:
        if self._verdict is None:
            return self._has_finished and (self._rank != 0 or not alive)
        if self._rank != 0 or self._told_s is None:
            return True
        # rank 0 may host the store, from which the others have to hear the verdict
        hears = [rank for rank, still_s in alive.items() if still_s <= 2 * self._interval_s]
        return not hears or time.monotonic() - self._told_s > self._farewell_s()

    def _publish(self, verdict: Verdict) -> None:
        """Write the verdict unless there is one; the first holds for all."""
        first = self._store.compare_set("verdict", "", json.dumps(asdict(verdict)))
        self._hear(Verdict(**json.loads(first)))

    def _hear(self, verdict: Verdict) -> None:
        if self._verdict is None:
            self._verdict, self._told_s = verdict, time.monotonic()

    def _silent(self, rank: int) -> Verdict:
        return Verdict(
            rank,
            f"rank {rank} on host {self._hosts[rank]} has not been heard of for {self._patience_s():.0f} s (killed, or "
            f"its machine or network is down); {_RESUME}",
        )

    def _lost_store(self, what: str) -> Verdict:
        return Verdict(
            0,
            f"rank 0 on host {self._hosts[0]} has not been heard of: the run's store at {_address()} {what}; {_RESUME}",
        )

    # ---- the thread that watches it, and the end

    def _guard(self) -> None:
        stillness = Stillness(1, 2 * self._interval_s)
        while not self._is_over.wait(self._interval_s / 2):
            if stillness.look([self._rounds], time.monotonic())[0] > self._limit_s:
                self._decide(self._lost_store(f"has not answered for {self._limit_s:.0f} s"))
                self._finish()

    def _decide(self, verdict: Verdict) -> None:
        with self._lock:
            self._hear(verdict)

    def _finish(self) -> None:
        """Hand the verdict to the main thread if that is on its way out; end the process otherwise."""
        verdict = self._verdict
        if verdict is not None and not self._is_leaving.wait(min(_GRACE_S, self._interval_s)):
            _end_process(verdict)
        self._is_over.set()


def _end_process(verdict: Verdict) -> None:
    """Log the verdict and end without the main thread, which may hang in a collective, even holding the log's lock."""

    def say() -> None:
        log.error("%s", verdict.text)
        logging.shutdown()

    speaker = threading.Thread(target=say, daemon=True)
    speaker.start()
    speaker.join(_GRACE_S)
    os._exit(1)


def _may_come_from_a_peer(error: BaseException) -> bool:
    return isinstance(error, dist.DistError) or _is_broken_connection(error)


def _is_broken_connection(error: BaseException | None) -> bool:
    """Also when that is the cause of another error: a checkpoint that could not be written."""
    if error is None:
        return False
    is_broken = isinstance(error, RuntimeError) and any(word in str(error) for word in _BROKEN)
    return is_broken or _is_broken_connection(error.__cause__)


def _remedy(error: BaseException, hosts: Sequence[str]) -> str:
    if "remote=[127." in str(error) and len(set(hosts)) > 1:
        return "another machine gave its own 127.x address: name the network with --interface (GLOO_SOCKET_IFNAME)"
    return _RESUME


def _beat_key(rank: int) -> str:
    """The key of a rank's counter; -1 there says that the rank has left."""
    return f"beat/{rank}"


def _address() -> str:
    return f"{os.environ.get('MASTER_ADDR', '')}:{os.environ.get('MASTER_PORT', '')}"


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else ""
