"""Settings of `genet5 eval`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True, kw_only=True, slots=True)
class EvalSettings:
    """What to compare, and how."""

    predictions: Annotated[Path, tyro.conf.arg(metavar="P.gff3")]
    """Predicted genes, GFF3, plain or compressed."""
    reference: Annotated[Path, tyro.conf.arg(metavar="R.gff3")]
    """Genes held to be true, GFF3, plain or compressed."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="F")] = None
    """Write scores, protocol and file names to this JSON file too."""
    kind: Literal["auto", "prokaryote", "eukaryote"] = "auto"
    """Prokaryotes get levels stop and exact, their spliced references are ignored; auto looks for spliced references."""
    skip_bad: bool = False
    """Drop and count records that break the format, instead of stopping at the first."""
