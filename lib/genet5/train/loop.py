"""The training loop: `Trainer.run` goes step by step until the horizon, the clock, early stopping or a signal.

A step takes `grad_accum` micro-batches of each rank, divides every head's loss by its global count, sums gradients
over ranks, clips, and moves the weights. Everything a run needs to go on lies in `RunState`, so one that was killed and
resumed has the losses of one that was not, to the bit on a CPU.

Example:
    trainer = Trainer(config=config, model=model, objective=objective, source=loader, horizon=horizon, ...)
    trainer.resume(checkpoint)
    outcome = trainer.run()
    trainer.export()
"""

from __future__ import annotations

import itertools
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from genet5.config.model import ModelConfig
from genet5.config.train import TrainConfig
from genet5.dataset.batch import Batch
from genet5.errors import DataError
from genet5.train.distributed.parallel import Parallel, whole
from genet5.train.distributed.processes import Ranks
from genet5.train.experts import update_experts
from genet5.train.finite import NonFiniteLossError, require_finite
from genet5.train.horizon import Horizon, Outcome
from genet5.train.objective import Objective, step_counts
from genet5.train.optim import WeightAverage, build_optimizer, make_schedule, set_learning_rate
from genet5.train.state.checkpoint import CheckpointWriter, load_checkpoint
from genet5.train.state.export import BestModel, write_model
from genet5.train.state.run_state import BatchSource, Progress, RunState
from genet5.train.stop_signals import StopSignals
from genet5.train.telemetry.memory import read_memory
from genet5.train.telemetry.meter import Meter, device_peak
from genet5.train.telemetry.metrics import Metrics, drop_rows_after
from genet5.train.telemetry.progress_line import ProgressLine
from genet5.train.validation import validation_losses

log = logging.getLogger(__name__)


class _SignalCameError(Exception):
    """Ends an evaluation."""


