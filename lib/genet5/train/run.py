"""From a configuration to a trained model: `run_training`.

A run's directory holds the trained model (config.json, model.safetensors, tokenizer.json),
run.json, metrics.jsonl, metrics.csv, validation.csv, finet.log, `best/` (the model of the lowest
validation loss), `checkpoints/`, and under torchrun launch.json (`train.state.restart`);
`train.state.run_folder` lists everything.

Example:
    config = TrainConfig(train=Path("training.packed"), val=Path("validation.packed"),
                         out=Path("run"), base=Path("base"))
    result = run_training(config)
    result.best_loss, result.metrics
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from torch import nn

from genet5.blocks.compiled import require_compiler
from genet5.config.json_files import config_to_dict, save_json
from genet5.config.manifest import record_checksums
from genet5.config.model import ModelConfig
from genet5.config.parts import PartsConfig
from genet5.config.run import RunConfig
from genet5.config.train import TrainConfig
from genet5.dataset.batch import TrainingBatch
from genet5.dataset.groups import WindowGroups
from genet5.dataset.loader import Loader
from genet5.errors import GeneT5Error
from genet5.model.folders import CONFIG_FILE, load_config, model_folder
from genet5.model.precision import resolve_precision
from genet5.tokens.tokenizer_file import load_tokenizer, tokenizer_hash
from genet5.train.distributed.processes import Ranks, choose_device, distributed
from genet5.train.evaluator import Evaluator, GeneEvaluator
from genet5.train.finite import require_finite_weights
from genet5.train.horizon import Horizon, Outcome
from genet5.train.loop import Trainer
from genet5.train.loss import LossWeights
from genet5.train.mxfp8 import require_mxfp8
from genet5.train.objective import Objective, gene_objective
from genet5.train.optim import adamw_8bit
from genet5.train.parts import count_trained, describe_parts, settle_parts
from genet5.train.setup import (
    TOKENIZER,
    load_model,
    open_data,
    require_model,
)
from genet5.train.state.checkpoint_files import (
    changed_settings,
    find_checkpoint,
    require_same_moments,
)
from genet5.train.state.random_state import derive_seed, repeatable
from genet5.train.state.restart import after_restart, is_restart
from genet5.train.state.run_folder import (
    LOG_FILE,
    MEMORY_FILE,
    METRICS,
    PROFILE_FOLDER,
    RECORD,
    RunFolder,
)
from genet5.train.telemetry.curves import read_rows
from genet5.train.telemetry.log_records import RunLog, run_logging
from genet5.train.telemetry.memory import MemoryWatch
from genet5.train.telemetry.meter import gene_flops
from genet5.train.telemetry.metrics import CsvSink, JsonlSink, Metrics, MetricSink
from genet5.train.telemetry.run_record import end_record, start_record
from genet5.train.telemetry.step_profile import StepProfiler
from genet5.train.telemetry.trackers import TensorBoardSink, WandbSink

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainResult:
    """A run that has ended, and where its files are."""

    out: Path
    """The run's directory, which is also the trained model's."""
    reason: str
    """finished, max_minutes, early_stopping or interrupted."""
    steps: int
    """Optimizer steps done, earlier parts of a resumed run included."""
    best_step: int | None
    """Step of the lowest validation loss; None = no evaluation was done."""
    best_loss: float | None
    """Lowest validation loss."""
    elapsed_s: float
    """Training time, earlier parts of a resumed run included."""
    rank: int = 0
    """Which of the run's processes this is; the first one writes files."""

    @property
    def is_interrupted(self) -> bool:
        """Whether a signal ended the run early; `resume=True` continues it."""
        return self.reason == "interrupted"

    @property
    def metrics(self) -> Path:
        """Rows of training and validation figures, one JSON object a line."""
        return self.out / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Directory of the checkpoints that a run can resume from."""
        return self.out / "checkpoints"

    def rows(self, kind: Literal["train", "validation"]) -> list[dict[str, float]]:
        """Return the rows of one kind of `metrics`, as `pandas.DataFrame` takes them."""
        return [row for each, row in read_rows(self.metrics) if each == kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a family of models brings to a run."""

    model: nn.Module
    """On its device; a `parallel.Model`."""
    source: Loader
    """This rank's training data."""
    validation: Loader
    """This rank's validation data."""
    objective: Objective
    record: dict[str, Any]
    """Plain values for each checkpoint, beside the settings."""
    companions: tuple[str, ...]
    """Files of BASE that go with the weights."""
    complete: Callable[[Path, Path], None] = lambda folder, base: None
    """See `run_training`."""
    evaluator: Evaluator | None = None
    flops: Callable[[Any], int] | None = None


