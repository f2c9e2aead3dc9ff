"""The parts of a training run: checked files, the model, the data, and the run's directory."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import torch

from genet5.blocks.windowed import choose_backend
from genet5.config.manifest import MANIFEST
from genet5.config.train import RunConfig, TrainConfig
from genet5.dataset.header import Header
from genet5.dataset.loader import Loader
from genet5.errors import CheckpointError, ConfigError, DataError
from genet5.model.network import GeneT5, count_parameters
from genet5.model.precision import resolve_precision
from genet5.model.resize import require_fit
from genet5.tokens.tokenizer_file import Tokenizer, load_tokenizer
from genet5.train.distributed.processes import Ranks
from genet5.train.horizon import Horizon
from genet5.train.mxfp8 import require_mxfp8, use_mxfp8
from genet5.train.parts import count_trained, settle_parts
from genet5.train.state.checkpoint_files import list_checkpoints, read_step, set_aside_later
from genet5.train.state.random_state import derive_seed
from genet5.train.state.restart import MARK, mark_start
from genet5.train.telemetry.memory import GIB

log = logging.getLogger(__name__)

TOKENIZER = "tokenizer.json"
_METRICS = ("metrics.jsonl", "metrics.csv", "validation.csv")
_OF_A_RUN = ("checkpoints", "best", *_METRICS, "run.json")
_DELETED = (
    *_OF_A_RUN,
    MARK,
    "annotate.json",
    "config.json",
    MANIFEST,
    "model.safetensors",
    TOKENIZER,
    "finet.log",
    "memwatch.csv",
    "tensorboard",
)


def open_data(config: TrainConfig, ranks: Ranks) -> tuple[Loader, Loader]:
    """Open both files and check that their tokens are the model's.

    The validation order is shuffled once: a capped evaluation then uses a fair sample, always the
    same.
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
    """Refuse data whose tokens mean something else to the model.

    Gene types that were appended to the model's tokenizer after the bake are fine.

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
            added = ", ".join(known[len(types) :])
            log.info("%s: baked before the model got %s; that is fine", path, added)
        return
    if known == types[: len(known)]:
        remedy = (
            "genet5 resize_model BASE OUT --tokenizer T, with the tokenizer of the bake, gives the"
            " model these types"
        )
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
        CheckpointError: A file is missing, or the tokenizer names more gene types than the model
            knows.
    """
    for name in ("config.json", "model.safetensors", TOKENIZER):
        if not (base / name).is_file():
            raise CheckpointError(
                f"BASE = {base} holds no {name}; make a model directory with: genet5 init {base}"
            )
    require_fit(base)


def load_model(config: TrainConfig, device: torch.device) -> GeneT5:
    """Return BASE's model on its device, with recomputation and compilation as configured."""
    model = GeneT5.from_pretrained(config.base, device=device)
    if config.compute.gradient_checkpointing:
        keep = config.compute.checkpoint_keep
        model.enable_gradient_checkpointing(config.compute.checkpoint_every, keep)
    precision = resolve_precision(config.compute.precision, device)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    choose_backend(config.compute.attention, device, dtype)  # not in the first step
    model.use_attention(config.compute.attention)
    if config.compute.mxfp8:
        use_mxfp8(model, require_mxfp8(device, precision))
    if config.compute.compile:
        model.compile_blocks()
    return model


def prepare_directory(config: RunConfig, ranks: Ranks) -> None:
    """Make OUT; refuse to mix with an earlier run, or delete it with `overwrite`.

    Every rank calls it.
    """
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


def _prepare_directory(config: RunConfig) -> None:
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
            f"holds an earlier run ({earlier[0].name}); --resume continues it,"
            " --overwrite deletes it",
        )
    elif not earlier and not keep.resume and (config.out / "model.safetensors").exists():
        raise ConfigError(
            "OUT",
            str(config.out),
            "holds a model that no run wrote; name another folder (are OUT and BASE swapped?),"
            " or --overwrite replaces it",
        )
    elif earlier and keep.resume and not list_checkpoints(config.out / "checkpoints"):
        log.warning("no checkpoint in %s: the run starts from BASE", config.out)
        for name in _METRICS:
            (config.out / name).unlink(missing_ok=True)
    if keep.checkpoint is not None:
        set_aside_later(config.out / "checkpoints", keep.checkpoint)
    config.out.mkdir(parents=True, exist_ok=True)


def describe(config: TrainConfig) -> str:
    """Return what a dry run prints: parameters, data, steps, memory of weights and optimizer."""
    require_model(config.base)
    model = GeneT5.from_pretrained(config.base)
    settle_parts(model, config.parts)
    source, validation = open_data(config, Ranks())
    horizon = Horizon.of(config, len(source))
    total = count_parameters(model)["total"]
    moments = 2 if config.optim.optim_8bit else 8
    trained = count_trained(model)
    state = (4 * total + trained * (4 + moments + (4 if config.optim.ema_decay else 0))) / GIB
    counts = source.header.counts
    rows = [
        ("parameters", f"{total:,}"),
        ("trained parameters", f"{trained:,}"),
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
