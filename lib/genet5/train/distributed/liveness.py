"""A run of several processes ends as one, within a minute after a rank dies, and logs the reason.

Timeouts of `torch.distributed` cannot do this. They end the survivors, but with "Timed out waiting
for recv" or "Connection closed by peer": which rank died and why stands in the log of another
machine, and NCCL's watchdog aborts the process before Python can add anything. And short ones end
runs in which nothing is wrong: a rank may compile, or write the best model, for minutes.

So each rank has a thread that raises the rank's counter in the run's store every few seconds, and
reads all counters: one request per interval and rank. A counter that stands still for `limit_s` is
a dead rank. Who notices first writes the verdict; a rank that fails writes its error as the
verdict. All ranks log it and exit with code 1. A second thread watches the first, whose request
never returns when the store's machine vanishes. The main thread may hang in a collective or in the
driver, where no exception reaches it, so the threads end the process.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import math
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta

from torch.distributed.distributed_c10d import Store

from genet5.errors import RankError
from genet5.train.distributed.peer_errors import (
    RESUME,
    is_broken_connection,
    may_come_from_a_peer,
    remedy,
)
from genet5.train.distributed.rendezvous import (
    HOSTS_KEY,
    VERDICT_KEY,
    beat_key,
    first_line,
    store_address,
)

log = logging.getLogger(__name__)

LIMIT_S = 45.0
"""Heartbeat age of a dead rank: two intervals more, and all ranks have ended within a minute."""
INTERVAL_S = 5.0
_SUSPICIOUS_LOOKS = 3
"""A broken connection needs less proof that a rank is dead."""
_POLL_S = 0.1
_GRACE_S = 2.0
"""The main thread may notice by itself, and end in a tidier way than a thread can end it."""
_EXIT_S = 30.0
"""After an error CUDA's teardown may wait for a collective that never ends."""


@contextmanager
def watch_ranks(
    store: Store,
    rank: int,
    world_size: int,
    *,
    limit_s: float = LIMIT_S,
    interval_s: float = INTERVAL_S,
) -> Iterator[None]:
    """End this process, with the reason, when another rank fails or dies while the block runs.

    Leaving the block without an error waits on rank 0 for all others, as the store may live in it.
    When an error leaves the block, the process ends within half a minute, whatever hangs.

    Args:
        store: What `run_store` returned.
        rank: This process.
        world_size: Number of processes; a single one is not watched.
        limit_s: Heartbeat age in seconds that counts as death.
        interval_s: Seconds between two heartbeats.

    Raises:
        RankError: Another rank failed or died, and the main thread noticed it first (by a broken
            connection), or had done its part. Errors of this rank itself pass unchanged.
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


class Looks:
    """How many looks in a row found a counter unchanged.

    Looks are counted, not seconds: a watcher that was itself suspended saw nothing, and alarms
    nobody. A look soon after another one does not count.

    Args:
        count: Number of counters.
        interval_s: Time from one look to the next.
    """

    def __init__(self, count: int, interval_s: float) -> None:
        self._values: list[int | None] = [None] * count
        self.unchanged = [0] * count
        self._interval_s, self._before_s = interval_s, -math.inf

    def look(self, values: Sequence[int], now_s: float) -> list[int]:
        """Return the looks in a row that found each counter as it is now."""
        is_early = now_s - self._before_s < 0.9 * self._interval_s
        pairs = zip(values, self._values, self.unchanged, strict=True)
        self.unchanged = [n + (not is_early) if new == old else 0 for new, old, n in pairs]
        self._values = list(values)
        self._before_s = self._before_s if is_early else now_s
        return self.unchanged


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why the run ends: which rank failed or died (None = not known), and the line that all log."""

    rank: int | None
    text: str


