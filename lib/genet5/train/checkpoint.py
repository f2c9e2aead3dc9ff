"""Checkpoints: everything that a run needs to go on as if it had never stopped, without pickle.

A checkpoint is a directory `step-00001200/`, which is also a model directory:

    config.json model.safetensors (tokenizer.json)   the model in training
    optimizer.safetensors                            "<parameter>/<moment>"
    ema.safetensors                                  moving average of the weights, if there is one
    rank-00000.safetensors, rank-00000.json          random state and data position of each rank
    trainer.json                                     step, best loss, settings; written last

It is written under a temporary name and renamed when complete, so a killed run leaves no half checkpoint. The price is
one write of the weights and two moments (12 bytes per parameter, 16 with a moving average).
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import load_file, load_model, save_file
from torch import Tensor, nn

from genet5.config.files import load_json, save_json
from genet5.config.train import TrainConfig
from genet5.errors import CheckpointError, FormatError
from genet5.train.dist import Ranks
from genet5.train.optim import WeightAverage, set_learning_rate
from genet5.train.seed import capture_random_state, restore_random_state

log = logging.getLogger(__name__)

FORMAT = 1
_NAME = re.compile(r"step-(\d{8,})")
_OF_ONE_START = ("resume", "checkpoint", "overwrite", "dry_run")
"""Settings of one start of a run, not of the run."""


class Stateful(Protocol):
    """A source of batches that knows where it is."""

    def state_dict(self) -> dict[str, Any]:
        """Return the position as plain JSON values."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a position."""


@dataclass(slots=True)
class Progress:
    """How far a run is; plain JSON values."""

    step: int = 0
    """Optimizer steps done."""
    micro_batches: int = 0
    """Micro-batches of each rank."""
    tokens: int = 0
    """Sequence tokens seen by this rank, without padding."""
    bases: int = 0
    """Bases seen by this rank."""
    elapsed_s: float = 0.0
    """Training time, earlier parts of a resumed run counted in."""
    best_loss: float | None = None
    """Lowest validation loss."""
    best_step: int | None = None
    """Step of the lowest validation loss."""
    evaluations_since_best: int = 0
    """Evaluations after it."""
    interval: dict[str, float] = field(default_factory=dict)
    """Sums since the last progress line on this rank."""


@dataclass(frozen=True, slots=True)
class RunState:
    """The parts of a run that change with each step."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    source: Stateful
    progress: Progress
    average: WeightAverage | None = None


def checkpoint_name(step: int) -> str:
    """Return the directory name of a step's checkpoint."""
    return f"step-{step:08d}"


def list_checkpoints(directory: Path) -> list[Path]:
    """Return the complete checkpoints below `directory`, oldest first."""
    if not directory.is_dir():
        return []
    found = [path for path in directory.iterdir() if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: int(path.name.removeprefix("step-")))


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
        if flat_before.get(name) != flat_now.get(name) and name not in _OF_ONE_START
    ]


def save_checkpoint(
    directory: Path,
    state: RunState,
    ranks: Ranks,
    *,
    record: dict[str, Any],
    keep_last: int = 2,
) -> Path:
    """Write the checkpoint of the present step and delete old ones; every rank calls it.

    Args:
        directory: Holds all checkpoints of the run.
        state: What to save.
        ranks: This process among the run's.
        record: Further plain values for `trainer.json` (settings, hashes).
        keep_last: Checkpoints to keep.

    Returns:
        The checkpoint's directory.
    """
    final = directory / checkpoint_name(state.progress.step)
    scratch = directory / f".{final.name}.tmp"
    if ranks.is_first:
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
    ranks.barrier()
    _save_rank(scratch, state, ranks.rank)
    if ranks.is_first:
        _save_shared(scratch, state)
    ranks.barrier()
    if ranks.is_first:
        values = {"format": FORMAT, "world_size": ranks.world_size}
        save_json(scratch / "trainer.json", {**values, **record})
        _sync(scratch)
        shutil.rmtree(final, ignore_errors=True)
        scratch.replace(final)
        _delete_old(directory, keep_last)
    ranks.barrier()
    return final


