"""The training loop: `Trainer.run` goes step by step until the horizon, the clock, early stopping or a signal.

A step takes `grad_accum` micro-batches of each rank, divides every head's loss by its global count, sums gradients
over ranks, clips, and moves the weights. The loop never looks back: everything it needs to go on lies in `RunState`,
so a run that was killed and resumed has the losses of one that was not, to the bit on a CPU.

    trainer = Trainer(model=model, objective=objective, source=loader, plan=plan, ranks=ranks, out=out, ...)
    trainer.resume(checkpoint)
    outcome = trainer.run()
"""

from __future__ import annotations

import itertools
import logging
import math
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from genet5.config.files import load_json, save_json
from genet5.config.train import TrainConfig
from genet5.dataset.batch import Batch
from genet5.errors import DataError, GeneT5Error
from genet5.train.checkpoint import (
    Progress,
    RunState,
    list_checkpoints,
    load_checkpoint,
    save_checkpoint,
)
from genet5.train.dist import Ranks
from genet5.train.logging import Metrics, ProgressLine, drop_rows_after
from genet5.train.memwatch import read_memory
from genet5.train.objective import Objective, step_counts
from genet5.train.optim import WeightAverage, build_optimizer, make_schedule, set_learning_rate
from genet5.train.validate import validation_losses

log = logging.getLogger(__name__)

MAX_NAMED_WINDOWS = 8
"""Windows that an error names; the file beside it names all."""


class BatchSource(Protocol):
    """This rank's training batches, without end, in an order that only depends on seed and epoch."""

    def __iter__(self) -> Iterator[Batch]:
        """Yield the rest of the present epoch; the next call yields the next epoch."""

    def state_dict(self) -> dict[str, Any]:
        """Return the position behind the last batch yielded, as plain JSON values."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a position."""


class NonFiniteLossError(GeneT5Error):
    """The loss or its gradient is not a finite number; the weights are those of the step before.

    Args:
        step: The step that was not done.
        what: What is not finite.
        windows: Windows of the micro-batch.
        path: File that lists all windows.
    """

    def __init__(self, step: int, what: str, windows: Sequence[str], path: Path) -> None:
        super().__init__(step, what, windows)
        self.step, self.what, self.windows, self.path = step, what, tuple(windows), path

    def __str__(self) -> str:
        named = ", ".join(self.windows[:MAX_NAMED_WINDOWS])
        more = len(self.windows) - MAX_NAMED_WINDOWS
        return (
            f"step {self.step}: {self.what} in a micro-batch of {named}"
            + (f" and {more} more windows (all in {self.path})" if more > 0 else "")
            + ". The weights were not changed. Lower --lr, or look at these windows,"
            " and go on from the last checkpoint with --resume."
        )


@dataclass(frozen=True, slots=True)
class Horizon:
    """How long a run is, in steps."""

    total_steps: int
    """The schedule ends here."""
    steps_per_epoch: float
    """Need not be whole: a step may take micro-batches of two epochs."""

    @classmethod
    def of(cls, config: TrainConfig, micro_batches_per_epoch: int) -> Horizon:
        """Return the horizon that the settings ask for; `max_steps` goes before `epochs`."""
        if micro_batches_per_epoch < 1:
            raise DataError("no training batch", path=config.train, remedy="Bake more windows")
        per_epoch = micro_batches_per_epoch / config.batch.grad_accum
        steps = config.duration.max_steps or math.ceil(config.duration.epochs * per_epoch)
        return cls(max(1, steps), per_epoch)

    def ends_epoch(self, step: int) -> bool:
        """Whether an epoch ends with the step that makes `step` steps done."""
        return int(step / self.steps_per_epoch) > int((step - 1) / self.steps_per_epoch)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    reason: str
    """finished, max_minutes, early_stopping or interrupted."""
    step: int
    best_step: int | None
    best_loss: float | None
    elapsed_s: float


@dataclass(slots=True)
class _Speed:
    """What the progress line says about the time since the last one; not saved."""

    started: float
    steps: int = 0
    tokens: int = 0
    padded: int = 0
    bases: int = 0


