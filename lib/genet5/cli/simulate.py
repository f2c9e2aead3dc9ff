"""`genet5 simulate`: write an artificial bacterial genome with its true genes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from genet5.cli.parse import run
from genet5.config.simulate import SimulateSettings
from genet5.errors import ConfigError

GENOME, ANNOTATION = "genome.fa", "annotation.gff3"


def main(argv: Sequence[str] | None = None) -> int:
    """Write OUT_DIR/genome.fa and OUT_DIR/annotation.gff3."""
    return run(
        _simulate,
        SimulateSettings,
        argv,
        name="simulate",
        description="Write an artificial bacterial genome and its true genes: OUT_DIR/genome.fa and OUT_DIR/annotation.gff3.",
    )


def _simulate(settings: SimulateSettings) -> int:
    from genet5.genome.fasta import write_fasta
    from genet5.genome.files import atomic_writer
    from genet5.genome.gff3 import write_gff3
    from genet5.genome.sequence import decode_bases
    from genet5.genome.simulate import simulate_bacterium

    _refuse_to_overwrite(settings)
    contigs, genes = simulate_bacterium(
        settings.length_bp,
        settings.seed,
        gc=settings.gc,
        code=settings.genetic_code,
        num_contigs=settings.contigs,
        coding_density=settings.coding_density,
    )
    write_fasta(
        settings.out_dir / GENOME,
        ((f"{c.name} {c.description}", decode_bases(c.bases)) for c in contigs),
    )
    lengths = {contig.name: len(contig.bases) for contig in contigs}
    with atomic_writer(settings.out_dir / ANNOTATION) as out:
        write_gff3(out, genes, lengths, source="simulate")
    return 0


def _refuse_to_overwrite(settings: SimulateSettings) -> None:
    folder: Path = settings.out_dir
    present = [name for name in (GENOME, ANNOTATION) if (folder / name).exists()]
    if present and not settings.overwrite:
        raise ConfigError(
            "OUT_DIR", str(folder), f"holds {present[0]} already; --overwrite replaces it"
        )
