"""The training loop: `Trainer.run` steps until the horizon, the clock, early stopping or a signal.

A step takes `grad_accum` micro-batches of each rank (`train.step`). Everything a run needs to
resume lies in `RunState`, so a run that was killed and resumed has the losses of one that was not,
to the bit on a CPU.

Example:
    trainer = Trainer(config=config, model=model, objective=objective, source=loader, ...)
    trainer.resume(checkpoint)
    outcome = trainer.run()
    trainer.export()
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn

from genet5.config.run import RunConfig
from genet5.dataset.batch import TrainingBatch
from genet5.dataset.groups import WindowGroups
from genet5.errors import DataError
from genet5.model.folders import CHECKPOINTS_FOLDER
from genet5.model.precision import resolve_precision
from genet5.train.distributed.parallel import Parallel
from genet5.train.distributed.processes import Ranks
from genet5.train.evaluator import Evaluator, evaluate
from genet5.train.finite import NonFiniteLossError
from genet5.train.horizon import Horizon, Outcome, Place
from genet5.train.objective import Objective
from genet5.train.optim import WeightAverage, build_optimizer, make_schedule
from genet5.train.progress_watch import ProgressWatch, StalledRunError
from genet5.train.state.checkpoint import CheckpointWriter, load_checkpoint
from genet5.train.state.export import ModelWriter
from genet5.train.state.run_state import BatchSource, Progress, RunState
from genet5.train.step import OptimizerStep
from genet5.train.stop_signals import StopSignals, WaitEndedError
from genet5.train.telemetry.memory import read_memory
from genet5.train.telemetry.meter import Meter, device_peak
from genet5.train.telemetry.metrics import Metrics
from genet5.train.telemetry.progress_line import ProgressLine
from genet5.train.validation import log_validation, validation_losses

log = logging.getLogger(__name__)


_END: Any = object()


class _SignalReceivedError(Exception):
    """Ends an evaluation."""


class Trainer:
    """One training run.

    Args:
        config: Settings.
        model: On its device, the same on all ranks; a `parallel.Model`. With FSDP2 this rank keeps
            its share alone.
        objective: What to minimise.
        source: This rank's training batches.
        horizon: Length of the run.
        ranks: This process among the run's.
        metrics: Where rows of numbers go.
        validation: Gives this rank's validation batches, the same ones at each call; None = no
            validation.
        evaluator: Gives further validation figures (gene F1); the same on all ranks.
        write_companions: Called with each directory that gets a model, to put config.json and
            tokenizer.json there.
        record: Plain values for each checkpoint (settings, hashes).
        flops: Counts what training on a batch needs; None = no MFU is logged.
        groups: Groups of validation windows whose losses are reported, too.
    """

    def __init__(
        self,
        *,
        config: RunConfig,
        model: nn.Module,
        objective: Objective,
        source: BatchSource,
        horizon: Horizon,
        ranks: Ranks,
        metrics: Metrics,
        validation: Callable[[], Iterable[TrainingBatch]] | None = None,
        evaluator: Evaluator | None = None,
        write_companions: Callable[[Path], None] = lambda path: None,
        record: dict[str, Any] | None = None,
        flops: Callable[[Any], int] | None = None,
        groups: WindowGroups | None = None,
    ) -> None:
        self.config, self.horizon, self.ranks = config, horizon, ranks
        self._objective, self._source, self._metrics = objective, source, metrics
        self._validation, self._evaluator, self._groups = validation, evaluator, groups
        precision = resolve_precision(config.compute.precision, ranks.device)
        self._use_bf16 = precision == "bf16"
        self._parallel = Parallel(model, ranks, config.compute.parallel, use_bf16=self._use_bf16)
        decay = config.optim.ema_decay
        self.state = RunState(
            model=model,
            optimizer=build_optimizer(model, config.optim, config.parts),
            source=source,
            progress=Progress(),
            average=None if decay is None else WeightAverage(model, decay),
        )
        self._schedule = make_schedule(config.optim, horizon.total_steps)
        self._checkpoints = CheckpointWriter(
            config.out / "checkpoints",
            ranks,
            record=record,
            write_companions=write_companions,
            keep_last=config.checkpoints.keep_last,
        )
        self._models = ModelWriter(config.out, self.state, self._parallel, ranks, write_companions)
        self._meter = Meter(ranks, flops=flops, peak=device_peak(ranks.device, precision))
        self._optimizer_step = OptimizerStep(
            config, self.state, self._parallel, objective, self._meter, use_bf16=self._use_bf16
        )
        self.after_step: Callable[[], None] = lambda: None
        """Called after each step."""
        self._signals = StopSignals()
        self._stacks = config.out / f"stacks-{ranks.rank}.txt"
        minutes = config.duration.stuck_after
        self._watch = ProgressWatch(
            self._stacks, self._signals.end_wait, None if minutes is None else 60 * minutes
        )
        self._saved_step: int | None = None
        self._lr = 0.0
        self._saved_at = self._clock = time.perf_counter()

    # ---- the run -----------------------------------------------------------------------------

    def resume(self, checkpoint: Path) -> None:
        """Continue from a checkpoint: `load`, then `settle`."""
        self.load(checkpoint)
        self.settle()

    def load(self, checkpoint: Path) -> None:
        """Read a checkpoint; OUT stays as it is."""
        load_checkpoint(checkpoint, self.state, self.ranks)
        progress = self.state.progress
        self._meter.load_state(progress.interval)
        self._saved_step = None if progress.is_evaluation_due else progress.step
        log.info("resumed from %s", checkpoint)

    def settle(self) -> None:
        """Bring OUT to what was loaded.

        Rows of later steps leave the metric files; a best model of another branch steps aside.
        """
        progress = self.state.progress
        self._metrics.resume(progress.step, evaluated=not progress.is_evaluation_due)
        self._models.settle()

    def run(self) -> Outcome:
        """Train; save the state at the end, whatever ends it except an error."""
        progress, reason, steps = self.state.progress, "", self._steps()
        self.state.model.train()
        self._clock = self._saved_at = time.perf_counter()
        self._meter.restart_clock()
        with self._signals, self._watch:
            while not reason and not self._is_finished():
                failure = self._work(steps)
                reason, is_save_due = self._vote()
                reason = reason or failure
                if reason or is_save_due:
                    self._save()
            self._save_last()
        if reason == "stalled":
            raise StalledRunError(progress.step, self.config.out / CHECKPOINTS_FOLDER, self._stacks)
        return Outcome(
            reason or "finished",
            progress.step,
            progress.best_step,
            progress.best_loss,
            progress.elapsed_s,
        )

    def export(self) -> None:
        """Write the trained model into OUT: the best weights, or the last (averaged) ones."""
        self._models.export(self.config.validation.export)

    def _is_finished(self) -> bool:
        return self._is_over() and not self.state.progress.is_evaluation_due

    def _is_over(self) -> bool:
        return self.horizon.is_over(self.state.progress.step, self._place())

    def _place(self) -> Place:
        return Place(self._source.epoch, self._source.step, len(self._source))

    def _steps(self) -> Iterator[list[TrainingBatch]]:
        """Yield the micro-batches of each step, epoch after epoch; no step takes from two."""
        while True:
            epoch, is_empty = iter(self._source), True
            while batches := list(itertools.islice(epoch, self._step_size())):
                is_empty = False
                yield batches
            if is_empty and self.state.progress.micro_batches == 0:
                raise DataError("no training batch", path=self.config.train)

    def _work(self, steps: Iterator[list[TrainingBatch]]) -> str:
        """Take a step, and evaluate where that is due; return "stalled" if no data came."""
        progress = self.state.progress
        if not progress.is_evaluation_due:
            if (batches := self._awaited(steps)) is None:
                return "stalled"
            self._advance(batches)
            self.after_step()
        if progress.is_evaluation_due:
            self._evaluate()
        return "stalled" if progress.is_evaluation_due else ""

    def _awaited(self, steps: Iterator[list[TrainingBatch]]) -> list[TrainingBatch] | None:
        """Wait for a step's micro-batches; None on all ranks if the wait was ended on any."""
        before, batches = self._source.state_dict(), None
        with suppress(WaitEndedError), self._signals.waiting():
            batches = next(steps)
        if self.ranks.sum(torch.tensor(int(batches is None))):
            self._source.load_state_dict(before)  # some may have been taken
            return None
        return batches

    def _step_size(self) -> int:
        """Return the most micro-batches of the next step."""
        most, left = self.config.batch.grad_accum, self.horizon.left(self._place())
        return min(most, left) or most  # at the end of an epoch, the next one's

    # ---- one step ----------------------------------------------------------------------------

    def _advance(self, batches: list[TrainingBatch]) -> None:
        """Take one step, log it if that is due, and note whether an evaluation is."""
        progress = self.state.progress
        try:
            self._step(batches)
        except NonFiniteLossError:
            self._checkpoints.wait()  # on all ranks: a checkpoint that is being written is kept
            self.ranks.barrier()  # and not cut off by the first rank that raises
            raise
        every = self.config.log.interval(self.horizon.total_steps)
        self._watch.mark_step()
        if progress.step % every == 0 or self._is_over():
            self._log()
        progress.is_evaluation_due = self._is_evaluation_due()

    def _step(self, batches: list[TrainingBatch]) -> None:
        progress = self.state.progress
        self._lr = self._learning_rate()
        self._optimizer_step.take(batches, self._lr)
        tokens, bases = self._meter.count_step(batches)
        progress.step += 1
        progress.epoch = self._place().epochs
        progress.micro_batches += len(batches)
        progress.tokens += tokens
        progress.bases += bases

    def _learning_rate(self) -> float:
        """Return the rate of the next step."""
        progress = self.state.progress
        at = self.horizon.on_schedule(progress.step, progress.epoch)
        return self.config.optim.lr * self._schedule(at)

    def _last_step(self) -> int:
        progress = self.state.progress
        return self.horizon.last_step(progress.step, progress.epoch)

    # ---- logging -----------------------------------------------------------------------------

    def _log(self) -> None:
        """Write the progress line and a row of metrics."""
        self._tick()
        progress, reading = self.state.progress, self._meter.read()
        tokens, bases = self.ranks.sum(torch.tensor([progress.tokens, progress.bases])).tolist()
        memory = read_memory(self.ranks.device)
        line = ProgressLine(
            step=progress.step,
            total_steps=self._last_step(),
            loss=reading.means["loss"],
            lr=self._lr,
            tokens_per_s=reading.tokens_per_s,
            padding_pct=reading.padding_pct,
            mfu_pct=reading.mfu_pct,
            memory_gib=memory.used_gib,
            memory_total_gib=memory.total_gib,
            eta_s=self._seconds_left(reading.seconds_per_step),
        )
        log.info("%s", line)
        values = {
            "epoch": progress.epoch,
            **reading.means,
            "lr": line.lr,
            "tokens": tokens,
            "bases": bases,
            "tokens_per_s": reading.tokens_per_s,
            "bp_per_s": reading.bp_per_s,
            "padding_pct": reading.padding_pct,
            **({} if reading.mfu_pct is None else {"mfu_pct": reading.mfu_pct}),
            "rss_gib": memory.rss_gib,
            "cuda_active_peak_gib": memory.cuda_active_peak_gib,
            "cuda_reserved_peak_gib": memory.cuda_reserved_peak_gib,
            "elapsed_s": progress.elapsed_s,
        }
        self._metrics.write("train", progress.step, values)

    def _seconds_left(self, seconds_per_step: float) -> float:
        by_steps = (self._last_step() - self.state.progress.step) * seconds_per_step
        minutes = self.config.duration.max_minutes
        if minutes is None:
            return by_steps
        return min(by_steps, max(0.0, 60 * minutes - self.state.progress.elapsed_s))

    # ---- evaluation --------------------------------------------------------------------------

    def _is_evaluation_due(self) -> bool:
        progress, every = self.state.progress, self.config.validation.eval_steps
        if self._validation is None:
            return False
        is_due = bool(every and progress.step % every == 0)
        return is_due or progress.ends_epoch or self._is_over()

    def _evaluate(self) -> None:
        """Measure validation losses and the evaluator's figures, and keep the best model.

        The averaged weights are measured, if there are any. A signal to stop leaves the evaluation
        due: the resumed run does it first.
        """
        start, progress = time.perf_counter(), self.state.progress
        before = progress.best_loss, progress.best_step
        try:
            values = self._measure()
        except _SignalReceivedError:
            return
        self._watch.mark()
        is_best = progress.note_evaluation(values["loss"])
        seconds = time.perf_counter() - start
        self._metrics.write("validation", progress.step, {**values, "seconds": seconds})
        names = self._groups.names if self._groups else ()
        log_validation(values, names, progress.step, is_best=is_best)
        self._meter.pause(seconds)
        if is_best:
            self._save()  # it leaves its own time out
            start = time.perf_counter()
            self._checkpoints.wait()  # a kill while the best model is written must find it
            if not self._models.save_best():
                progress.best_loss, progress.best_step = before
            self._meter.pause(time.perf_counter() - start)

    def _measure(self) -> dict[str, float]:
        with self.state.averaged_weights():
            values = self._validate()
            if self._evaluator is not None:
                values |= evaluate(self._evaluator, self._parallel, self.ranks)
        return values

    def _validate(self) -> dict[str, float]:
        return validation_losses(
            self._parallel.call,
            self._until_signal(() if self._validation is None else self._validation()),
            self._objective,
            self.ranks,
            use_bf16=self._use_bf16,
            max_batches=self.config.validation.eval_batches,
            groups=self._groups,
        )

    def _until_signal(self, batches: Iterable[TrainingBatch]) -> Iterator[TrainingBatch]:
        """Yield batches; raise on all ranks alike when a signal to stop has reached any."""
        waiting = iter(batches)
        while True:
            batch: Any = None
            with suppress(WaitEndedError), self._signals.waiting():
                batch = next(waiting, _END)
            self._watch.mark()
            if self.ranks.sum(torch.tensor(int(batch is None))):
                raise _SignalReceivedError
            if batch is _END:
                return
            yield batch

    # ---- saving and stopping -----------------------------------------------------------------

    def _tick(self) -> None:
        """Bring the training time up to now."""
        now = time.perf_counter()
        self.state.progress.elapsed_s += now - self._clock
        self._clock = now

    def _vote(self) -> tuple[str, bool]:
        """Agree with all ranks whether to stop (the reason, or "") and whether to save."""
        self._tick()
        progress, config = self.state.progress, self.config
        minutes, every = config.duration.max_minutes, config.checkpoints.save_every
        is_late = minutes is not None and progress.elapsed_s >= 60 * minutes
        is_due = every is not None and time.perf_counter() - self._saved_at >= 60 * every
        first = self.ranks.is_first  # clocks differ: the first rank's counts
        mine = torch.tensor([self._signals.is_stopping, is_late and first, is_due and first])
        has_signal, has_no_time, has_save = self.ranks.sum(mine.long()).tolist()
        if has_signal:
            return "interrupted", True
        if not self._is_over():
            patience = config.duration.early_stopping
            if has_no_time:
                return "max_minutes", True
            if patience is not None and progress.evaluations_since_best >= patience:
                return "early_stopping", True
        steps = config.checkpoints.save_steps
        by_step = steps is not None and progress.step % steps == 0
        return "", bool(has_save) or by_step or progress.ends_epoch

    def _save(self) -> None:
        """Begin to save a checkpoint of the present step, unless there is one."""
        progress = self.state.progress
        if self._saved_step == progress.step:
            return
        self._tick()
        start, progress.interval = time.perf_counter(), self._meter.state()
        is_begun = self._checkpoints.save(self.state)
        self._saved_step = progress.step if is_begun else None
        self._saved_at = time.perf_counter()
        self._meter.pause(self._saved_at - start)
        self._watch.mark()

    def _save_last(self) -> None:
        """Save the present step, and wait for it; what failed is tried once more."""
        self._save()
        if not self._checkpoints.wait():
            self._saved_step = None
            self._save()
            self._checkpoints.wait()