def load_checkpoint(path: Path, state: RunState, ranks: Ranks) -> dict[str, Any]:
    """Set `state` to a checkpoint; every rank calls it.

    With another number of ranks than the checkpoint's, the data position is carried over by the number of
    micro-batches that all ranks have done, and the random state stays as it is.

    Returns:
        The record in `trainer.json`.

    Raises:
        CheckpointError: The checkpoint is incomplete or belongs to another model.
    """
    try:
        record = load_json(path / "trainer.json")
    except FormatError as error:
        raise CheckpointError(f"{path} is no checkpoint: {error}") from error
    if record.get("format") != FORMAT:
        raise CheckpointError(f"{path}: format {record.get('format')!r}; expected {FORMAT}")
    try:
        _load_shared(path, state)
        _load_rank(path, state, ranks, int(record["world_size"]))
    except (FileNotFoundError, KeyError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{path} does not fit this run: {error}") from error
    return record


def _save_shared(path: Path, state: RunState) -> None:
    state.model.save_pretrained(path)  # type: ignore[operator]
    save_file(
        dict(_optimizer_tensors(state.model, state.optimizer)), path / "optimizer.safetensors"
    )
    if state.average is not None:
        average = {**state.average.average, "ema_steps": torch.tensor(state.average.steps)}
        save_file(average, path / "ema.safetensors")


def _load_shared(path: Path, state: RunState) -> None:
    saved = load_file(path / "optimizer.safetensors")
    used = {name.split("/", 1)[0] for name in saved}
    _materialise([p for name, p in state.model.named_parameters() if name in used], state.optimizer)
    expected = dict(_optimizer_tensors(state.model, state.optimizer, contiguous=False))
    _require_same_names(saved, expected, "optimizer.safetensors")
    for name, tensor in expected.items():
        tensor.copy_(saved[name])
    load_model(state.model, path / "model.safetensors", strict=True)
    average_file = path / "ema.safetensors"
    if state.average is None and average_file.exists():
        log.warning("the checkpoint's moving average of the weights is dropped: ema_decay is off")
    elif state.average is not None:
        average = load_file(average_file)
        state.average.steps = int(average.pop("ema_steps"))
        _require_same_names(average, state.average.average, "ema.safetensors")
        for name, tensor in state.average.average.items():
            tensor.copy_(average[name])


def _save_rank(path: Path, state: RunState, rank: int) -> None:
    tensors, random_values = capture_random_state()
    save_file(tensors, path / f"rank-{rank:05d}.safetensors")
    save_json(
        path / f"rank-{rank:05d}.json",
        {
            "progress": asdict(state.progress),
            "source": state.source.state_dict(),
            "random": random_values,
        },
    )


def _load_rank(path: Path, state: RunState, ranks: Ranks, world_size: int) -> None:
    is_same = world_size == ranks.world_size
    rank = ranks.rank if is_same else 0
    values = load_json(path / f"rank-{rank:05d}.json")
    for each in fields(Progress):
        setattr(state.progress, each.name, values["progress"][each.name])
    if is_same:
        state.source.load_state_dict(values["source"])
        tensors = load_file(path / f"rank-{rank:05d}.safetensors")
        restore_random_state(tensors, values["random"])
        return
    log.warning(
        "the checkpoint is of %d ranks, this run has %d: it goes on from about the same place,"
        " with slightly different losses",
        world_size,
        ranks.world_size,
    )
    source = values["source"]
    done = source["step"] * world_size // ranks.world_size
    state.source.load_state_dict({**source, "world_size": ranks.world_size, "step": done})
    state.progress.interval = {}


def _optimizer_tensors(
    model: nn.Module, optimizer: torch.optim.Optimizer, *, contiguous: bool = True
) -> Iterator[tuple[str, Tensor]]:
    """Yield the optimizer's tensors with stable names, "<parameter>/<moment>"."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for parameter, moments in optimizer.state.items():
        for key, value in moments.items():
            if isinstance(value, Tensor):
                for suffix, plain in _plain_parts(value):
                    tensor = plain.contiguous() if contiguous else plain
                    yield f"{names[id(parameter)]}/{key}{suffix}", tensor


def _plain_parts(tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Yield the plain tensors that a quantised tensor consists of; a plain one is its own only part."""
    if type(tensor) is Tensor or not hasattr(tensor, "__tensor_flatten__"):
        yield "", tensor.detach()
        return
    for name in tensor.__tensor_flatten__()[0]:
        for suffix, plain in _plain_parts(getattr(tensor, name)):
            yield f"/{name}{suffix}", plain


def _materialise(parameters: list[nn.Parameter], optimizer: torch.optim.Optimizer) -> None:
    """Make the optimizer's lazy state exist: one step with learning rate 0 and gradients 0 changes no weight."""
    rates = [group["lr"] for group in optimizer.param_groups]
    optimizer.zero_grad(set_to_none=True)
    set_learning_rate(optimizer, 0.0)
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate


def _require_same_names(saved: dict[str, Tensor], expected: dict[str, Tensor], where: str) -> None:
    if odd := sorted(saved.keys() ^ expected.keys()):
        raise CheckpointError(
            f"{where} and the model differ in {len(odd)} tensors, the first is {odd[0]}"
        )


def _sync(directory: Path) -> None:
    """Write through to the disk, so that a power failure after the rename finds whole files."""
    for path in [*directory.iterdir(), directory]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _delete_old(directory: Path, keep_last: int) -> None:
    for path in list_checkpoints(directory)[:-keep_last]:
        shutil.rmtree(path)
    for path in directory.glob(".step-*.tmp"):
        shutil.rmtree(path)


def _flat(values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value)
        else:
            yield name, value
