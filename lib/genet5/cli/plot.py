"""`genet5 plot`: draw the curves of training runs, one or several compared."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from genet5.cli.parse import require_package, run
from genet5.config.checks import by_default, require
from genet5.outputs import check_outputs


@dataclass(frozen=True, kw_only=True, slots=True)
class PlotConfig:
    """Which runs to draw, and where to."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN ...")]
    """Folders of runs of `finet` or `lm pretrain`, running ones too."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE")]
    """Output file: .svg, .png, .pdf, or .html, a page with the figure, the outcomes, and the
    settings in which the runs differ."""
    x: Literal["step", "bases", "hours"] = "step"
    """What the curves run over: optimizer steps, bases seen, or hours of training."""
    names: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="NAME ..."), by_default("the folders' names")
    ] = ()
    """Names of the runs in the figure."""

    def __post_init__(self) -> None:
        require(bool(self.runs), "RUN", "", "give at least one")
        right = len(self.names) in (0, len(self.runs))
        require(right, "names", self.names, f"must be as many as runs ({len(self.runs)})")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run(
        _plot,
        PlotConfig,
        argv,
        name="plot",
        description="Draw loss, F1, throughput and memory of training runs.",
    )


def _plot(config: PlotConfig) -> int:
    check_outputs({"output": config.output}, {})
    require_package("output", "matplotlib", "plot")
    from genet5.train.telemetry.curves import draw, read_run

    names = config.names or short_names(config.runs)
    curves = [read_run(folder, name) for folder, name in zip(config.runs, names, strict=True)]
    draw(curves, config.output, config.x)
    sys.stderr.write(f"{len(curves)} runs: {config.output}\n")
    return 0


def short_names(folders: Sequence[Path]) -> list[str]:
    """Return the folders' names, as they were given where two are the same."""
    names = [folder.resolve().name for folder in folders]
    return [
        name if names.count(name) == 1 else str(folder)
        for folder, name in zip(folders, names, strict=True)
    ]
