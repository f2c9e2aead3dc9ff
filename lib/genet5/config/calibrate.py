"""Settings of `calibrate`: the command's flags."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from genet5.config.checks import require


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrateConfig:
    """Which model is fitted on which genomes."""

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """Model directory; its annotate.json is written."""
    genomes: tuple[Path, ...]
    """FASTA files of validation genomes: neither trained on, nor those that figures are given for."""
    references: tuple[Path, ...]
    """Their annotations (GFF3, GTF or GenBank), in the same order."""
    work: Path
    """Folder for decoded windows; with it a second fit is quick."""
    skip_bad: bool = False
    """Leave bad records of the references out and count them, instead of stopping."""
    contigs: tuple[str, ...] = ()
    """Contigs to fit on; by default all."""
    max_bp: int | None = None
    """Take the first N bp of each contig only."""
    window_bp: int | None = None
    """Window length to annotate with, kept in annotate.json; by default what stands there."""
    overlap_bp: int | None = None
    """Overlap of windows, kept in annotate.json; by default what stands there."""
    overlooked: Literal["auto", "yes", "no"] = "auto"
    """Propose genes that the per-base heads see, too; auto = as annotate.json says."""
    both_strands: bool = False
    """Read each window on both strands, as the flag of annotate does."""
    batch_size: int = 16
    """Windows decoded together."""

    def __post_init__(self) -> None:
        require(bool(self.genomes), "genomes", self.genomes, "must name a genome")
        require(
            len(self.genomes) == len(self.references),
            "references", len(self.references), f"must be as many as genomes: {len(self.genomes)}",
        )  # fmt: skip
        for name in ("max_bp", "window_bp", "batch_size"):
            value = getattr(self, name)
            require(value is None or value >= 1, name, value, "must be at least 1")
