"""Configuration of `genet5 calibrate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from genet5.config.checks import by_default, require


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrateConfig:
    """Which model is calibrated, on which genomes."""

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """Model folder; its annotate.json is updated."""
    genomes: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FASTA ...")]
    """FASTA files of validation genomes, used neither for training nor for reported scores."""
    references: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="GFF ...")]
    """Their annotations (GFF3, GTF or GenBank), in the same order."""
    work: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """Folder for decoded windows, which a second calibration reuses."""
    skip_bad: bool = False
    """Drop and count invalid annotation records instead of stopping at the first."""
    contigs: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ..."), by_default("all")] = ()
    """Contigs to use."""
    max_bp: Annotated[int | None, by_default("whole contigs")] = None
    """Use only the first bases of each contig, this many."""
    window_bp: Annotated[int | None, by_default("unchanged")] = None
    """Window length in bases, stored in annotate.json."""
    overlap_bp: Annotated[int | None, by_default("unchanged")] = None
    """Overlap of windows in bases, stored in annotate.json."""
    segment_windows: Annotated[int | None, by_default("unchanged")] = None
    """Windows that are read together, stored in annotate.json."""
    head_only: Annotated[Literal["auto", "yes", "no"], tyro.conf.arg(aliases=["--overlooked"])] = (
        "auto"
    )
    """Add candidates from the per-base heads alone; auto is as annotate.json has it."""
    adapt_only: bool = False
    """Fit only how what is learned from a genome counts; scores and threshold without it stay."""
    both_strands: bool = False
    """Run the model on both strands of every window, like the flag of annotate."""
    batch_size: int = 16
    """Windows per batch."""

    def __post_init__(self) -> None:
        require(bool(self.genomes), "genomes", self.genomes, "must name a genome")
        require(
            len(self.genomes) == len(self.references),
            "references", len(self.references), f"must be as many as genomes: {len(self.genomes)}",
        )  # fmt: skip
        for name in ("max_bp", "window_bp", "segment_windows", "batch_size"):
            value = getattr(self, name)
            require(value is None or value >= 1, name, value, "must be at least 1")
