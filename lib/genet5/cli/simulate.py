"""`genet5 simulate`: write an artificial genome with its true genes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genet5.cli.parse import run
from genet5.config.simulate import SimulateSettings
from genet5.errors import ConfigError

if TYPE_CHECKING:
    from genet5.genome.gene import Gene
    from genet5.genome.io.fasta import Contig

GENOME, ANNOTATION = "genome.fa", "annotation.gff3"


def main(argv: Sequence[str] | None = None) -> int:
    """Write OUT_DIR/genome.fa and OUT_DIR/annotation.gff3."""
    return run(
        _simulate,
        SimulateSettings,
        argv,
        name="simulate",
        description=(
            "Write an artificial genome, bacterial or with --eukaryote spliced, and its true genes: "
            "OUT_DIR/genome.fa and OUT_DIR/annotation.gff3."
        ),
    )


def _simulate(settings: SimulateSettings) -> int:
    from genet5.genome.io.fasta import write_fasta
    from genet5.genome.io.files import atomic_writer
    from genet5.genome.io.gff3 import write_gff3
    from genet5.genome.sequence import decode_bases

    _refuse_to_overwrite(settings)
    contigs, genes = _genome(settings)
    write_fasta(
        settings.out_dir / GENOME,
        ((f"{c.name} {c.description}", decode_bases(c.bases)) for c in contigs),
    )
    lengths = {contig.name: len(contig.bases) for contig in contigs}
    with atomic_writer(settings.out_dir / ANNOTATION) as out:
        write_gff3(out, genes, lengths, source="simulate")
    return 0


def _genome(settings: SimulateSettings) -> tuple[list[Contig], tuple[Gene, ...]]:
    """Contigs and genes; settings that are None are left to the simulation."""
    from genet5.simulate.eukaryote import simulate_eukaryote
    from genet5.simulate.prokaryote import simulate_bacterium

    shared = {"gc": settings.gc, "code": settings.genetic_code}
    if not settings.eukaryote:
        given = _given({**shared, "coding_density": settings.coding_density})
        return simulate_bacterium(
            settings.length_bp, settings.seed, num_contigs=settings.contigs, **given
        )
    given = _given(
        {
            **shared,
            "gene_density": settings.coding_density,
            "introns": settings.introns,
            "intron_bp": settings.intron_bp,
            "isoforms": settings.isoforms,
        }
    )
    return simulate_eukaryote(
        settings.length_bp, settings.seed, num_contigs=settings.contigs, **given
    )


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _refuse_to_overwrite(settings: SimulateSettings) -> None:
    folder: Path = settings.out_dir
    present = [name for name in (GENOME, ANNOTATION) if (folder / name).exists()]
    if present and not settings.overwrite:
        raise ConfigError(
            "OUT_DIR", str(folder), f"holds {present[0]} already; --overwrite replaces it"
        )
