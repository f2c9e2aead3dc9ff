"""Metrics for TensorBoard and Weights & Biases; both keep their files in OUT.

A run stays one run however often it is resumed. TensorBoard hides what it has of later steps
(`purge_step`); Weights & Biases continues the run whose id is in `wandb.json`, and ignores rows of
steps that it has already. Both are opened with the first row: a start that fails leaves no trace.

WANDB_MODE=offline keeps a run of Weights & Biases on the disk; `wandb sync OUT/wandb/*` sends it.
"""

from __future__ import annotations

import importlib
import uuid
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from genet5.config.json_files import load_json, save_json
from genet5.errors import ConfigError


def require_tracker(flag: str) -> None:
    """Check that the package of a tracker is there; nothing is imported.

    Args:
        flag: tensorboard or wandb, which is also the package.

    Raises:
        ConfigError: It is not installed.
    """
    if find_spec(flag) is None:
        rule = f'needs {flag}; install it with: pip install "genet5[track]"'
        raise ConfigError(flag, True, rule)


class TensorBoardSink:
    """Event files for TensorBoard.

    Args:
        directory: Of the event files.
    """

    def __init__(self, directory: Path) -> None:
        require_tracker("tensorboard")
        self._directory, self._purge_step = directory, 0
        self._writer: Any = None

    def resume(self, step: int, *, evaluated: bool) -> None:
        """Hide later rows."""
        self._purge_step = step + 1

    def write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """Add one scalar per number."""
        if self._writer is None:
            board = importlib.import_module("torch.utils.tensorboard")
            purge = self._purge_step or None
            self._writer = board.SummaryWriter(str(self._directory), purge_step=purge)
        for name, value in values.items():
            self._writer.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        """Flush and close the event file."""
        if self._writer is not None:
            self._writer.close()


class WandbSink:
    """A run on Weights & Biases.

    Args:
        project: Its project.
        settings: Of the run.
        directory: Of the run; its files and `wandb.json` lie there.
    """

    def __init__(self, project: str, settings: Mapping[str, Any], directory: Path) -> None:
        require_tracker("wandb")
        self._project, self._settings, self._directory = project, dict(settings), directory
        self._run: Any = None
        self._failure: Exception | None = None

    def resume(self, step: int, *, evaluated: bool) -> None:
        """Do nothing: the run's id is in OUT, and steps that the server has are not taken twice."""

    def write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """Log one row; a server that could not be reached is not asked again."""
        if self._failure is not None:
            raise self._failure
        if self._run is None:
            try:
                self._run = self._open()
            except Exception as error:  # the client's errors share no class
                self._failure = error
                raise
        self._run.log({f"{kind}/{name}": value for name, value in values.items()}, step=step)

    def close(self) -> None:
        """Finish the run."""
        if self._run is not None:
            self._run.finish()

    def _open(self) -> Any:
        wandb = importlib.import_module("wandb")
        record = self._directory / "wandb.json"
        if not record.exists():
            save_json(record, {"id": uuid.uuid4().hex[:8]})
        return wandb.init(
            project=self._project,
            config=self._settings,
            dir=str(self._directory),
            id=load_json(record)["id"],
            resume="allow",
        )
