"""Settings of `genet5 simulate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from genet5.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class SimulateSettings:
    """What artificial genome to write."""

    out_dir: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT_DIR")]
    """Folder for genome.fa and annotation.gff3; made if it is not there."""
    length_bp: int = 200_000
    """Bases of the genome, all contigs together; at least 2000 per contig."""
    seed: int = 1
    """Of the random generator; the same seed and settings give the same genome."""
    gc: float = 0.5
    """GC content of the genome, 0.25 to 0.75."""
    genetic_code: int = 11
    """NCBI number of the genetic code; 4 reads TGA as Trp."""
    contigs: int = 1
    """Number of contigs, of about equal length."""
    coding_density: float = 0.88
    """Share of bases in genes, 0.5 to 0.95."""
    overwrite: bool = False
    """Replace the files of an earlier run."""

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigError("seed", self.seed, "must not be negative")