class _Watch:
    """The threads of one rank; they alone use the store, as a request may never return."""

    def __init__(
        self, store: Store, rank: int, world_size: int, limit_s: float, interval_s: float
    ) -> None:
        self._hosts: list[str] = json.loads(store.get(HOSTS_KEY))
        # a connection of its own: others wait on theirs for long
        self._store: Store = store.clone()  # type: ignore[attr-defined]
        self._store.set_timeout(timedelta(seconds=limit_s))
        self._keys = [VERDICT_KEY, *(beat_key(each) for each in range(world_size))]
        self._rank, self._interval_s = rank, interval_s
        self._limit = math.ceil(limit_s / interval_s)  # looks without a heartbeat
        self._looks, self._rounds = Looks(world_size, interval_s), 0
        self._report: Verdict | None = None  # what this rank has to publish
        self._verdict: Verdict | None = None
        self._known_s = 0.0  # when the verdict was known here
        self._is_done = False
        self._is_leaving, self._wake = threading.Event(), threading.Event()
        self._is_over = threading.Event()
        for name, target in (("beat", self._beat), ("guard", self._guard)):
            threading.Thread(target=target, name=f"ranks-{name}", daemon=True).start()

    # ---- called by the main thread

    def leave(self) -> None:
        """Sign off; rank 0 first waits for all others."""
        self._is_done = True
        self._is_leaving.set()
        self._wake.set()
        self._is_over.wait()
        if self._verdict is not None:
            raise RankError(self._verdict.text, self._verdict.rank)

    def fail(self, error: BaseException) -> RankError | None:
        """Publish this rank's error; return a better one if another rank is its cause."""
        self._is_leaving.set()
        if may_come_from_a_peer(error):
            self._limit = min(self._limit, _SUSPICIOUS_LOOKS)
            self._wake.set()
            self._is_over.wait((self._limit + 1) * self._interval_s + _GRACE_S)
            if self._verdict is not None:
                return RankError(self._verdict.text, self._verdict.rank)
        better, what = None, first_line(error)
        if is_broken_connection(error):
            text = f"rank {self._rank} lost the connection to another rank: {what}"
            better = RankError(f"{text}; {remedy(error, self._hosts)}")
        failed = f"{self._name(self._rank)} failed: {type(error).__name__}: {what}; {RESUME}"
        self._report = Verdict(self._rank, str(better or failed))
        self._wake.set()
        self._is_over.wait(self._shutdown_grace_s())
        return better

    def _shutdown_grace_s(self) -> float:
        """How long the others may take to read a verdict."""
        return 2 * self._interval_s + _GRACE_S

    # ---- the thread that uses the store

    def _beat(self) -> None:
        try:
            while not self._round():
                is_quiet = self._verdict is None and not self._is_leaving.is_set()
                self._wake.wait(self._interval_s if is_quiet else min(_POLL_S, self._interval_s))
                self._wake.clear()
        except RuntimeError as error:
            self._note(self._lost_store(f"broke the connection ({first_line(error)})"))
        self._finish()

    def _round(self) -> bool:
        """Beat and look once; return whether this rank has signed off."""
        if self._report is not None:
            self._publish(self._report)
        text, *values = self._store.multi_get(self._keys)
        beats = [int(value) for value in values]
        missed = self._looks.look(beats, time.monotonic())
        others = {r: missed[r] for r, beat in enumerate(beats) if beat >= 0 and r != self._rank}
        oldest = max(others, key=lambda rank: others[rank], default=self._rank)
        if text:
            self._note(Verdict(**json.loads(text)))
        elif others.get(oldest, 0) >= self._limit:
            self._publish(self._silent(oldest))
        self._rounds += 1
        if self._may_leave(others):
            self._store.set(beat_key(self._rank), "-1")
            return True
        self._store.add(beat_key(self._rank), 1)
        return False

    def _may_leave(self, others: dict[int, int]) -> bool:
        """Whether nobody needs this rank; rank 0 may host the store, so it leaves last."""
        if self._verdict is None:
            return self._is_done and (self._rank != 0 or not others)
        is_alone = all(missed > 1 for missed in others.values())
        is_late = time.monotonic() - self._known_s > self._shutdown_grace_s()
        return self._rank != 0 or is_alone or is_late

    def _publish(self, verdict: Verdict) -> None:
        """Write the verdict unless there is one; the first holds for all."""
        first = self._store.compare_set(VERDICT_KEY, "", json.dumps(asdict(verdict)))
        self._note(Verdict(**json.loads(first)))

    def _note(self, verdict: Verdict) -> None:
        if self._verdict is None:
            self._verdict, self._known_s = verdict, time.monotonic()

    def _name(self, rank: int) -> str:
        return f"rank {rank} on host {self._hosts[rank]}"

    def _silent(self, rank: int) -> Verdict:
        seconds = f"{self._limit * self._interval_s:.0f} s"
        why = f"for {seconds} (killed, or its machine or network is down); {RESUME}"
        return Verdict(rank, f"{self._name(rank)} has not been heard of {why}")

    def _lost_store(self, what: str) -> Verdict:
        where = f"the run's store at {store_address()}"
        text = f"{self._name(0)} has not been heard of: {where} {what}; {RESUME}"
        return Verdict(0, text)

    # ---- the thread that watches it, and the end

    def _guard(self) -> None:
        looks, limit = Looks(1, self._interval_s), self._limit
        while not self._is_over.wait(self._interval_s):
            if looks.look([self._rounds], time.monotonic())[0] >= limit:
                seconds = f"{limit * self._interval_s:.0f} s"
                self._note(self._lost_store(f"has not answered for {seconds}"))
                self._finish()

    def _finish(self) -> None:
        """Leave the verdict to the main thread if that is on its way out; else end the process."""
        verdict = self._verdict
        if verdict is not None and not self._is_leaving.wait(min(_GRACE_S, self._interval_s)):
            end_process(verdict.text)
        self._is_over.set()


def end_process(reason: str) -> None:
    """Log why and end, even if the main thread hangs and holds the log's lock."""

    def write() -> None:
        log.error("%s", reason)
        logging.shutdown()

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    writer.join(_GRACE_S)
    os._exit(1)
