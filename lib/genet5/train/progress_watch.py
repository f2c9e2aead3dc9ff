"""Alive means progressing: a run that makes no step says so, with the stacks of its threads.

Heartbeats (`distributed.liveness`) show that a process lives, not that it works: a data worker may
hang in a read from a network disk, a rank in the driver of a GPU. Each rank has a thread that knows
how long its steps usually take. After many times that (`TIMES`, at least `LEAST_S`) without any
progress it logs one line, writes the stacks of all threads to a file, and ends a wait for data,
so that the run can save and end. All ranks stand still when one does, so all of them report.

Elsewhere (a kernel, a driver, a disk that takes no checkpoint) the main thread can neither save nor
be interrupted. There the thread ends the process itself, after `stuck_s`; the last checkpoint is
what is left of the run. The timeouts of `torch.distributed` end those that wait for such a rank,
not the rank. What holds Python's lock for ever is out of this thread's reach: of several ranks the
others end then, as such a one has no heartbeat, and a single process must be killed.

Time is counted in looks: a process that was itself suspended did not stand still.
"""

from __future__ import annotations

import faulthandler
import logging
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from genet5.errors import GeneT5Error
from genet5.train.distributed.liveness import end_process

log = logging.getLogger(__name__)

TIMES = 20.0
"""Usual steps without progress that are too many."""
LEAST_S = 600.0
"""No run stands still for less: a step may compile, or a disk be slow for once."""
FIRST_S = 1800.0
"""While no step is usual yet: the first ones compile, and read."""
_STEPS = 50
"""Steps that decide what is usual."""
_LOOK_S = 5.0


class StalledRunError(GeneT5Error):
    """No training data came for a long time; the state of the last step is saved.

    Args:
        step: The last step.
        checkpoints: Where its state is.
        stacks: File with the stacks of the first rank's threads.
    """

    def __init__(self, step: int, checkpoints: Path, stacks: Path) -> None:
        super().__init__(step, checkpoints, stacks)
        self.step, self.checkpoints, self.stacks = step, checkpoints, stacks

    def __str__(self) -> str:
        return (
            f"no training data came after step {self.step}: a data worker hangs, or the disk that"
            f" it reads ({self.stacks}). The state is saved in {self.checkpoints};"
            " --resume continues it"
        )


class ProgressWatch:
    """Watches one rank while the block runs.

    Args:
        stacks: File for the stacks of all threads.
        end_wait: Ends a wait for data and returns True, or returns False if there is none.
        stuck_s: Seconds without progress after which the process ends; None = never. The report
            comes at half of them at the latest.
        least_s: See `LEAST_S`.
        first_s: See `FIRST_S`.
        look_s: Seconds between two looks.
    """

    def __init__(
        self,
        stacks: Path,
        end_wait: Callable[[], bool],
        stuck_s: float | None = None,
        *,
        least_s: float = LEAST_S,
        first_s: float = FIRST_S,
        look_s: float = _LOOK_S,
    ) -> None:
        self._stacks, self._end_wait, self._stuck_s = stacks, end_wait, stuck_s
        self._least_s, self._first_s, self._look_s = least_s, first_s, look_s
        self._marks, self._stepped_s = 0, 0.0
        self._steps_s: deque[float] = deque(maxlen=_STEPS)
        self._is_over = threading.Event()

    def mark(self) -> None:
        """Note progress of any kind; the next step's time is not measured."""
        self._marks += 1
        self._stepped_s = 0.0

    def mark_step(self) -> None:
        """Note a step."""
        now = time.monotonic()
        if self._stepped_s:
            self._steps_s.append(now - self._stepped_s)
        self._marks += 1
        self._stepped_s = now

    @property
    def limit_s(self) -> float:
        """Seconds without progress that are too many now."""
        limit_s = self._first_s
        if self._steps_s:
            limit_s = max(self._least_s, TIMES * statistics.median(self._steps_s))
        return limit_s if self._stuck_s is None else min(limit_s, self._stuck_s / 2)

    def __enter__(self) -> ProgressWatch:
        threading.Thread(target=self._watch, name="progress", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_over.set()

    def _watch(self) -> None:
        seen, still_s, is_reported = -1, 0.0, False
        while not self._is_over.wait(self._look_s):
            if self._marks != seen:
                seen, still_s, is_reported = self._marks, 0.0, False
                continue
            still_s += self._look_s
            if still_s >= self.limit_s and not is_reported:
                is_reported = True
                self._report(still_s)
            if self._stuck_s is not None and still_s >= self._stuck_s:
                self._end(still_s)

    def _report(self, still_s: float) -> None:
        usual = f"{statistics.median(self._steps_s):.1f} s" if self._steps_s else "not known yet"
        self._write_stacks()
        is_waiting = self._end_wait()
        what = "waits for data: the run saves and ends" if is_waiting else "is at work elsewhere"
        log.warning(
            "no progress for %.0f s (a step usually takes %s); this process %s. Stacks: %s",
            still_s, usual, what, self._stacks,
        )  # fmt: skip

    def _end(self, still_s: float) -> None:
        """End the process; where it hangs nobody can clean up."""
        self._write_stacks()
        end_process(
            f"no progress for {still_s:.0f} s: this process ends (--stuck_after). Where it hung is"
            f" in {self._stacks}; --resume continues from the last checkpoint"
        )

    def _write_stacks(self) -> None:
        try:
            with self._stacks.open("w", encoding="utf-8") as out:
                faulthandler.dump_traceback(out, all_threads=True)
        except OSError as error:
            log.warning("the stacks could not be written: %s", error)
