"""`genet5 eval`: score predicted genes against reference genes and print the protocol with the table."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack

from genet5.cli.parse import run
from genet5.config.eval import EvalSettings
from genet5.config.json_files import save_json
from genet5.genome.io.annotation import AnnotationFile, without_garbage_collection
from genet5.genome.io.files import atomic_writer
from genet5.genome.io.formats import open_annotation
from genet5.score.genes import GeneScorer
from genet5.score.levels import Scores
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
    scores = _score(settings)
    sys.stdout.write(f"{scores.table()}\n\n{scores.protocol}\n")
    files = {"predictions": str(settings.predictions), "reference": str(settings.reference)}
    if settings.json is not None:
        save_json(settings.json, {**files, **scores.to_dict()})
    if settings.plot is not None:
        is_page = settings.plot.suffix == ".html"
        with atomic_writer(settings.plot) as out:
            out.write(plot_html(scores, **files) if is_page else plot_svg(scores))
    return 0


def _score(settings: EvalSettings) -> Scores:
    """Score contig by contig: the genes of one are in memory at a time."""
    scorer = GeneScorer(None if settings.kind == "auto" else settings.kind == "prokaryote")
    with ExitStack() as stack:
        stack.enter_context(without_garbage_collection())
        predictions, reference = (
            stack.enter_context(open_annotation(path, skip_bad=settings.skip_bad))
            for path in (settings.predictions, settings.reference)
        )
        left = sum(map(reference.most_genes, reference.contigs))
        skipped = Counter(predictions.skipped), Counter(reference.skipped)
        for contig in dict.fromkeys((*reference.contigs, *predictions.contigs)):
            left -= reference.most_genes(contig)
            _add(scorer, contig, (predictions, reference), skipped, left)
    for path, counts in zip((settings.predictions, settings.reference), skipped, strict=True):
        for cause, count in sorted(counts.items()):
            log.warning("%s: skipped %d: %s", path, count, cause)
    if not scorer.num_predicted:
        log.warning("%s holds no coding gene", settings.predictions)
    return scorer.scores()


def _add(
    scorer: GeneScorer,
    contig: str,
    files: tuple[AnnotationFile, AnnotationFile],
    skipped: tuple[Counter[str], Counter[str]],
    genes_left: int,
) -> None:
    """Read one contig of predictions and reference, and score it."""
    predicted, truth = (file.read(contig) for file in files)
    for counts, part in zip(skipped, (predicted, truth), strict=True):
        counts.update(part.skipped)
    length_bp = truth.contig_lengths.get(contig)
    scorer.add(contig, predicted.genes, truth.genes, length_bp, genes_left=genes_left)
