"""Metrics of a run as rows in files; `trackers` has those of TensorBoard and Weights & Biases.

A row is a kind ("train" or "validation"), a step, and numbers with stable names. Every sink takes
the same rows. A resumed run first drops the rows after its checkpoint, so the files read as if the
run had never stopped.
"""

from __future__ import annotations

import csv
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import takewhile
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

log = logging.getLogger(__name__)


class MetricSink(Protocol):
    """Where rows of metrics go; nothing is written before the first row."""

    def resume(self, step: int, *, evaluated: bool) -> None:
        """Forget the rows after a step; later ones come again.

        Args:
            step: The last one to keep.
            evaluated: Whether its validation row is kept, too.
        """

    def write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """Take one row."""

    def close(self) -> None:
        """Finish."""


class JsonlSink:
    """One JSON object per row: {"kind": ..., "step": ..., name: number}."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def resume(self, step: int, *, evaluated: bool) -> None:
        """Delete later rows, and a last one that was cut short."""
        last = {"train": step, "validation": step - (not evaluated)}
        _keep_lines(self._path, partial(_is_json_kept, last=last), header=False)

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

    def resume(self, step: int, *, evaluated: bool) -> None:
        """Delete later rows, and a last one that was cut short."""
        for kind, last in (("train", step), ("validation", step - (not evaluated))):
            _keep_lines(self._path(kind), partial(_is_csv_kept, last=last), header=True)

    def write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """Append one line."""
        path = self._path(kind)
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

    def _path(self, kind: str) -> Path:
        return self._directory / ("metrics.csv" if kind == "train" else f"{kind}.csv")


def _csv_header(path: Path) -> list[str] | None:
    if not path.exists():
        return None
    with path.open(newline="", encoding="utf-8") as lines:
        return next(csv.reader(lines), None)


class Metrics:
    """All sinks of a run as one; without sinks (other ranks, tests) it drops rows.

    A sink that fails (a full disk, a server) ends no run: it is reported, and so is its recovery.

    Args:
        sinks: Where rows go.
    """

    def __init__(self, sinks: Sequence[MetricSink] = ()) -> None:
        self._sinks = list(sinks)
        self._lost = dict.fromkeys(range(len(self._sinks)), 0)

    def resume(self, step: int, *, evaluated: bool) -> None:
        """Have every sink forget the rows after a step; see `MetricSink.resume`."""
        for sink in self._sinks:
            sink.resume(step, evaluated=evaluated)

    def write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """Give one row to every sink."""
        for index, sink in enumerate(self._sinks):
            try:
                sink.write(kind, step, values)
            except Exception as error:  # trackers raise classes of their own
                self._note_loss(index, error)
            else:
                self._note_success(index)

    def _note_loss(self, index: int, error: Exception) -> None:
        self._lost[index] += 1
        if self._lost[index] == 1:
            name = type(self._sinks[index]).__name__
            log.warning("%s takes no rows (%s); the run continues", name, _first_line(error))

    def _note_success(self, index: int) -> None:
        if lost := self._lost[index]:
            self._lost[index] = 0
            name = type(self._sinks[index]).__name__
            log.warning("%s takes rows again; %d were lost", name, lost)

    def __enter__(self) -> Metrics:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for sink in self._sinks:
            try:
                sink.close()
            except Exception as failure:  # as above
                log.warning(
                    "%s could not be closed (%s)", type(sink).__name__, _first_line(failure)
                )


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


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