class Trainer:
    """One training run.

    Args:
        config: Settings.
        model: On its device, the same on all ranks; a `parallel.Model`. With FSDP2 this rank keeps its share alone.
        objective: What to minimise.
        source: This rank's training batches.
        horizon: Length of the run.
        ranks: This process among the run's.
        metrics: Where rows of numbers go.
        validation: Gives this rank's validation batches, the same ones at each call; None = no validation.
        judge: Called on rank 0 with the model in evaluation mode; returns further validation figures (gene F1).
        save_beside: Called with each directory that gets a model, to put config.json and tokenizer.json there.
        record: Plain values for each checkpoint (settings, hashes).
        shape: The model's, to count its FLOPs by; None = no MFU is told.
    """

    def __init__(
        self,
        *,
        config: TrainConfig,
        model: nn.Module,
        objective: Objective,
        source: BatchSource,
        horizon: Horizon,
        ranks: Ranks,
        metrics: Metrics,
        validation: Callable[[], Iterable[Batch]] | None = None,
        judge: Callable[[nn.Module], dict[str, float]] | None = None,
        save_beside: Callable[[Path], None] = lambda path: None,
        record: dict[str, Any] | None = None,
        shape: ModelConfig | None = None,
    ) -> None:
        self.config, self.horizon, self.ranks = config, horizon, ranks
        self._objective, self._source, self._metrics = objective, source, metrics
        self._validation, self._judge, self._save_beside = validation, judge, save_beside
        self._parallel = Parallel(
            model, ranks, config.compute.parallel, use_bf16=config.compute.precision == "bf16"
        )
        decay = config.optim.ema_decay
        self.state = RunState(
            model=model,
            optimizer=build_optimizer(model, config.optim),
            source=source,
            progress=Progress(),
            average=None if decay is None else WeightAverage(model, decay),
        )
        self._schedule = make_schedule(config.optim, horizon.total_steps)
        self._checkpoints = CheckpointWriter(
            config.out / "checkpoints",
            ranks,
            record=record,
            save_beside=save_beside,
            keep_last=config.checkpoints.keep_last,
        )
        self._best = BestModel(config.out)
        peak = device_peak(ranks.device, config.compute.precision)
        if peak is None and ranks.device.type == "cuda":
            log.warning("no MFU is told: the peak of %s is not known", torch.cuda.get_device_name(ranks.device))  # fmt: skip
        self._meter = Meter(ranks, shape=shape, peak=peak)
        self._signals = StopSignals()
        self._saved_step: int | None = None
        self._saved_at = self._clock = time.perf_counter()

    # ---- the run -----------------------------------------------------------------------------------------------

    def resume(self, checkpoint: Path) -> None:
        """Go on from a checkpoint; rows of later steps leave the metric files, a best model of another branch steps aside."""
        load_checkpoint(checkpoint, self.state, self.ranks)
        progress = self.state.progress
        self.horizon = self.horizon.after(progress.step, progress.epoch)
        self._meter.load_state(progress.interval)
        self._saved_step = None if progress.is_evaluation_due else progress.step
        found = "same"
        if self.ranks.is_first:
            drop_rows_after(
                self.config.out, progress.step, evaluated=not progress.is_evaluation_due
            )
            found = self._best.compare(progress)
        found = self.ranks.gather(found)[0]
        if found == "present":
            self._save_best()
        elif found == "lost":
            progress.best_loss = progress.best_step = None
        log.info("resumed from %s", checkpoint)

    def run(self) -> Outcome:
        """Train; save the state at the end, whatever ends it except an error."""
        progress, reason = self.state.progress, "finished"
        log_every = self.config.log.interval(self.horizon.total_steps)
        batches = self._batches()
        self.state.model.train()
        self._clock = self._saved_at = time.perf_counter()
        self._meter.restart_clock()
        with self._signals:
            while progress.step < self.horizon.total_steps or progress.is_evaluation_due:
                if not progress.is_evaluation_due:
                    try:
                        self._step(list(itertools.islice(batches, self.config.batch.grad_accum)))
                    except NonFiniteLossError:
                        self._checkpoints.wait()  # on all ranks: what is being written is not lost
                        self.ranks.barrier()  # nor cut off by the first rank that says so
                        raise
                    if progress.step % log_every == 0 or progress.step == self.horizon.total_steps:
                        self._log()
                    progress.is_evaluation_due = self._is_evaluation_due()
                if progress.is_evaluation_due:
                    self._evaluate()
                stop, save = self._vote()
                if save or stop:
                    self._save()
                if stop:
                    reason = stop
                    break
            self._save()
            self._checkpoints.wait()
        return Outcome(
            reason, progress.step, progress.best_step, progress.best_loss, progress.elapsed_s
        )

    def export(self) -> None:
        """Write the trained model into OUT: the best weights, or the last (averaged) ones."""
        has_best = self.config.validation.export == "best" and self.ranks.is_first
        if self.ranks.gather(has_best and self._best.export())[0]:
            return
        self._give_writer(lambda write: write_model(self.config.out, write))

    def _batches(self) -> Iterator[Batch]:
        """Yield batches epoch after epoch."""
        while True:
            is_empty = True
            for batch in self._source:
                is_empty = False
                yield batch
            if is_empty and self.state.progress.micro_batches == 0:
                raise DataError("no training batch", path=self.config.train)

    # ---- one step ----------------------------------------------------------------------------------------------

    def _step(self, batches: list[Batch]) -> None:
        """Do one optimizer step.

        Raises:
            NonFiniteLossError: Loss or gradient is not finite; on all ranks alike.
        """
        model, optimizer, progress = self.state.model, self.state.optimizer, self.state.progress
        counts = step_counts(self._objective, batches, self.ranks)
        losses = []
        for number, batch in enumerate(batches, 1):
            with self._parallel.accumulate(is_last=number == len(batches)):
                losses.append(self._forward_backward(batch, counts))
        norm = whole(nn.utils.clip_grad_norm_(model.parameters(), self.config.optim.max_grad_norm))
        require_finite(
            torch.stack(losses), norm, batches, self.ranks, step=progress.step + 1, out=self.config.out
        )  # fmt: skip
        set_learning_rate(optimizer, self._learning_rate(progress.step))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if self.state.average is not None:
            self.state.average.update(model)
        for name, value in update_experts(model, self.ranks).items():
            self._meter.add_shared(name, value)
        self._meter.add_shared("grad_norm", norm)
        tokens, bases = self._meter.count_step(batches)
        progress.step += 1
        progress.epoch = self.horizon.epoch(progress.step)
        progress.micro_batches += len(batches)
        progress.tokens += tokens
        progress.bases += bases
        self._release_memory()

    def _forward_backward(self, batch: Batch, counts: dict[str, float]) -> Tensor:
        """Add the gradient of one micro-batch; return its part of the step's loss."""
        moved = batch.to(self.ranks.device)
        with self._autocast():
            output = self._parallel.call(moved)
        parts = []
        for head, term in self._objective.sums(output, moved).items():
            mean = term.sum / counts[head]
            self._meter.add(f"loss_{head}", mean.detach())
            parts.append(term.weight * mean)
        loss = torch.stack(parts).sum()
        torch.autograd.backward(loss * self.ranks.world_size)  # gradients are averaged over ranks
        self._meter.add("loss", loss.detach())
        return loss.detach()

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.config.compute.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.ranks.device.type, torch.bfloat16)

    def _learning_rate(self, step: int) -> float:
        """Return the rate of the step behind `step` others."""
        return self.config.optim.lr * self._schedule(self.horizon.on_schedule(step))

    def _release_memory(self) -> None:
        every = self.config.compute.empty_cache_steps
        if every and self.state.progress.step % every == 0 and self.ranks.device.type == "cuda":
            torch.cuda.empty_cache()

    # ---- telling and judging -----------------------------------------------------------------------------------

    def _log(self) -> None:
        """Write the progress line and a row of metrics."""
        self._tick()
        progress, reading = self.state.progress, self._meter.read()
        tokens, bases = self.ranks.sum(torch.tensor([progress.tokens, progress.bases])).tolist()
        memory = read_memory(self.ranks.device)
        line = ProgressLine(
            step=progress.step,
            total_steps=self.horizon.total_steps,
            loss=reading.means["loss"],
            lr=self._learning_rate(progress.step - 1),
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
        by_steps = (self.horizon.total_steps - self.state.progress.step) * seconds_per_step
        minutes = self.config.duration.max_minutes
        if minutes is None:
            return by_steps
        return min(by_steps, max(0.0, 60 * minutes - self.state.progress.elapsed_s))

    def _is_evaluation_due(self) -> bool:
        step, every = self.state.progress.step, self.config.validation.eval_steps
        if self._validation is None:
            return False
        is_last = step == self.horizon.total_steps
        return is_last or self.horizon.ends_epoch(step) or bool(every and step % every == 0)

    def _evaluate(self) -> None:
        """Measure validation losses and the judge's figures with the averaged weights; keep the best model.

        A signal to stop leaves the evaluation due: the resumed run does it first.
        """
        start, progress = time.perf_counter(), self.state.progress
        try:
            with self._weights_in_use():
                values = {**self._validate(), **self._ask_judge()}
        except _SignalCameError:
            return
        progress.is_evaluation_due = False
        is_best = math.isfinite(values["loss"]) and (
            progress.best_loss is None or values["loss"] < progress.best_loss
        )
        if is_best:
            progress.best_loss, progress.best_step = values["loss"], progress.step
        progress.evaluations_since_best = 0 if is_best else progress.evaluations_since_best + 1
        seconds = time.perf_counter() - start
        self._metrics.write("validation", progress.step, {**values, "seconds": seconds})
        shown = " | ".join(f"{name} {value:.4f}" for name, value in values.items())
        log.info("validation at step %d%s: %s", progress.step, " (best)" if is_best else "", shown)
        self._meter.pause(seconds)
        if is_best:
            self._save()  # it leaves its own time out
            start = time.perf_counter()
            self._checkpoints.wait()  # a kill while the best model is written must find its checkpoint
            self._save_best()
            self._meter.pause(time.perf_counter() - start)

    def _validate(self) -> dict[str, float]:
        return validation_losses(
            self._parallel.call,
            self._until_signal(() if self._validation is None else self._validation()),
            self._objective,
            self.ranks,
            use_bf16=self.config.compute.precision == "bf16",
            max_batches=self.config.validation.eval_batches,
        )

    def _until_signal(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield batches; raise on all ranks alike when a signal to stop has reached any."""
        for batch in batches:
            if self.ranks.sum(torch.tensor(int(self._signals.is_stopping))):
                raise _SignalCameError
            yield batch

    def _ask_judge(self) -> dict[str, float]:
        """Let the judge see the whole model on rank 0, without touching the run's random state."""
        if not any(self.ranks.gather(self._judge is not None)):
            return {}
        model, device = self._parallel.undivided(), self.ranks.device
        if model is None or self._judge is None:
            return {}
        model.eval()
        with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.no_grad():
            values = self._judge(model)
        model.train()
        return values

    def _weights_in_use(self) -> AbstractContextManager[None]:
        """Put the averaged weights into the model while a block runs, if there are any."""
        average = self.state.average
        return nullcontext() if average is None else average.applied(self.state.model)

    # ---- saving and stopping -----------------------------------------------------------------------------------

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
        if progress.step < self.horizon.total_steps:
            patience = config.duration.early_stopping
            if has_no_time:
                return "max_minutes", True
            if patience is not None and progress.evaluations_since_best >= patience:
                return "early_stopping", True
        steps = config.checkpoints.save_steps
        by_step = steps is not None and progress.step % steps == 0
        return "", bool(has_save) or by_step or self.horizon.ends_epoch(progress.step)

    def _save(self) -> None:
        """Begin to save a checkpoint of the present step, unless there is one."""
        progress = self.state.progress
        if self._saved_step == progress.step:
            return
        self._tick()
        start, progress.interval = time.perf_counter(), self._meter.state()
        self._checkpoints.save(self.state)
        self._saved_step, self._saved_at = progress.step, time.perf_counter()
        self._meter.pause(self._saved_at - start)

    def _save_best(self) -> None:
        self._give_writer(lambda write: self._best.save(self.state.progress, write))

    def _give_writer(self, use: Callable[[Callable[[Path], None]], None]) -> None:
        """Give `use` on rank 0 what writes the present (averaged) weights into a directory; every rank calls it."""
        with self._weights_in_use():
            weights = self._parallel.weights()

            def write(directory: Path) -> None:
                self.state.model.save_pretrained(directory, tensors=weights)  # type: ignore[operator]
                self._save_beside(directory)

            if self.ranks.is_first:
                use(write)