class Trainer:
    """One training run.

    Args:
        config: Settings.
        model: On its device, with `save_pretrained(path)`.
        objective: What to minimise.
        source: This rank's training batches.
        horizon: Length of the run.
        ranks: This process among the run's.
        metrics: Where rows of numbers go.
        validation: Gives this rank's validation batches, the same ones at each call; None = no validation.
        judge: Called on rank 0 with the model in evaluation mode; returns further validation figures (gene F1).
        save_beside: Called with each directory that gets a model, to put the tokenizer there.
        record: Plain values for each checkpoint (settings, hashes).
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
    ) -> None:
        self.config, self.horizon, self.ranks = config, horizon, ranks
        self.out = config.out
        self._objective, self._metrics = objective, metrics
        self._validation, self._judge, self._save_beside = validation, judge, save_beside
        self._record = record or {}
        decay = config.optim.ema_decay
        self.state = RunState(
            model=model,
            optimizer=build_optimizer(model, config.optim),
            source=source,
            progress=Progress(),
            average=None if decay is None else WeightAverage(model, decay),
        )
        self._schedule = make_schedule(config.optim, horizon.total_steps)
        self._stream = self._batches()
        self._sums: dict[str, Tensor] = {}
        self._speed = _Speed(time.perf_counter())
        self._signal: int | None = None
        self._saved_step: int | None = None
        self._saved_at = self._clock = time.perf_counter()

    # ---- the run -----------------------------------------------------------------------------------------------

    def resume(self, checkpoint: Path) -> None:
        """Go on from a checkpoint; rows of later steps leave the metric files."""
        load_checkpoint(checkpoint, self.state, self.ranks)
        progress = self.state.progress
        device = self.ranks.device
        self._sums = {
            name: torch.tensor(value, dtype=torch.float64, device=device)
            for name, value in progress.interval.items()
        }
        self._stream = self._batches()
        self._saved_step = progress.step
        if self.ranks.is_first:
            drop_rows_after(self.out, progress.step)
        self._reconcile_best()
        self.ranks.barrier()
        log.info("resumed from %s", checkpoint)

    def run(self) -> Outcome:
        """Train; save the state at the end, whatever ends it except an error."""
        config, progress = self.config, self.state.progress
        log_every = config.log.interval(self.horizon.total_steps)
        reason = "finished"
        self.state.model.train()
        self._clock = self._saved_at = self._speed.started = time.perf_counter()
        with self._catch_signals():
            while progress.step < self.horizon.total_steps:
                self._step(list(itertools.islice(self._stream, config.batch.grad_accum)))
                if progress.step % log_every == 0 or progress.step == self.horizon.total_steps:
                    self._log()
                if self._is_evaluation_due():
                    self._evaluate()
                stop, save = self._vote()
                if save or stop:
                    self._save()
                if stop:
                    reason = stop
                    break
            self._save()
        return Outcome(
            reason, progress.step, progress.best_step, progress.best_loss, progress.elapsed_s
        )

    def export(self) -> None:
        """Write the trained model into the run's directory: the best weights, or the last (averaged) ones."""
        if not self.ranks.is_first:
            return
        best = self.out / "best"
        if self.config.validation.export == "best" and (best / "model.safetensors").exists():
            for path in sorted(best.iterdir()):
                if path.name != "best.json":
                    _copy_file(path, self.out / path.name)
        else:
            self._save_model(self.out)

    # ---- one step ----------------------------------------------------------------------------------------------

    def _batches(self) -> Iterator[Batch]:
        """Yield batches epoch after epoch."""
        while True:
            is_empty = True
            for batch in self.state.source:  # type: ignore[attr-defined]
                is_empty = False
                yield batch
            if is_empty and self.state.progress.micro_batches == 0:
                raise DataError("no training batch", path=self.config.train)

    def _step(self, batches: list[Batch]) -> None:
        """Do one optimizer step.

        Raises:
            NonFiniteLossError: Loss or gradient is not finite; on all ranks alike.
        """
        model, optimizer, progress = self.state.model, self.state.optimizer, self.state.progress
        counts = step_counts(self._objective, batches, self.ranks)
        losses = [self._forward_backward(batch, counts) for batch in batches]
        self.ranks.sum_gradients(model.parameters())
        norm = nn.utils.clip_grad_norm_(model.parameters(), self.config.optim.max_grad_norm)
        self._require_finite(torch.stack(losses), norm, batches)
        set_learning_rate(optimizer, self.config.optim.lr * self._schedule(progress.step))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if self.state.average is not None:
            self.state.average.update(model)
        self._add("grad_norm", norm / self.ranks.world_size)
        self._count(batches)
        self._release_memory()

    def _forward_backward(self, batch: Batch, counts: dict[str, float]) -> Tensor:
        """Add the gradient of one micro-batch; return its part of the step's loss."""
        moved = batch.to(self.ranks.device)
        with self._autocast():
            output = self.state.model(moved)
        parts = {}
        for head, term in self._objective.sums(output, moved).items():
            mean = term.sum / counts[head]
            self._add(f"loss_{head}", mean.detach())
            parts[head] = term.weight * mean
        loss = torch.stack(list(parts.values())).sum()
        torch.autograd.backward(loss)
        self._add("loss", loss.detach())
        return loss.detach()

    def _autocast(self) -> Any:
        if self.config.compute.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.ranks.device.type, torch.bfloat16)

    def _require_finite(self, losses: Tensor, norm: Tensor, batches: Sequence[Batch]) -> None:
        good = torch.isfinite(losses)
        is_bad = 1.0 - (good.all() & torch.isfinite(norm)).double()
        if not self.ranks.sum(is_bad):
            return
        bad = [
            batch.window_ids for batch, fine in zip(batches, good.tolist(), strict=True) if not fine
        ]
        has_bad_loss = self.ranks.gather(bool(bad))
        if not any(has_bad_loss):
            bad = [batch.window_ids for batch in batches]
        windows = [name for names in self.ranks.gather(bad) for batch in names for name in batch]
        path = self.out / "nonfinite.json"
        step = self.state.progress.step + 1
        if self.ranks.is_first:
            save_json(path, {"step": step, "losses": losses.tolist(), "windows": windows})
        what = "the loss is not finite" if any(has_bad_loss) else "the gradient is not finite"
        raise NonFiniteLossError(step, what, windows, path)

    def _add(self, name: str, value: Tensor) -> None:
        """Add to the interval's sums, which stay on the device."""
        before = self._sums.get(name)
        exact = value.double()
        self._sums[name] = exact if before is None else before + exact

    def _count(self, batches: Sequence[Batch]) -> None:
        progress, speed = self.state.progress, self._speed
        for batch in batches:
            tokens, bases = (
                int(batch.inputs.num_tokens.sum()),
                int(batch.inputs.num_bases.sum()),
            )
            progress.tokens += tokens
            progress.bases += bases
            speed.tokens += tokens
            speed.bases += bases
            speed.padded += batch.inputs.input_ids.numel()
        progress.micro_batches += len(batches)
        progress.step += 1
        speed.steps += 1
        self._add("steps", torch.tensor(1.0 / self.ranks.world_size, device=self.ranks.device))

    def _release_memory(self) -> None:
        every = self.config.compute.empty_cache_steps
        if every and self.state.progress.step % every == 0 and self.ranks.device.type == "cuda":
            torch.cuda.empty_cache()

    # ---- telling -----------------------------------------------------------------------------------------------

    def _log(self) -> None:
        """Write the progress line and a row of metrics; sums start again."""
        self._tick()
        progress, speed = self.state.progress, self._speed
        names = sorted(self._sums)
        totals = self.ranks.sum(torch.stack([self._sums[name] for name in names])).tolist()
        sums = dict(zip(names, totals, strict=True))
        steps = sums.pop("steps")
        means = {name: total / steps for name, total in sums.items()}
        counted = torch.tensor(
            [speed.tokens, speed.padded, speed.bases, progress.tokens, progress.bases]
        )
        tokens, padded, bases, all_tokens, all_bases = self.ranks.sum(counted).tolist()
        seconds = max(time.perf_counter() - speed.started, 1e-9)
        memory = read_memory(self.ranks.device)
        left = self.horizon.total_steps - progress.step
        line = ProgressLine(
            step=progress.step,
            total_steps=self.horizon.total_steps,
            loss=means["loss"],
            lr=self._learning_rate(),
            tokens_per_s=tokens / seconds,
            padding_pct=100 * (1 - tokens / padded),
            mfu_pct=None,
            memory_gib=memory.used_gib,
            memory_total_gib=memory.total_gib,
            eta_s=self._seconds_left(left * seconds / max(1, speed.steps)),
        )
        log.info("%s", line)
        self._metrics.write(
            "train",
            progress.step,
            {
                "epoch": progress.step / self.horizon.steps_per_epoch,
                **means,
                "lr": line.lr,
                "tokens": all_tokens,
                "bases": all_bases,
                "tokens_per_s": line.tokens_per_s,
                "bp_per_s": bases / seconds,
                "padding_pct": line.padding_pct,
                "rss_gib": memory.rss_gib,
                "cuda_reserved_peak_gib": memory.cuda_reserved_peak_gib,
                "elapsed_s": progress.elapsed_s,
            },
        )
        self._sums = {}
        self._speed = _Speed(time.perf_counter())

    def _learning_rate(self) -> float:
        """Return the rate of the last step."""
        return self.config.optim.lr * self._schedule(self.state.progress.step - 1)

    def _seconds_left(self, by_steps: float) -> float:
        minutes = self.config.duration.max_minutes
        if minutes is None:
            return by_steps
        return min(by_steps, max(0.0, 60 * minutes - self.state.progress.elapsed_s))

    # ---- judging -----------------------------------------------------------------------------------------------

    def _is_evaluation_due(self) -> bool:
        step, every = self.state.progress.step, self.config.validation.eval_steps
        if self._validation is None:
            return False
        is_last = step == self.horizon.total_steps
        return is_last or self.horizon.ends_epoch(step) or bool(every and step % every == 0)

    def _evaluate(self) -> None:
        """Measure the validation losses and the judge's figures with the averaged weights; keep the best model."""
        if self._validation is None:
            return
        start, progress, model = time.perf_counter(), self.state.progress, self.state.model
        with self._weights_in_use():
            values = validation_losses(
                model,
                self._validation(),
                self._objective,
                self.ranks,
                use_bf16=self.config.compute.precision == "bf16",
                max_batches=self.config.validation.eval_batches,
            )
            if self._judge is not None and self.ranks.is_first:
                values.update(self._ask_judge(self._judge))
        is_best = progress.best_loss is None or values["loss"] < progress.best_loss
        if is_best:
            progress.best_loss, progress.best_step = values["loss"], progress.step
        progress.evaluations_since_best = 0 if is_best else progress.evaluations_since_best + 1
        seconds = time.perf_counter() - start
        self._metrics.write("validation", progress.step, {**values, "seconds": seconds})
        shown = " | ".join(f"{name} {value:.4f}" for name, value in values.items())
        log.info("validation at step %d%s: %s", progress.step, " (best)" if is_best else "", shown)
        self._speed.started += seconds
        if is_best:
            self._save()
            self._save_best()

    def _save_best(self) -> None:
        """Put the present weights into OUT/best; its checkpoint exists already, so a kill in here loses nothing."""
        if self.ranks.is_first:
            progress = self.state.progress
            self._save_model(self.out / "best")
            best = {"step": progress.best_step, "loss": progress.best_loss}
            save_json(self.out / "best" / "best.json", best)

    def _reconcile_best(self) -> None:
        """After a resume, make OUT/best what the checkpoint says; the best model of another branch steps aside."""
        progress, best = self.state.progress, self.out / "best"
        record = load_json(best / "best.json") if (best / "best.json").exists() else {}
        if record.get("step") == progress.best_step:
            return
        if progress.best_step == progress.step:
            self._save_best()
            return
        if self.ranks.is_first and best.exists():
            aside = self.out / f"best-{record.get('step', 'unknown')}"
            shutil.rmtree(aside, ignore_errors=True)
            best.rename(aside)
            log.warning("the best model so far is not of this branch: it is now %s", aside)
        progress.best_loss = progress.best_step = None

    def _ask_judge(self, judge: Callable[[nn.Module], dict[str, float]]) -> dict[str, float]:
        """Call the judge without touching the run's random state."""
        model, devices = self.state.model, [self.ranks.device]
        model.eval()
        with torch.random.fork_rng([d for d in devices if d.type == "cuda"]), torch.no_grad():
            values = judge(model)
        model.train()
        return values

    @contextmanager
    def _weights_in_use(self) -> Iterator[None]:
        """Put the averaged weights into the model while the block runs, if there are any."""
        average = self.state.average
        with nullcontext() if average is None else average.applied(self.state.model):
            yield

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
        mine = torch.tensor(
            [
                float(self._signal is not None),
                float(is_late and self.ranks.is_first),
                float(is_due and self.ranks.is_first),
            ]
        )
        has_signal, has_no_time, has_save = (vote > 0 for vote in self.ranks.sum(mine).tolist())
        patience = config.duration.early_stopping
        if has_signal:
            return "interrupted", True
        if progress.step < self.horizon.total_steps:
            if has_no_time:
                return "max_minutes", True
            if patience is not None and progress.evaluations_since_best >= patience:
                return "early_stopping", True
        steps = config.checkpoints.save_steps
        by_step = steps is not None and progress.step % steps == 0
        return "", has_save or by_step or self.horizon.ends_epoch(progress.step)

    def _save(self) -> None:
        """Save a checkpoint of the present step, unless there is one."""
        progress = self.state.progress
        if self._saved_step == progress.step:
            return
        self._tick()
        progress.interval = {name: float(value) for name, value in self._sums.items()}
        start = time.perf_counter()
        path = save_checkpoint(
            self.out / "checkpoints",
            self.state,
            self.ranks,
            record={**self._record, "step": progress.step},
            keep_last=self.config.checkpoints.keep_last,
        )
        if self.ranks.is_first:
            self._save_beside(path)
        self._saved_step, self._saved_at = progress.step, time.perf_counter()
        self._speed.started += self._saved_at - start
        log.info("saved %s (%.1f s)", path, self._saved_at - start)

    def _save_model(self, directory: Path) -> None:
        """Write a model directory, file by file under temporary names."""
        scratch = directory / ".model.tmp"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        with self._weights_in_use():
            self.state.model.save_pretrained(scratch)  # type: ignore[operator]
        self._save_beside(scratch)
        for path in scratch.iterdir():
            path.replace(directory / path.name)
        scratch.rmdir()

    @contextmanager
    def _catch_signals(self) -> Iterator[None]:
        """Let SIGINT and SIGTERM end the run after the present step; a second SIGINT ends it at once."""

        def stop(number: int, frame: FrameType | None) -> None:
            if os.getpid() != owner:  # a worker that makes batches: it goes when the run goes
                return
            if self._signal is not None and number == signal.SIGINT:
                raise KeyboardInterrupt
            self._signal = number
            log.warning("%s: finishing the step, then saving", signal.Signals(number).name)

        owner, wanted = os.getpid(), (signal.SIGINT, signal.SIGTERM)
        try:
            before = {number: signal.signal(number, stop) for number in wanted}
        except ValueError:  # not the main thread: whoever runs us there handles signals
            before = {}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def find_checkpoint(config: TrainConfig) -> Path | None:
    """Return the checkpoint that a run is to go on from: the named one, or with `resume` the newest in OUT."""
    if config.checkpoints.checkpoint is not None:
        return config.checkpoints.checkpoint
    found = list_checkpoints(config.out / "checkpoints") if config.checkpoints.resume else []
    return found[-1] if found else None


def changed_settings(checkpoint: Path, settings: dict[str, Any]) -> list[str]:
    """Return "name: old -> new" for each setting of the record in a checkpoint that differs."""
    before = load_json(checkpoint / "trainer.json").get("settings", {})
    flat_before, flat_now = dict(_flat(before)), dict(_flat(settings))
    return [
        f"{name}: {flat_before.get(name)!r} -> {flat_now.get(name)!r}"
        for name in sorted(flat_before.keys() | flat_now.keys())
        if flat_before.get(name) != flat_now.get(name)
    ]


def _flat(values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value)
        else:
            yield name, value


def _copy_file(source: Path, target: Path) -> None:
    """Copy under a temporary name, then rename."""
    scratch = target.with_name(target.name + ".tmp")
    shutil.copyfile(source, scratch)
    scratch.replace(target)
