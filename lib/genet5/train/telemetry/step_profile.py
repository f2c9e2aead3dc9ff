"""Where the time of some optimizer steps goes: a trace for viewers, and a table, by torch.profiler.

OUT/profile/trace.json opens in Perfetto or chrome://tracing; OUT/profile/table.txt lists operators
by their own time. The first steps are left out: they compile, allocate and fill caches.

Example:
    with StepProfiler(out / "profile", steps=3) as profiler:
        for batch in batches:
            train(batch)
            profiler.step()
"""

from __future__ import annotations

import logging
from pathlib import Path
from types import TracebackType

import torch
from torch.profiler import ProfilerActivity, profile, schedule

from genet5.outputs import atomic_writer

log = logging.getLogger(__name__)

_SKIPPED_STEPS = 2
_TABLE_ROWS = 40


class StepProfiler:
    """Profiles some steps of a run; what it cannot write is logged, and the run continues.

    Args:
        folder: Where trace and table go.
        steps: How many steps are profiled, after the first ones.
    """

    def __init__(self, folder: Path, steps: int) -> None:
        self._folder, self._steps = folder, steps
        activities = [ProfilerActivity.CPU]
        if torch.cuda.is_available():
            activities.append(ProfilerActivity.CUDA)
        self._profile = profile(
            activities=activities,
            schedule=schedule(wait=_SKIPPED_STEPS - 1, warmup=1, active=steps, repeat=1),
            on_trace_ready=self._write,
            profile_memory=True,
        )

    def step(self) -> None:
        """Note that a step has ended."""
        self._profile.step()

    def __enter__(self) -> StepProfiler:
        self._profile.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._profile.stop()

    def _write(self, done: profile) -> None:
        by = "self_device_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            done.export_chrome_trace(str(self._folder / "trace.json"))
            with atomic_writer(self._folder / "table.txt") as out:
                out.write(done.key_averages().table(sort_by=by, row_limit=_TABLE_ROWS))
        except (OSError, RuntimeError) as problem:  # a side task never ends a run
            log.warning("no profile could be written to %s: %s", self._folder, problem)
            return
        log.info("profile of %d steps: table.txt and trace.json in %s", self._steps, self._folder)
