"""The parts of a training run: checked files, the model and the data."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict

import torch

from genet5.blocks.windowed import choose_backend
from genet5.config.json_files import load_json
from genet5.config.train import BatchConfig, TrainConfig
from genet5.dataset.header import Header
from genet5.dataset.loader import GeneCollator, Loader
from genet5.dataset.simulated_evidence import EvidenceSimulator
from genet5.errors import CheckpointError, DataError, FormatError
from genet5.model.files import SHARDS_FOLDER
from genet5.model.folders import CONFIG_FILE, WEIGHTS_FILE, model_folder
from genet5.model.network import GeneT5, count_parameters
from genet5.model.precision import resolve_precision
from genet5.model.resize import require_fit
from genet5.tokens.tokenizer_file import Tokenizer, load_tokenizer
from genet5.train.distributed.processes import Ranks
from genet5.train.horizon import Horizon
from genet5.train.mxfp8 import require_mxfp8, use_mxfp8
from genet5.train.optim import moment_bytes
from genet5.train.parts import count_trained, settle_parts
from genet5.train.state.random_state import derive_seed
from genet5.train.telemetry.memory import GIB

log = logging.getLogger(__name__)

TOKENIZER = "tokenizer.json"


def open_data(config: TrainConfig, ranks: Ranks) -> tuple[Loader, Loader]:
    """Open both files and check that their tokens are the model's.

    The validation order is shuffled once: a capped evaluation then uses a fair sample, always the
    same; and so is its evidence.
    """
    batch, tokenizer = config.batch, load_tokenizer(config.base)
    evidence = None
    if config.evidence.evidence:
        evidence = EvidenceSimulator(config.evidence, derive_seed(config.seed, "evidence"))
    collator = GeneCollator(tokenizer.structure, evidence)
    loaders = [
        Loader(
            path,
            batch.limits,
            seed=derive_seed(config.seed, path_purpose),
            rank=ranks.rank,
            world_size=ranks.world_size,
            num_workers=batch.num_workers,
            pin_memory=ranks.device.type == "cuda",
            collator=collator,
            **mixing,
        )
        for path, path_purpose, mixing in (
            (config.train, "training order", mixing_of(batch, config.train)),
            (config.val, "validation", Mixing()),
        )
    ]
    for loader in loaders:
        for path, header in loader.headers:
            check_vocabulary(header, tokenizer, path)
    check_splits(loaders[0], loaders[1])
    return loaders[0], loaders[1]


class Mixing(TypedDict, total=False):
    """What of a loader's arguments decides which rows an epoch takes."""

    weights: dict[Path, float]
    clade_weights: dict[str, float]
    skip: list[str]


def mixing_of(config: BatchConfig, train: Path) -> Mixing:
    """Return which rows an epoch of training takes.

    Raises:
        FormatError: The file of windows that are left out is missing, or names none.
    """
    return {
        "weights": config.weights(train),
        "clade_weights": config.clade_weights,
        "skip": skipped_windows(config),
    }


def skipped_windows(config: BatchConfig) -> list[str]:
    """Return the ids of the windows that are left out of training.

    Raises:
        FormatError: The file is missing, or names none.
    """
    if config.skip_windows is None:
        return []
    names = load_json(config.skip_windows).get("windows")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise FormatError("no list of windows", expected='{"windows": [...]} as in nonfinite.json',
                          path=config.skip_windows)  # fmt: skip
    log.info("%d windows are left out of training (%s)", len(names), config.skip_windows)
    return names


def check_splits(train: Loader, val: Loader) -> None:
    """Refuse a validation file as TRAIN, a training file as VAL, and the same data as both.

    Raises:
        DataError: The files' headers say so.
    """
    for loader, wrong, name in ((train, "validation", "TRAIN"), (val, "training", "VAL")):
        for path, header in loader.headers:
            if header.split == wrong:
                raise DataError(
                    f"windows for {wrong}", expected=f"those of {name}", path=path,
                    remedy="Are TRAIN and VAL swapped, or the same file?",
                )  # fmt: skip
    for path, header in train.headers:
        if header.checksum and header.checksum in {each.checksum for _, each in val.headers}:
            raise DataError(
                "the same windows in TRAIN and VAL", expected="windows that were held out",
                path=path, remedy="A validation on what was trained shows nothing",
            )  # fmt: skip


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
    """Check that BASE is a model's folder or a checkpoint.

    Raises:
        CheckpointError: A file is missing, or the tokenizer names more gene types than the model
            knows.
    """
    has_weights = (base / WEIGHTS_FILE).is_file() or (base / SHARDS_FOLDER).is_dir()
    there = {name: (base / name).is_file() for name in (CONFIG_FILE, TOKENIZER)}
    missing = [name for name, is_there in (there | {WEIGHTS_FILE: has_weights}).items()
               if not is_there]  # fmt: skip
    if missing:
        raise CheckpointError(
            f"BASE = {base} holds no {missing[0]}; name the folder of a model, a checkpoint"
            " (RUN/checkpoints/step-...) or a run. genet5 init makes a model in a new folder"
        )
    require_fit(base)


def load_model(config: TrainConfig, device: torch.device) -> GeneT5:
    """Return BASE's model on its device, with recomputation and compilation as configured."""
    model = _of_base(config, device)
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


def _of_base(config: TrainConfig, device: torch.device) -> GeneT5:
    """Return BASE's model, with channels of evidence if it is to be trained with them."""
    model = GeneT5.from_pretrained(config.base, device=device)
    return model.with_evidence() if config.evidence.evidence else model


def describe(config: TrainConfig) -> str:
    """Return what a dry run prints: parameters, data, steps, memory of weights and optimizer."""
    config = replace(config, base=model_folder(config.base))
    require_model(config.base)
    model = _of_base(config, torch.device("cpu"))
    settle_parts(model, config.parts)
    source, validation = open_data(config, Ranks())
    horizon = Horizon.of(config, len(source))
    total = count_parameters(model)["total"]
    trained = count_trained(model)
    weights = 4 * total + trained * (4 + (4 if config.optim.ema_decay else 0))
    state = (weights + moment_bytes(model, config.optim)) / GIB
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
        ("steps an epoch", f"{horizon.steps_per_epoch:,}"),
        ("steps", f"{horizon.total_steps:,}"),
    ]
    return "".join(f"{name:<34} {value:>16}\n" for name, value in rows)
