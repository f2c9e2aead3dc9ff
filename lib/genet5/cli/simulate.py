"""`genet5 simulate`: write an artificial genome with its true genes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from genet5.cli.parse import run
from genet5.errors import ConfigError
from genet5.outputs import atomic_writer, check_folder

if TYPE_CHECKING:
    from genet5.genome.gene import Gene
    from genet5.genome.io.fasta import Contig

GENOME, ANNOTATION = "genome.fa", "annotation.gff3"


@dataclass(frozen=True, kw_only=True, slots=True)
class SimulateConfig:
    """What artificial genome to write."""

    out_dir: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT_DIR")]
    """Folder for genome.fa and annotation.gff3; made if it is not there."""
    eukaryote: bool = False
    """Simulate a eukaryote: spliced genes, UTRs, isoforms, RNA genes, masked repeats, runs of N."""
    length_bp: int = 200_000
    """Bases of the genome, all contigs together; at least 2000 per contig, 5000 of a eukaryote."""
    seed: int = 1
    """Seed of the random generator; the same seed and settings give the same genome."""
    gc: float | None = None
    """GC content of the genome, 0.25 to 0.75; by default 0.5, or 0.42 for a eukaryote."""
    genetic_code: int | None = None
    """NCBI number of the genetic code (4: TGA is Trp); by default 11, or 1 for a eukaryote."""
    contigs: int = 1
    """Number of contigs, of about equal length."""
    coding_density: float | None = None
    """Share of bases in genes, introns included; by default 0.88, or 0.5 for a eukaryote."""
    introns: float | None = None
    """Mean number of introns in a coding sequence; by default 3. For a eukaryote only."""
    intron_bp: float | None = None
    """Mean length of an intron in bases, at least 60; by default 150. For a eukaryote only."""
    isoforms: float | None = None
    """Share of spliced genes with several transcripts; by default 0.2. For a eukaryote only."""
    overwrite: bool = False
    """Replace the files of an earlier run."""

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigError("seed", self.seed, "must not be negative")
        for name in ("introns", "intron_bp", "isoforms"):
            if getattr(self, name) is not None and not self.eukaryote:
                raise ConfigError(name, getattr(self, name), "needs --eukaryote")


def main(argv: Sequence[str] | None = None) -> int:
    """Write OUT_DIR/genome.fa and OUT_DIR/annotation.gff3."""
    return run(
        _simulate,
        SimulateConfig,
        argv,
        name="simulate",
        description=(
            "Simulate a bacterial genome, or with --eukaryote a eukaryotic one, and its true "
            "genes: OUT_DIR/genome.fa and OUT_DIR/annotation.gff3."
        ),
    )


def _simulate(config: SimulateConfig) -> int:
    from genet5.genome.io.fasta import write_fasta
    from genet5.genome.io.gff3_write import write_gff3
    from genet5.genome.sequence import decode_bases

    check_folder("OUT_DIR", config.out_dir)
    _refuse_to_overwrite(config)
    contigs, genes = _genome(config)
    write_fasta(
        config.out_dir / GENOME,
        ((f"{c.name} {c.description}", decode_bases(c.bases)) for c in contigs),
    )
    lengths = {contig.name: len(contig.bases) for contig in contigs}
    with atomic_writer(config.out_dir / ANNOTATION) as out:
        write_gff3(out, genes, lengths, source="simulate")
    return 0


def _genome(config: SimulateConfig) -> tuple[list[Contig], tuple[Gene, ...]]:
    """Return contigs and genes; the simulation chooses what is None."""
    from genet5.simulate.eukaryote import simulate_eukaryote
    from genet5.simulate.prokaryote import simulate_bacterium

    shared = {"gc": config.gc, "code": config.genetic_code}
    if not config.eukaryote:
        given = _given({**shared, "coding_density": config.coding_density})
        return simulate_bacterium(
            config.length_bp, config.seed, num_contigs=config.contigs, **given
        )
    given = _given(
        {
            **shared,
            "gene_density": config.coding_density,
            "introns": config.introns,
            "intron_bp": config.intron_bp,
            "isoforms": config.isoforms,
        }
    )
    return simulate_eukaryote(config.length_bp, config.seed, num_contigs=config.contigs, **given)


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _refuse_to_overwrite(config: SimulateConfig) -> None:
    folder: Path = config.out_dir
    present = [name for name in (GENOME, ANNOTATION) if (folder / name).exists()]
    if present and not config.overwrite:
        raise ConfigError(
            "OUT_DIR", str(folder), f"holds {present[0]} already; --overwrite replaces it"
        )
