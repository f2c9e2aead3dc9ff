"""Settings of `genet5 busco`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from genet5.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class BuscoSettings:
    """Which proteins to look into, and for what."""

    predictions: Annotated[Path, tyro.conf.arg(metavar="P.gff3")]
    """Predicted genes: GFF3, GTF or GenBank, plain or compressed."""
    genome: Annotated[Path, tyro.conf.arg(metavar="G.fa")]
    """Their genome, FASTA, plain or compressed."""
    lineage: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """BUSCO's data set of the lineage, unpacked: hmms/, scores_cutoff, lengths_cutoff."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="F")] = None
    """Write the counts and every group's result to this JSON file too."""
    all_isoforms: bool = False
    """Score every isoform; by default the longest of each gene, since isoforms count as duplicates."""
    genetic_code: int = 1
    """NCBI number of the genetic code of genes that do not state their own."""
    scorer: Literal["auto", "busco", "pyhmmer"] = "auto"
    """Run the program busco, or apply its rules with pyhmmer; auto = busco if it is on PATH."""
    threads: int | None = None
    """CPU threads; by default all cores."""
    skip_bad: bool = False
    """Drop and count records that break the format, instead of stopping at the first."""

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise ConfigError("threads", self.threads, "must be at least 1")
