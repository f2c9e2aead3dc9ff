"""What a run tells: log records by rank, the progress line, and metrics for files and trackers.

Metrics are rows: a kind ("train" or "validation"), a step and numbers with stable names. Every sink takes the same
rows. A resumed run first drops the rows behind its checkpoint, so the files read as if it had never stopped.
"""

from __future__ import annotations

import csv
import importlib
import json
import logging
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from genet5.errors import ConfigError

PACKAGE = "genet5"


class _RankFilter(logging.Filter):
    """Rank 0 may say everything, other ranks warn; the rank is named when there are several."""

    def __init__(self, rank: int, world_size: int) -> None:
        super().__init__()
        self._rank, self._prefix = rank, f"[rank {rank}] " if world_size > 1 else ""

    def filter(self, record: logging.LogRecord) -> bool:
        if self._rank and record.levelno < logging.WARNING:
            return False
        if self._prefix and not getattr(record, "has_rank", False):
            record.msg, record.has_rank = self._prefix + str(record.msg), True
        return True


def setup_logging(rank: int, world_size: int, file: Path | None = None) -> logging.Handler | None:
    """Apply the rank's rule to the package's handlers, and write the records to `file` as well (rank 0).

    Returns:
        The file's handler, for `close_logging`.
    """
    logger = logging.getLogger(PACKAGE)
    handler: logging.Handler | None = None
    if file is not None and rank == 0:
        handler = logging.FileHandler(file, encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(levelname).1s %(asctime)s %(message)s"))
        logger.addHandler(handler)
    for each in logger.handlers:
        each.addFilter(_RankFilter(rank, world_size))
    return handler


def close_logging(handler: logging.Handler | None) -> None:
    """Undo what `setup_logging` added."""
    logger = logging.getLogger(PACKAGE)
    for each in logger.handlers:
        for rule in [rule for rule in each.filters if isinstance(rule, _RankFilter)]:
            each.removeFilter(rule)
    if handler is not None:
        logger.removeHandler(handler)
        handler.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressLine:
    """One line on how a run goes; None = unknown, then left out."""

    step: int
    total_steps: int
    loss: float
    lr: float
    tokens_per_s: float
    padding_pct: float
    mfu_pct: float | None
    memory_gib: float
    memory_total_gib: float
    eta_s: float

    def __str__(self) -> str:
        width = len(str(self.total_steps))
        parts = [
            f"step {self.step:0{width}d}/{self.total_steps} "
            f"({100 * self.step / self.total_steps:.1f}%)",
            f"loss {self.loss:.4f}",
            f"lr {format_rate(self.lr)}",
            f"{format_count(self.tokens_per_s)} tok/s",
            f"pad {self.padding_pct:.1f}%",
            None if self.mfu_pct is None else f"mfu {self.mfu_pct:.0f}%",
            f"mem {self.memory_gib:.1f}/{self.memory_total_gib:.1f} GiB",
            f"eta {format_duration(self.eta_s)}",
        ]
        return " | ".join(part for part in parts if part is not None)


def format_rate(value: float) -> str:
    """Return a learning rate: 0.0001 -> 1.0e-4."""
    if not value:
        return "0"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def format_count(value: float) -> str:
    """Return a rounded number: 41234 -> 41.2k."""
    for limit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.1f}{suffix}"
    return f"{value:.0f}"


def format_duration(seconds: float) -> str:
    """Return a time: 7980 -> 2h13m, 75 -> 1m15s."""
    if not math.isfinite(seconds):
        return "?"
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 60}m{whole % 60:02d}s" if whole >= 60 else f"{whole}s"


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
