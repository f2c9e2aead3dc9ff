"""`genet5 busco`: completeness of predicted proteins by BUSCO's groups of single-copy genes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import tyro

from genet5.cli.parse import run, write_table
from genet5.config.checks import by_default
from genet5.config.json_files import save_json
from genet5.errors import ConfigError, DataError
from genet5.genome.codes import genetic_code
from genet5.genome.io.files import check_inputs
from genet5.genome.io.formats import read_annotation
from genet5.outputs import check_outputs
from genet5.score.busco import Lineage
from genet5.score.busco_search import choose_scorer, extract_proteins, run_busco

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class BuscoConfig:
    """Which proteins to score, and how."""

    predictions: Annotated[Path, tyro.conf.arg(metavar="P.gff3")]
    """Predicted genes: GFF3, GTF or GenBank, plain or compressed."""
    genome: Annotated[Path, tyro.conf.arg(metavar="G.fa")]
    """FASTA file of their genome, plain or compressed."""
    lineage: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """Unpacked BUSCO lineage dataset: hmms/, scores_cutoff, lengths_cutoff."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="F")] = None
    """Write the counts and every group's result to this JSON file too; - is standard output."""
    all_isoforms: bool = False
    """Score all isoforms instead of the longest of each gene; isoforms count as duplicates."""
    genetic_code: int = 1
    """NCBI genetic code of genes without one."""
    scorer: Literal["auto", "busco", "pyhmmer"] = "auto"
    """Run the program busco, or apply its rules with pyhmmer; auto is busco if it is on PATH."""
    threads: Annotated[int | None, by_default("all cores")] = None
    """Number of CPU threads."""
    skip_bad: bool = False
    """Drop and count invalid annotation records instead of stopping at the first."""

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise ConfigError("threads", self.threads, "must be at least 1")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run(
        _score,
        BuscoConfig,
        argv,
        name="busco",
        description="Score the proteins of predicted genes with BUSCO: complete, duplicated, "
        "fragmented and missing groups.",
    )


def _score(config: BuscoConfig) -> int:
    from genet5.progress import CountProgress

    inputs = {"predictions": config.predictions, "genome": config.genome}
    outputs = {"json": config.json}
    check_inputs(inputs)
    check_outputs(outputs, inputs)
    choose_scorer(config.scorer)  # fail before the work
    genetic_code(config.genetic_code)
    lineage = Lineage.read(config.lineage)
    annotation = read_annotation(config.predictions, skip_bad=config.skip_bad)
    for cause, count in annotation.skipped.items():
        log.warning("%s: skipped %d: %s", config.predictions, count, cause)
    proteins = extract_proteins(
        config.genome,
        annotation.genes,
        all_isoforms=config.all_isoforms,
        default_code=config.genetic_code,
    )
    if not proteins:
        raise DataError("no coding gene", expected="genes with CDS", path=config.predictions)
    with CountProgress("groups") as progress:
        report = run_busco(
            proteins,
            lineage,
            scorer=config.scorer,
            threads=config.threads,
            progress=partial(progress.show, config.lineage.name),
        )
    what = "isoforms" if config.all_isoforms else "genes, the longest isoform of each"
    about = f"{len(proteins)} proteins ({what}), {report.lineage}, {report.scorer}"
    write_table(f"{report.summary}\n\n{report.table()}\n\n{about}\n", outputs)
    if config.json is not None:
        files = {field: str(path) for field, path in inputs.items()}
        isoforms = {"isoforms": "all" if config.all_isoforms else "longest"}
        save_json(config.json, {**files, **isoforms, **report.to_dict()})
    return 0
