"""A run's checkpoints as directories: names, which one to resume from, and what has changed."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from genet5.config.json_files import load_json
from genet5.config.run import RunConfig
from genet5.config.train import ONE_START_FIELDS
from genet5.errors import CheckpointError, FormatError
from genet5.model.folders import CHECKPOINTS_FOLDER, list_checkpoints, step_of

log = logging.getLogger(__name__)


def checkpoint_name(step: int) -> str:
    """Return the directory name of a step's checkpoint."""
    return f"step-{step:08d}"


def find_checkpoint(config: RunConfig) -> Path | None:
    """Return the checkpoint to resume from: the named one, or with `resume` the newest in OUT.

    What `overwrite` is to delete does not count.
    """
    keep = config.checkpoints
    if keep.checkpoint is not None:
        return keep.checkpoint
    is_wanted = keep.resume and not keep.overwrite
    found = list_checkpoints(config.out / CHECKPOINTS_FOLDER) if is_wanted else []
    return found[-1] if found else None


def changed_settings(checkpoint: Path, settings: dict[str, Any]) -> list[str]:
    """Return "name: old -> new" for each setting that differs from a checkpoint's record."""
    before = load_json(checkpoint / "trainer.json").get("settings", {})
    flat_before, flat_now = dict(_flat(before)), dict(_flat(settings))
    return [
        f"{name}: {flat_before.get(name)!r} -> {flat_now.get(name)!r}"
        for name in sorted(flat_before.keys() | flat_now.keys())
        if flat_before.get(name) != flat_now.get(name) and name not in ONE_START_FIELDS
    ]


def require_same_moments(checkpoint: Path, config: RunConfig) -> None:
    """Raise if a run that resumes would need other moments than the checkpoint's optimizer had.

    They are of the parts that it trained; learning rates may change.

    Raises:
        CheckpointError: `freeze`, `lora_rank` or `optimizer` differs.
    """
    settings = load_json(checkpoint / "trainer.json").get("settings", {})
    before = settings.get("parts") or {}  # of a version that trained all parts
    parts, optim = config.parts, settings.get("optim") or {}
    former = "adamw_8bit" if optim.get("optim_8bit") else "adamw"  # of a version without names
    pairs = (
        ("optimizer", optim.get("optimizer", former), config.optim.optimizer),
        ("freeze", sorted(before.get("freeze") or ()), sorted(parts.freeze)),
        ("lora_rank", before.get("lora_rank"), parts.lora_rank),
    )
    for name, old, new in pairs:
        if old != new:
            raise CheckpointError(
                f"{checkpoint} was trained with {_flag(name, old)}, this start has"
                f" {_flag(name, new)}; resume with the former, or begin a new run with this"
                " checkpoint as BASE and another OUT"
            )


def _flag(name: str, value: list[str] | str | int | None) -> str:
    words = value if isinstance(value, list) else [] if value is None else [value]
    return " ".join(map(str, (f"--{name}", *words))) if words else f"no --{name}"


def read_step(checkpoint: Path) -> int:
    """Return the step of a checkpoint, whatever its name.

    Raises:
        CheckpointError: It is none.
    """
    try:
        return int(load_json(checkpoint / "trainer.json")["step"])
    except (FormatError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{checkpoint} is no checkpoint: {error}") from error


def set_aside_later(directory: Path, checkpoint: Path) -> None:
    """Rename the checkpoints in `directory` that are of the step of `checkpoint` or later.

    The run resumes from `checkpoint`, so they are of another branch. Left there, they would count
    as newer than the branch's own, which would be deleted in their favour and never be resumed
    from.

    Raises:
        CheckpointError: `checkpoint` is none.
    """
    step = read_step(checkpoint)
    for path in list_checkpoints(directory):
        if step_of(path) >= step and path.resolve() != checkpoint.resolve():
            aside = path.with_name(f"aside-{path.name}")
            shutil.rmtree(aside, ignore_errors=True)
            path.rename(aside)
            log.warning("a later checkpoint is not of this branch: it is now %s", aside)


def _flat(values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value)
        else:
            yield name, value
