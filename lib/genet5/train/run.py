"""From settings to a finished run: check the files, build the parts, train, export.

`finetune` is what `genet5 finet` calls in every process of a run. A run's directory holds the trained model
(config.json, model.safetensors, tokenizer.json), run.json, metrics.jsonl, metrics.csv, validation.csv, finet.log,
`best/` (the model of the lowest validation loss), `checkpoints/`, and under torchrun launch.json (`train.restart`).
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from genet5.blocks.windowed import choose_backend
from genet5.config.json_files import config_to_dict
from genet5.config.train import TrainConfig
from genet5.dataset.batch import Batch
from genet5.dataset.loader import Loader
from genet5.dataset.packed import Header
from genet5.errors import CheckpointError, ConfigError, DataError
from genet5.model.folders import CONFIG_FILE
from genet5.model.network import GeneT5, count_parameters
from genet5.model.resize import require_fit
from genet5.tokens.tokenizer_file import Tokenizer, load_tokenizer, tokenizer_hash
from genet5.train.distributed.processes import Ranks
from genet5.train.horizon import Horizon, Outcome
from genet5.train.loop import Trainer
from genet5.train.loss import LossWeights
from genet5.train.mxfp8 import require_mxfp8, use_mxfp8
from genet5.train.objective import gene_objective
from genet5.train.state.checkpoint import (
    changed_settings,
    find_checkpoint,
    list_checkpoints,
    read_step,
    set_aside_later,
)
from genet5.train.state.random_state import derive_seed, seed_everything
from genet5.train.state.restart import MARK, after_restart, is_restart, mark_start
from genet5.train.telemetry.log_records import close_logging, setup_logging
from genet5.train.telemetry.memory import GIB, MemoryWatch
from genet5.train.telemetry.metrics import (
    CsvSink,
    JsonlSink,
    Metrics,
    MetricSink,
    TensorBoardSink,
    WandbSink,
)
from genet5.train.telemetry.run_record import end_record, start_record

log = logging.getLogger(__name__)

Judge = Callable[[nn.Module], dict[str, float]]
"""Token budget where a number of rows is the limit."""
_TOKENIZER = "tokenizer.json"
_METRICS = ("metrics.jsonl", "metrics.csv", "validation.csv")
_OF_A_RUN = ("checkpoints", "best", *_METRICS, "run.json")
_DELETED = (
    *_OF_A_RUN,
    MARK,
    "config.json",
    "model.safetensors",
    _TOKENIZER,
    "finet.log",
    "memwatch.csv",
)


def finetune(config: TrainConfig, ranks: Ranks, judge: Judge | None = None) -> Outcome:
    """Train as the settings say; every rank calls it.

    Args:
        config: Settings.
        ranks: This process among the run's.
        judge: Gives further validation figures for a model, on rank 0.

    Raises:
        ConfigError: A setting is wrong, or OUT holds another run.
        DataError: A file does not fit the model.
        CheckpointError: BASE or the checkpoint cannot be used.
    """
    if ranks.gather(is_restart(config.out, ranks.agent))[0]:
        config = after_restart(config)
    require_model(config.base)
    source, validation = open_data(config, ranks)
    model = load_model(config, ranks.device)
    prepare_directory(config, ranks)  # only now: a wrong path must not cost an earlier run
    with ExitStack() as stack:
        handler = setup_logging(ranks.rank, ranks.world_size, config.out / "finet.log")
        stack.callback(close_logging, handler)
        trainer = build_trainer(config, ranks, stack, model, source, validation, judge)
        if checkpoint := ranks.gather(find_checkpoint(config))[0]:
            for change in changed_settings(checkpoint, config_to_dict(config)):
                log.warning("differs from the checkpoint's settings: %s", change)
            trainer.resume(checkpoint)
        if config.log.memwatch and ranks.is_first:
            path = config.out / "memwatch.csv"
            watch = MemoryWatch(path, lambda: trainer.state.progress.step, ranks.device)
            stack.enter_context(watch)
        outcome = trainer.run()
        if outcome.reason != "interrupted":
            trainer.export()
        if ranks.is_first:
            end_record(config.out / "run.json", asdict(outcome))
        log.info("%s at step %d; the run is in %s", outcome.reason, outcome.step, config.out)
    return outcome


def build_trainer(
    config: TrainConfig,
    ranks: Ranks,
    stack: ExitStack,
    model: GeneT5,
    source: Loader,
    validation: Loader,
    judge: Judge | None = None,
) -> Trainer:
    """Put model, data and trainer together and seed all generators; what must be closed goes to `stack`."""
    is_on_cpu = ranks.device.type == "cpu"
    wanted = config.compute.deterministic
    seed = derive_seed(config.seed, "train", ranks.rank)
    seed_everything(seed, deterministic=is_on_cpu if wanted is None else wanted)
    torch.set_float32_matmul_precision("high")
    horizon = Horizon.of(config, len(source))
    log.info(
        "%s parameters, %d micro-batches an epoch on each of %d ranks, %d steps",
        f"{count_parameters(model)['total']:,}",
        len(source),
        ranks.world_size,
        horizon.total_steps,
    )
    settings = config_to_dict(config)
    if ranks.is_first:
        run_file = config.out / "run.json"
        start_record(run_file, settings, device=str(ranks.device), world_size=ranks.world_size)
    weights = LossWeights(label_smoothing=config.optim.label_smoothing)
    return Trainer(
        config=config,
        model=model,
        objective=gene_objective(model, weights, ranks),
        source=source,
        horizon=horizon,
        ranks=ranks,
        metrics=stack.enter_context(Metrics(_sinks(config) if ranks.is_first else [])),
        validation=lambda: _from_the_start(validation),
        judge=judge,
        save_beside=lambda path: _copy_beside(config.base, path),
        record={
            "settings": settings,
            "tokenizer": tokenizer_hash(load_tokenizer(config.base)),
            "training_data": source.header.checksum,
        },
        shape=model.config,
    )


def open_data(config: TrainConfig, ranks: Ranks) -> tuple[Loader, Loader]:
    """Open both files and check that they speak the model's language.

    The validation order is shuffled once and for all: a capped evaluation then sees a fair sample, always the same.
    """
    batch, tokenizer = config.batch, load_tokenizer(config.base)
    loaders = [
        Loader(
            path,
            batch.limits,
            seed=derive_seed(config.seed, path_purpose),
            rank=ranks.rank,
            world_size=ranks.world_size,
            num_workers=batch.num_workers,
            pin_memory=ranks.device.type == "cuda",
        )
        for path, path_purpose in ((config.train, "training order"), (config.val, "validation"))
    ]
    for loader, path in zip(loaders, (config.train, config.val), strict=True):
        check_vocabulary(loader.header, tokenizer, path)
    return loaders[0], loaders[1]


def check_vocabulary(header: Header, tokenizer: Tokenizer, path: Path) -> None:
    """Refuse data whose tokens mean something else to the model; gene types appended after the bake are fine.

    Raises:
        DataError: Sequence tokenizer or gene types differ.
    """
    remedy = "Bake it again with --tokenizer BASE"
    ours = tokenizer.to_dict()
    if header.tokenizer.get("sequence") != ours["sequence"]:
        raise DataError(
            f"baked with sequence tokenizer {_kind(header.tokenizer)}",
            expected=f"{_kind(ours)}, which is the model's (their contents must be equal)",
            path=path,
            remedy=remedy,
        )
    types, known = list(header.gene_types), ours["gene_types"]
    if types == known[: len(types)]:
        if len(types) < len(known):
            log.info("%s: baked before the model got %s; that is fine", path, ", ".join(known[len(types) :]))  # fmt: skip
        return
    if known == types[: len(known)]:
        remedy = "genet5 resize_model BASE OUT --tokenizer T, with the tokenizer of the bake, gives the model these types"
    raise DataError(
        f"gene types {', '.join(types)}",
        expected=f"those of the model, {', '.join(known)}",
        path=path,
        remedy=remedy,
    )


def _kind(tokenizer: dict[str, Any]) -> str:
    sequence = tokenizer.get("sequence", {})
    return " ".join(str(sequence[key]) for key in ("kind", "k") if key in sequence) or "unknown"


def require_model(base: Path) -> None:
    """Check that BASE is a model directory.

    Raises:
        CheckpointError: A file is missing, or the tokenizer names more gene types than the model knows.
    """
    for name in ("config.json", "model.safetensors", _TOKENIZER):
        if not (base / name).is_file():
            raise CheckpointError(
                f"BASE = {base} holds no {name}; make a model directory with: genet5 init {base}"
            )
    require_fit(base)


def load_model(config: TrainConfig, device: torch.device) -> GeneT5:
    """Return BASE's model on its device, with checkpointing and compilation as the settings say."""
    model = GeneT5.from_pretrained(config.base, device=device)
    if config.compute.gradient_checkpointing:
        keep = config.compute.checkpoint_keep
        model.enable_gradient_checkpointing(config.compute.checkpoint_every, keep)
    dtype = torch.bfloat16 if config.compute.precision == "bf16" else torch.float32
    choose_backend(
        config.compute.attention, device, dtype
    )  # fails here rather than in the first step
    model.use_attention(config.compute.attention)
    if config.compute.mxfp8:
        use_mxfp8(model, require_mxfp8(device, config.compute.precision))
    if config.compute.compile:
        model.compile_blocks()
    return model


