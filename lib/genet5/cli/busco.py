"""`genet5 busco`: how complete the proteins of predicted genes are, by BUSCO's groups of single-copy genes."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from functools import partial

from genet5.cli.parse import run
from genet5.config.busco import BuscoSettings
from genet5.config.json_files import save_json
from genet5.errors import DataError
from genet5.genome.codes import genetic_code
from genet5.genome.io.formats import read_annotation
from genet5.score.busco import Lineage
from genet5.score.busco_search import choose_scorer, extract_proteins, run_busco

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run(
        _score,
        BuscoSettings,
        argv,
        name="busco",
        description="Score the proteins of predicted genes with BUSCO: complete, duplicated, fragmented and missing groups.",
    )


def _score(settings: BuscoSettings) -> int:
    from genet5.progress import CountProgress

    choose_scorer(settings.scorer)  # fail before the work
    genetic_code(settings.genetic_code)
    lineage = Lineage.read(settings.lineage)
    annotation = read_annotation(settings.predictions, skip_bad=settings.skip_bad)
    for cause, count in annotation.skipped.items():
        log.warning("%s: skipped %d: %s", settings.predictions, count, cause)
    proteins = extract_proteins(
        settings.genome,
        annotation.genes,
        all_isoforms=settings.all_isoforms,
        default_code=settings.genetic_code,
    )
    if not proteins:
        raise DataError("no coding gene", expected="genes with CDS", path=settings.predictions)
    with CountProgress("groups") as progress:
        report = run_busco(
            proteins,
            lineage,
            scorer=settings.scorer,
            threads=settings.threads,
            progress=partial(progress.show, settings.lineage.name),
        )
    what = "isoforms" if settings.all_isoforms else "genes, the longest isoform of each"
    sys.stdout.write(
        f"{report.summary}\n\n{report.table()}\n\n{len(proteins)} proteins ({what}), {report.lineage}, {report.scorer}\n"
    )
    if settings.json is not None:
        files = {"predictions": str(settings.predictions), "genome": str(settings.genome)}
        isoforms = {"isoforms": "all" if settings.all_isoforms else "longest"}
        save_json(settings.json, {**files, **isoforms, **report.to_dict()})
    return 0
