"""`genet5 eval`: score predicted genes against reference genes and print the protocol with the table."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from genet5.cli.parse import run
from genet5.config.eval import EvalSettings
from genet5.config.files import save_json
from genet5.genome.annotation import Annotation
from genet5.genome.files import atomic_writer
from genet5.genome.formats import read_annotation
from genet5.score.genes import score_genes
from genet5.score.plot import plot_html, plot_svg

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run(
        _evaluate,
        EvalSettings,
        argv,
        name="eval",
        description="Score predicted genes against reference genes: nucleotide, exon, intron, transcript and gene level, and why genes are wrong.",
    )


def _evaluate(settings: EvalSettings) -> int:
    predictions = _read(settings.predictions, skip_bad=settings.skip_bad)
    reference = _read(settings.reference, skip_bad=settings.skip_bad)
    if not any(gene.is_coding for gene in predictions.genes):
        log.warning("%s holds no coding gene", settings.predictions)
    scores = score_genes(
        predictions.genes,
        reference.genes,
        reference.contig_lengths,
        None if settings.kind == "auto" else settings.kind == "prokaryote",
    )
    sys.stdout.write(f"{scores.table()}\n\n{scores.protocol}\n")
    files = {"predictions": str(settings.predictions), "reference": str(settings.reference)}
    if settings.json is not None:
        save_json(settings.json, {**files, **scores.to_dict()})
    if settings.plot is not None:
        is_page = settings.plot.suffix == ".html"
        with atomic_writer(settings.plot) as out:
            out.write(plot_html(scores, **files) if is_page else plot_svg(scores))
    return 0


def _read(path: Path, *, skip_bad: bool) -> Annotation:
    annotation = read_annotation(path, skip_bad=skip_bad)
    for cause, count in annotation.skipped.items():
        log.warning("%s: skipped %d: %s", path, count, cause)
    return annotation