Config = TypeVar("Config", bound=RunConfig)
OpenParts = Callable[[Config, Ranks], Parts]
"""Checks BASE and the data, and loads them; every rank calls it."""


def run_training(
    config: TrainConfig, complete: Callable[[Path, Path], None] = lambda folder, base: None
) -> TrainResult:
    """Train a gene model, alone or as one of the processes that torchrun started.

    SIGINT (Ctrl-C, or a notebook's stop button) and SIGTERM finish the step, save, and end the run;
    their handlers, the log file's handler and the process group are gone when this returns.

    Args:
        config: Settings; the same on all ranks.
        complete: Called with each folder that gets a model, checkpoints included, and with BASE's:
            adds files that are no part of training.

    Raises:
        ConfigError: A setting is wrong, or OUT holds another run.
        DataError: A file does not fit the model.
        CheckpointError: BASE or the checkpoint cannot be used.
        NonFiniteLossError: The loss or its gradient was no finite number.
        RankError: Another rank failed or died.
    """
    return run_family(config, partial(gene_parts, complete=complete), model_folder)


def run_family(
    config: Config,
    open_parts: OpenParts[Config],
    find_base: Callable[[Path], Path] = lambda base: base,
) -> TrainResult:
    """Train a model of any family, as `run_training` does.

    Args:
        config: Settings; the same on all ranks.
        open_parts: Brings the family's model, data and objective.
        find_base: Finds the folder of BASE, which may be more than a path.
    """
    if config.optim.optimizer == "adamw_8bit":
        adamw_8bit()  # fails here rather than after the data are read
    if config.compute.mxfp8:
        device = choose_device(config.compute.device)
        require_mxfp8(device, resolve_precision(config.compute.precision, device))
    config = replace(config, base=find_base(config.base))  # type: ignore[type-var]
    with distributed(config.compute.device) as ranks:
        outcome = finetune(config, ranks, open_parts)
    return TrainResult(
        out=config.out,
        reason=outcome.reason,
        steps=outcome.step,
        best_step=outcome.best_step,
        best_loss=outcome.best_loss,
        elapsed_s=outcome.elapsed_s,
        rank=ranks.rank,
    )


def finetune(config: Config, ranks: Ranks, open_parts: OpenParts[Config]) -> Outcome:
    """Train as one rank of a run; every rank calls it. Errors are those of `run_training`."""
    if ranks.gather(is_restart(config.out, ranks.agent))[0]:
        config = after_restart(config)
    wanted, config = config.compute.precision, with_precision(config, ranks)
    folder = RunFolder(config)
    with ExitStack() as stack:
        stack.enter_context(folder.held(ranks))
        ranks.on_first(folder.check)
        run_log = stack.enter_context(run_logging(ranks.rank, ranks.world_size))
        if config.compute.compile:
            require_compiler(ranks.device.type)
        parts = open_parts(config, ranks)
        require_finite_weights(parts.model, config.base)
        settle_parts(parts.model, config.parts, derive_seed(config.seed, "adapters"))
        for loader in (parts.source, parts.validation):
            stack.callback(loader.close)
        trainer = build_trainer(config, ranks, stack, parts)
        if wanted != config.compute.precision:
            log.info("precision: %s on %s", config.compute.precision, ranks.device.type)
        if checkpoint := ranks.gather(find_checkpoint(config))[0]:
            for change in changed_settings(checkpoint, _settings(config)):
                log.warning("differs from the checkpoint's settings: %s", change)
            require_same_moments(checkpoint, config)
            trainer.load(checkpoint)
        ranks.on_first(lambda: folder.begin(ranks.agent))  # a start that fails costs no earlier run
        if run_log is not None:
            _open_records(config, ranks, trainer, run_log, stack)
        if checkpoint:
            trainer.settle()
        if config.compute.compile:
            log.info("compiling; the first steps are slow")
        outcome = trainer.run()
        trainer.export()
        if ranks.is_first:
            _close_record(config.out / RECORD, outcome)
        log.info("%s at step %d; the run is in %s", outcome.reason, outcome.step, config.out)
    return outcome


def _open_records(
    config: RunConfig, ranks: Ranks, trainer: Trainer, run_log: RunLog, stack: ExitStack
) -> None:
    """Begin the files that describe a run: log, run.json, memory, profile."""
    run_log.open(config.out / LOG_FILE)
    device, size = str(ranks.device), ranks.world_size
    start_record(config.out / RECORD, _settings(config), device=device, world_size=size)
    if config.log.memwatch:
        progress = trainer.state.progress
        watch = MemoryWatch(config.out / MEMORY_FILE, lambda: progress.step, ranks.device)
        stack.enter_context(watch)
    if config.log.profile:
        profiler = StepProfiler(config.out / PROFILE_FOLDER, config.log.profile)
        trainer.after_step = stack.enter_context(profiler).step


