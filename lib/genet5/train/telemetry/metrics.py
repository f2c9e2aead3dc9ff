"""Metrics of a run as rows in files and trackers.

A row is a kind ("train" or "validation"), a step, and numbers with stable names. Every sink takes
the same rows. A resumed run first drops the rows after its checkpoint, so the files read as if the
run had never stopped.
"""

from __future__ import annotations

import csv
import importlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import takewhile
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from genet5.errors import ConfigError


class MetricSink(Protocol):
    """Where rows of metrics go."""

    def write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """Take one row."""

    def close(self) -> None:
        """Finish."""


class JsonlSink:
    """One JSON object per row: {"kind": ..., "step": ..., name: number}."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """Append one line; the file is opened anew, since a resume may have replaced it."""
        with self._path.open("a", encoding="utf-8") as out:
            out.write(json.dumps({"kind": kind, "step": step, **values}) + "\n")

    def close(self) -> None:
        """Do nothing: no file stays open."""


class CsvSink:
    """A table per kind: `metrics.csv` for training, `validation.csv` and so on for the others.

    The first row of a table decides its columns; later rows leave unknown cells empty.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """Append one line."""
        path = self._directory / ("metrics.csv" if kind == "train" else f"{kind}.csv")
        columns = _csv_header(path)
        with path.open("a", newline="", encoding="utf-8") as out:
            if columns is None:
                columns = ["step", *values]
                csv.writer(out, lineterminator="\n").writerow(columns)
            row: dict[str, Any] = {"step": step, **values}
            csv.DictWriter(
                out, columns, restval="", extrasaction="ignore", lineterminator="\n"
            ).writerow(row)

    def close(self) -> None:
        """Do nothing: no file stays open."""


def _csv_header(path: Path) -> list[str] | None:
    if not path.exists():
        return None
    with path.open(newline="", encoding="utf-8") as lines:
        return next(csv.reader(lines), None)


class TensorBoardSink:
    """Event files for TensorBoard."""

    def __init__(self, directory: Path) -> None:
        try:
            board = importlib.import_module("torch.utils.tensorboard")
        except ImportError as error:
            raise _missing("tensorboard", "tensorboard") from error
        self._writer = board.SummaryWriter(str(directory))

    def write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """Add one scalar per number."""
        for name, value in values.items():
            self._writer.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        """Flush and close the event file."""
        self._writer.close()


class WandbSink:
    """A run on Weights & Biases."""

    def __init__(self, project: str, settings: Mapping[str, Any]) -> None:
        try:
            wandb = importlib.import_module("wandb")
        except ImportError as error:
            raise _missing("wandb", "wandb") from error
        self._run = wandb.init(project=project, config=dict(settings))

    def write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """Log one row."""
        self._run.log({f"{kind}/{name}": value for name, value in values.items()}, step=step)

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()


def _missing(flag: str, package: str) -> ConfigError:
    return ConfigError(flag, True, f'needs {package}; install it with: pip install "genet5[track]"')


class Metrics:
    """All sinks of a run as one; without sinks (other ranks, tests) it drops rows.

    Args:
        sinks: Where rows go.
    """

    def __init__(self, sinks: Sequence[MetricSink] = ()) -> None:
        self._sinks = list(sinks)

    def write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """Give one row to every sink."""
        for sink in self._sinks:
            sink.write(kind, step, values)

    def __enter__(self) -> Metrics:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for sink in self._sinks:
            sink.close()


def drop_rows_after(directory: Path, step: int, *, evaluated: bool = True) -> None:
    """Delete the rows of later steps, and a last line cut short, from a run's metric files.

    Args:
        directory: Of the run.
        step: The last one to keep.
        evaluated: Whether its validation row is kept, too.
    """
    last = {"train": step, "validation": step - (not evaluated)}
    _keep_lines(directory / "metrics.jsonl", partial(_is_json_kept, last=last), header=False)
    for kind, name in (("train", "metrics.csv"), ("validation", "validation.csv")):
        _keep_lines(directory / name, partial(_is_csv_kept, last=last[kind]), header=True)


def _is_json_kept(line: str, last: Mapping[str, int]) -> bool:
    try:
        row = json.loads(line)
        return int(row["step"]) <= last[row["kind"]]
    except (ValueError, KeyError, TypeError):
        return False


def _is_csv_kept(line: str, last: int) -> bool:
    first = line.split(",", 1)[0]
    return first.isdigit() and int(first) <= last


def _keep_lines(path: Path, is_kept: Callable[[str], bool], *, header: bool) -> None:
    """Keep the lines before the first one that is cut short or not to be kept."""
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    rows = takewhile(lambda line: line.endswith("\n") and is_kept(line), lines[int(header) :])
    kept = [*lines[: int(header)], *rows]
    if kept != lines:
        scratch = path.with_name(path.name + ".tmp")
        scratch.write_text("".join(kept), encoding="utf-8")
        os.replace(scratch, path)
