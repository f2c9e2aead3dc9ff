"""The curves of runs: read from metrics.jsonl and run.json, drawn side by side.

Example:
    runs = [read_run(Path("run_001")), read_run(Path("run_002"))]
    draw(runs, Path("curves.svg"))
"""

from __future__ import annotations

import html
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from genet5.config.json_files import load_json
from genet5.errors import DataError, FormatError
from genet5.outputs import atomic_writer, svg_element

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

METRICS_FILE, RUN_FILE = "metrics.jsonl", "run.json"
FORMATS = ("svg", "png", "pdf", "html")
"""Endings of files that can be drawn."""

XAxis = Literal["step", "bases", "hours"]
_X_LABELS = {"step": "optimizer step", "bases": "bases seen (Mbp)", "hours": "hours of training"}
_SMOOTHED = 0.02
"""Share of a run's rows over which its training loss is averaged."""

_MARKERS = "osD^v<>pX*"
"""Of the groups of one run."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curves:
    """Rows of one kind: numbers by name, NaN where a row lacks one."""

    columns: dict[str, Floats] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Floats:
        """Return a column; one that no row has is empty."""
        return self.columns.get(name, np.empty(0))

    def x(self, axis: XAxis) -> Floats:
        """Return where the rows lie on an axis."""
        if axis == "step":
            return self["step"]
        return self["bases"] / 1e6 if axis == "bases" else self["elapsed_s"] / 3600


@dataclass(frozen=True, slots=True)
class RunCurves:
    """What a run wrote."""

    name: str
    train: Curves
    validation: Curves
    settings: dict[str, Any]
    """Flat: "optim.lr" -> 0.001."""


def read_run(folder: Path, name: str = "") -> RunCurves:
    """Read the metrics and settings of a run.

    Args:
        folder: OUT of the run.
        name: Label; by default the folder's name.

    Raises:
        DataError: The folder holds no metrics.
        FormatError: A line is no row of metrics.
    """
    path = folder / METRICS_FILE
    if not path.is_file():
        raise DataError(f"no {METRICS_FILE}", expected="OUT of finet or lm pretrain", path=folder)
    rows = list(read_rows(path))
    record = folder / RUN_FILE
    settings = load_json(record).get("settings", {}) if record.is_file() else {}
    kinds = {kind: [row for k, row in rows if k == kind] for kind in ("train", "validation")}
    return RunCurves(
        name or folder.resolve().name,
        _columns(kinds["train"]),
        _with_places(_columns(kinds["validation"]), _columns(kinds["train"])),
        dict(_flat(settings)),
    )


def read_rows(path: Path) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield kind ("train" or "validation") and numbers of each row of a metrics file.

    Raises:
        FormatError: A line is no row of metrics.
    """
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    for number, line in enumerate(lines, start=1):
        if not line.endswith("\n"):
            return  # a line that is being written
        try:
            row = json.loads(line)
            kind = str(row.pop("kind"))
            yield kind, {name: float(value) for name, value in row.items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FormatError(
                f"line {number}: {line.strip()[:60]!r}", expected="a row of metrics", path=path
            ) from error


def _columns(rows: Sequence[dict[str, float]]) -> Curves:
    names = dict.fromkeys(name for row in rows for name in row)
    return Curves({n: np.array([row.get(n, np.nan) for row in rows]) for n in names})


def _with_places(validation: Curves, train: Curves) -> Curves:
    """Give validation rows the bases and seconds of the training rows at their steps."""
    placed = dict(validation.columns)
    for name in ("bases", "elapsed_s"):
        if len(train[name]) and len(validation["step"]):
            placed[name] = np.interp(validation["step"], train["step"], train[name])
    return Curves(placed)


def _flat(settings: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def draw(runs: Sequence[RunCurves], out: Path, axis: XAxis = "step") -> None:
    """Draw loss, F1, throughput, memory and learning rate of runs; the name decides the format.

    Args:
        runs: Each gets a color.
        out: .svg, .png, .pdf, or .html: a page with the figure and a table of the runs.
        axis: Steps, bases seen or hours.

    Raises:
        FormatError: The name has another ending.
    """
    ending = out.suffix.lower().removeprefix(".")
    if ending not in FORMATS:
        endings = ", ".join(f".{known}" for known in FORMATS)
        raise FormatError(f"ending {out.suffix!r}", expected=endings, path=out)
    figure = _figure(runs, axis)
    if ending == "html":
        with atomic_writer(out) as text:
            text.write(_page(runs, svg_element(figure)))
        return
    picture = io.BytesIO()
    figure.savefig(picture, format=ending, dpi=150)
    with atomic_writer(out, binary=True) as file:
        file.write(picture.getvalue())


@dataclass(frozen=True, slots=True)
class _Panel:
    title: str
    unit: str
    train: tuple[str, ...] = ()
    """The first of these columns that a run has is drawn."""
    validation: tuple[str, ...] = ()
    log: bool = False
    factor: float = 1.0
    groups: str = ""
    """Ending of validation columns that are all drawn, one for each clade or difficulty."""


_PANELS = (
    _Panel("loss", "nats", ("loss",), ("loss",), log=True),
    _Panel("bits per base", "bits", ("bits_per_base",), ("bits_per_base",)),
    _Panel("F1 of validation genes", "", (), ("gene_f1",)),
    _Panel("validation loss by clade and difficulty", "nats", log=True, groups="_loss"),
    _Panel("F1 of genes by clade and difficulty", "", groups="_gene_f1"),
    _Panel("F1 of 3' ends by clade and difficulty", "", groups="_stop_f1"),
    _Panel("throughput", "kbp/s", ("bp_per_s",), factor=1e-3),
    _Panel("memory", "GiB", ("cuda_active_peak_gib", "rss_gib")),
    _Panel("learning rate", "", ("lr",)),
    _Panel("gradient norm", "", ("grad_norm",), log=True),
)


def _figure(runs: Sequence[RunCurves], axis: XAxis) -> Figure:
    from matplotlib.figure import Figure

    panels = [panel for panel in _PANELS if any(_has(run, panel) for run in runs)]
    num_rows = max(1, -(-len(panels) // 2))
    figure = Figure(figsize=(11, 3.1 * num_rows), layout="constrained")
    for k, panel in enumerate(panels):
        axes = figure.add_subplot(num_rows, 2, k + 1)
        for number, run in enumerate(runs):
            _draw_run(axes, run, panel, axis, f"C{number}")
        axes.set(title=panel.title, xlabel=_X_LABELS[axis], ylabel=panel.unit)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        if panel.log:
            axes.set_yscale("log")
        if k == 0 or panel.groups:
            axes.legend(frameon=False, fontsize="small" if panel.groups else None)
    return figure


def _has(run: RunCurves, panel: _Panel) -> bool:
    single = _column(run.train, panel.train) or _column(run.validation, panel.validation)
    return bool(single or _group_columns(run, panel))


def _group_columns(run: RunCurves, panel: _Panel) -> list[str]:
    """Return the validation columns of a panel's groups."""
    ending = panel.groups
    return [name for name in run.validation.columns if ending and name.endswith(ending)]


def _column(curves: Curves, names: Sequence[str]) -> str | None:
    """Return the first column that holds a number other than zero."""
    return next((n for n in names if np.any(np.nan_to_num(curves[n]))), None)


def _draw_run(axes: Axes, run: RunCurves, panel: _Panel, axis: XAxis, color: str) -> None:
    """Draw one run into one panel: rows pale, their running mean strong, validation as points."""
    if name := _column(run.train, panel.train):
        x, y = run.train.x(axis), panel.factor * run.train[name]
        axes.plot(x, y, color=color, alpha=0.25, linewidth=0.8)
        axes.plot(x, smoothed(y), color=color, linewidth=1.4, label=run.name)
    if name := _column(run.validation, panel.validation):
        x, y = run.validation.x(axis), panel.factor * run.validation[name]
        label = f"{run.name}, validation"
        axes.plot(x, y, "o-", color=color, markersize=3.5, linewidth=0.8, label=label)
    for number, name in enumerate(_group_columns(run, panel)):
        marker = _MARKERS[number % len(_MARKERS)]
        label = f"{run.name}, {name.removesuffix(panel.groups)}"
        x, y = run.validation.x(axis), run.validation[name]
        axes.plot(x, y, f"{marker}-", color=color, markersize=4, linewidth=0.8, label=label)


def smoothed(values: Floats) -> Floats:
    """Return the mean over a fiftieth of the rows around each; missing values are passed over.

    Example:
        >>> smoothed(np.array([1.0, 3.0, np.nan])).tolist()
        [1.0, 3.0, nan]
    """
    half = int(_SMOOTHED * len(values) / 2)
    known = ~np.isnan(values)
    sums, counts = (np.cumsum(np.append(0.0, v)) for v in (np.where(known, values, 0.0), known))
    places = np.arange(len(values))
    left, right = np.maximum(places - half, 0), np.minimum(places + half + 1, len(values))
    with np.errstate(invalid="ignore"):
        return np.asarray((sums[right] - sums[left]) / (counts[right] - counts[left]))


def _page(runs: Sequence[RunCurves], svg: str) -> str:
    """Return a page without links to anything outside it."""
    names = [run.name for run in runs]
    outcomes = [row for row in _outcomes(runs) if any(row[1:])]
    table = _html_table(["", *names], [*outcomes, *_differences(runs)])
    title = html.escape("Training: " + ", ".join(names))
    return (
        f"<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><title>{title}</title>\n"
        "<style>body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;"
        "padding:0 1rem;color:#222}svg{width:100%;height:auto}table{border-collapse:collapse}"
        "td,th{padding:.25rem .8rem;border-bottom:1px solid #ddd;text-align:left}</style></head>\n"
        f"<body><h1>{title}</h1>\n{svg}\n{table}\n</body></html>\n"
    )


def _html_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["<tr>" + "".join(f"<th>{html.escape(cell)}</th>" for cell in head) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>" for row in rows]
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def _outcomes(runs: Sequence[RunCurves]) -> Iterator[list[str]]:
    """Yield rows of what the runs came to."""

    def last(values: Floats, form: str) -> str:
        return format(values[-1], form) if len(values) else ""

    def lowest(values: Floats) -> str:
        return format(np.nanmin(values), ".4f") if len(values) else ""

    yield ["steps", *(last(run.train["step"], ".0f") for run in runs)]
    yield ["hours", *(last(run.train["elapsed_s"] / 3600, ".2f") for run in runs)]
    yield ["Mbp seen", *(last(run.train["bases"] / 1e6, ",.1f") for run in runs)]
    yield ["training loss, last", *(last(smoothed(run.train["loss"]), ".4f") for run in runs)]
    yield ["validation loss, lowest", *(lowest(run.validation["loss"]) for run in runs)]
    yield ["F1 of genes, last", *(last(run.validation["gene_f1"], ".4f") for run in runs)]


def _differences(runs: Sequence[RunCurves]) -> Iterator[list[str]]:
    """Yield the settings in which the runs differ."""
    names = dict.fromkeys(name for run in runs for name in run.settings)
    for name in names:
        values = [str(run.settings.get(name, "")) for run in runs]
        if len(set(values)) > 1:
            yield [name, *values]
