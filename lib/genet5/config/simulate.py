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
    eukaryote: bool = False
    """Write spliced genes with untranslated regions, isoforms, RNA genes, soft-masked repeats and runs of N between them."""
    length_bp: int = 200_000
    """Bases of the genome, all contigs together; at least 2000 per contig, 5000 of a eukaryote."""
    seed: int = 1
    """Of the random generator; the same seed and settings give the same genome."""
    gc: float | None = None
    """GC content of the genome, 0.25 to 0.75; None is 0.5, or 0.42 for a eukaryote."""
    genetic_code: int | None = None
    """NCBI number of the genetic code (4 reads TGA as Trp); None is 11, or 1 for a eukaryote."""
    contigs: int = 1
    """Number of contigs, of about equal length."""
    coding_density: float | None = None
    """Share of bases in genes, introns included; None is 0.88 (0.5 to 0.95), or 0.5 (0.05 to 0.9) for a eukaryote."""
    introns: float | None = None
    """Mean number of introns in the coding sequence of a gene; None is 3. For a eukaryote only."""
    intron_bp: float | None = None
    """Mean length of an intron in bases, at least 60; None is 150. For a eukaryote only."""
    isoforms: float | None = None
    """Share of the spliced genes that have two or three transcripts; None is 0.2. For a eukaryote only."""
    overwrite: bool = False
    """Replace the files of an earlier run."""

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigError("seed", self.seed, "must not be negative")
        for name in ("introns", "intron_bp", "isoforms"):
            if getattr(self, name) is not None and not self.eukaryote:
                raise ConfigError(name, getattr(self, name), "needs --eukaryote")