def _close_record(path: Path, outcome: Outcome) -> None:
    try:
        end_record(path, asdict(outcome))
    except (GeneT5Error, OSError) as error:  # the model is there, and that is what counts
        log.warning("the end of the run could not be recorded: %s", error)


def with_precision(config: Config, ranks: Ranks) -> Config:
    """Return the settings with "auto" replaced: bf16 if all ranks' devices multiply it fast."""
    found = ranks.gather(resolve_precision(config.compute.precision, ranks.device))
    use_bf16 = "fp32" not in found
    compute = replace(config.compute, precision="bf16" if use_bf16 else "fp32")
    settled: Config = replace(config, compute=compute)  # type: ignore[type-var]
    return settled


def gene_parts(
    config: TrainConfig,
    ranks: Ranks,
    complete: Callable[[Path, Path], None] = lambda folder, base: None,
) -> Parts:
    """Open BASE and the baked files of a gene model; `complete` is that of `run_training`."""
    require_model(config.base)
    source, validation = open_data(config, ranks)
    model = load_model(config, ranks.device)
    weights = LossWeights(
        start=config.optim.start_weight, label_smoothing=config.optim.label_smoothing
    )
    num_windows = config.validation.eval_windows
    return Parts(
        model=model,
        source=source,
        validation=validation,
        objective=gene_objective(model, weights, ranks),
        record={
            "tokenizer": tokenizer_hash(load_tokenizer(config.base)),
            "training_data": source.header.checksum,
        },
        companions=(CONFIG_FILE, TOKENIZER),
        complete=partial(_complete, model.config, complete),
        evaluator=GeneEvaluator(config.val, config.base, num_windows) if num_windows else None,
        flops=gene_flops(model.config),
    )


def _complete(
    shape: ModelConfig, complete: Callable[[Path, Path], None], folder: Path, base: Path
) -> None:
    """Complete a folder that has BASE's files: its shape, if training has added to it."""
    if shape != load_config(base):
        save_json(folder / CONFIG_FILE, config_to_dict(shape))
        record_checksums(folder, CONFIG_FILE)
    complete(folder, base)


def build_trainer(config: RunConfig, ranks: Ranks, stack: ExitStack, parts: Parts) -> Trainer:
    """Put model, data and trainer together and seed all generators.

    Args:
        config: Settings.
        ranks: This process among the run's.
        stack: Gets what is to be closed or put back when the run has ended.
        parts: Model, data and objective.
    """
    is_on_cpu, wanted = ranks.device.type == "cpu", config.compute.deterministic
    seed = derive_seed(config.seed, "train", ranks.rank)
    stack.enter_context(repeatable(seed, deterministic=is_on_cpu if wanted is None else wanted))
    horizon, settings = Horizon.of(config, len(parts.source)), _settings(config)
    log.info(
        "%s parameters, %s trained, %d micro-batches an epoch on each of %d ranks, %d steps",
        f"{sum(parameter.numel() for parameter in parts.model.parameters()):,}",
        f"{count_trained(parts.model):,}",
        len(parts.source),
        ranks.world_size,
        horizon.total_steps,
    )
    if config.parts != PartsConfig():
        for line in describe_parts(parts.model, config.parts):
            log.info("%s", line)
    return Trainer(
        config=config,
        model=parts.model,
        objective=parts.objective,
        source=parts.source,
        horizon=horizon,
        ranks=ranks,
        metrics=stack.enter_context(Metrics(_sinks(config) if ranks.is_first else [])),
        validation=lambda: _first_epoch(parts.validation),
        evaluator=parts.evaluator,
        write_companions=lambda path: _write_companions(config.base, path, parts),
        record={"settings": settings, **parts.record},
        flops=parts.flops,
        groups=WindowGroups(parts.validation.header, config.val),
    )


def _settings(config: RunConfig) -> dict[str, Any]:
    return config_to_dict(config)  # type: ignore[arg-type]  # all are dataclasses


def _first_epoch(loader: Loader) -> Iterator[TrainingBatch]:
    loader.start_epoch(0)
    return iter(loader)


def _write_companions(base: Path, directory: Path, parts: Parts) -> None:
    for name in parts.companions:
        shutil.copyfile(base / name, directory / name)
    record_checksums(directory, *parts.companions)
    parts.complete(directory, base)


def _sinks(config: RunConfig) -> list[MetricSink]:
    sinks: list[MetricSink] = [JsonlSink(config.out / METRICS[0]), CsvSink(config.out)]
    if config.log.tensorboard:
        sinks.append(TensorBoardSink(config.out / "tensorboard"))
    if config.log.wandb is not None:
        sinks.append(WandbSink(config.log.wandb, _settings(config), config.out))
    return sinks