def prepare_directory(config: TrainConfig, ranks: Ranks) -> None:
    """Make OUT; refuse to mix with an earlier run, or delete it with `overwrite`; every rank calls it."""
    error = None
    if ranks.is_first:
        try:
            _prepare_directory(config)
            mark_start(config.out, ranks.agent)
        except (ConfigError, CheckpointError, OSError) as caught:
            error = caught
    for failed in ranks.gather(error):
        if failed is not None:
            raise failed


def _prepare_directory(config: TrainConfig) -> None:
    keep = config.checkpoints
    if config.out.resolve() == config.base.resolve():
        raise ConfigError("OUT", str(config.out), "must be another directory than BASE")
    if keep.checkpoint is not None:
        read_step(keep.checkpoint)  # before anything is deleted
        if keep.overwrite and keep.checkpoint.resolve().is_relative_to(config.out.resolve()):
            rule = "must not lie in OUT, which --overwrite deletes"
            raise ConfigError("checkpoint", str(keep.checkpoint), rule)
    earlier = [config.out / name for name in _OF_A_RUN if (config.out / name).exists()]
    if keep.overwrite:
        for path in [config.out / name for name in _DELETED]:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    elif earlier and not keep.resume and keep.checkpoint is None:
        raise ConfigError(
            "OUT",
            str(config.out),
            f"holds an earlier run ({earlier[0].name}); --resume goes on with it, --overwrite deletes it",
        )
    elif earlier and keep.resume and not list_checkpoints(config.out / "checkpoints"):
        log.warning("no checkpoint in %s: the run starts anew", config.out)
        for name in _METRICS:
            (config.out / name).unlink(missing_ok=True)
    if keep.checkpoint is not None:
        set_aside_later(config.out / "checkpoints", keep.checkpoint)
    config.out.mkdir(parents=True, exist_ok=True)


