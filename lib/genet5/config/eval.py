"""Settings of `genet5 eval`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from genet5.errors import ConfigError

PLOT_SUFFIXES = (".svg", ".html")


@dataclass(frozen=True, kw_only=True, slots=True)
class EvalSettings:
    """What to compare, and how."""

    predictions: Annotated[Path, tyro.conf.arg(metavar="P.gff3")]
    """Predicted genes: GFF3, GTF or GenBank, plain or compressed."""
    reference: Annotated[Path, tyro.conf.arg(metavar="R.gff3")]
    """Genes held to be true: GFF3, GTF or GenBank, plain or compressed."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="F")] = None
    """Write scores, protocol and file names to this JSON file too."""
    plot: Annotated[Path | None, tyro.conf.arg(metavar="F")] = None
    """Draw levels and error causes: a name in .svg gets the picture, one in .html a page with the tables too."""
    kind: Literal["auto", "prokaryote", "eukaryote"] = "auto"
    """Prokaryotes get levels stop and exact, their spliced references are ignored; auto looks for spliced references."""
    skip_bad: bool = False
    """Drop and count records that break the format, instead of stopping at the first."""

    def __post_init__(self) -> None:
        if self.plot is not None and self.plot.suffix not in PLOT_SUFFIXES:
            raise ConfigError("plot", str(self.plot), f"must end in {' or '.join(PLOT_SUFFIXES)}")