def describe(config: TrainConfig) -> str:
    """Return what a dry run prints: parameters, data, steps, memory of weights and optimizer."""
    require_model(config.base)
    model = GeneT5.from_pretrained(config.base)
    source, validation = open_data(config, Ranks())
    horizon = Horizon.of(config, len(source))
    total = count_parameters(model)["total"]
    moments = 2 if config.optim.optim_8bit else 8
    state = total * (4 + 4 + moments + (4 if config.optim.ema_decay else 0)) / GIB
    counts = source.header.counts
    rows = [
        ("parameters", f"{total:,}"),
        ("weights, gradients, optimizer", f"{state:.2f} GiB"),
        ("training windows", f"{counts.get('windows', 0):,}"),
        ("training bases", f"{counts.get('bases', 0):,}"),
        ("training tokens", f"{counts.get('tokens', 0):,}"),
        ("validation windows", f"{validation.header.counts.get('windows', 0):,}"),
        ("micro-batches an epoch (one rank)", f"{len(source):,}"),
        ("padding", f"{100 * source.padding_share():.1f} %"),
        ("steps an epoch", f"{horizon.steps_per_epoch:.1f}"),
        ("steps", f"{horizon.total_steps:,}"),
    ]
    return "".join(f"{name:<34} {value:>16}\n" for name, value in rows)


def _from_the_start(loader: Loader) -> Iterator[Batch]:
    loader.start_epoch(0)
    return iter(loader)


def _copy_beside(base: Path, directory: Path) -> None:
    for name in (CONFIG_FILE, _TOKENIZER):
        shutil.copyfile(base / name, directory / name)


def _sinks(config: TrainConfig) -> list[MetricSink]:
    sinks: list[MetricSink] = [JsonlSink(config.out / "metrics.jsonl"), CsvSink(config.out)]
    if config.log.tensorboard:
        sinks.append(TensorBoardSink(config.out / "tensorboard"))
    if config.log.wandb is not None:
        sinks.append(WandbSink(config.log.wandb, config_to_dict(config)))
    return sinks
