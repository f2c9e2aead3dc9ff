"""`genet5 eval`: score predicted genes against reference genes."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from genet5.cli.parse import run, write_table
from genet5.config.json_files import save_json
from genet5.errors import ConfigError
from genet5.genome.io.annotation import AnnotationFile, without_garbage_collection
from genet5.genome.io.files import check_inputs
from genet5.genome.io.formats import open_annotation
from genet5.outputs import atomic_writer, check_outputs, is_stream
from genet5.score.genes import GeneScorer
from genet5.score.levels import Scores
from genet5.score.plot import plot_html, plot_svg

log = logging.getLogger(__name__)

PLOT_SUFFIXES = (".svg", ".html")


@dataclass(frozen=True, kw_only=True, slots=True)
class EvalConfig:
    """What to compare, and how."""

    predictions: Annotated[Path, tyro.conf.arg(metavar="P.gff3")]
    """Predicted genes: GFF3, GTF or GenBank, plain or compressed."""
    reference: Annotated[Path, tyro.conf.arg(metavar="R.gff3")]
    """Genes held to be true: GFF3, GTF or GenBank, plain or compressed."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="F")] = None
    """Write scores, protocol and file names to this JSON file too; - is standard output."""
    plot: Annotated[Path | None, tyro.conf.arg(metavar="F")] = None
    """Draw levels and error causes: a page for a name in .html, a picture for .svg or -."""
    kind: Literal["auto", "prokaryote", "eukaryote"] = "auto"
    """Prokaryotes get levels stop and exact, without spliced references; auto: by the reference."""
    stop_codon_outside: Literal["predictions", "reference", "both"] | None = None
    """File whose CDS leave the stop codon out, without stop_codon lines: it is added."""
    skip_bad: bool = False
    """Drop and count records that break the format, instead of stopping at the first."""

    def __post_init__(self) -> None:
        if self.plot is None or self.plot.suffix in PLOT_SUFFIXES or is_stream(self.plot):
            return
        rule = f"must end in {' or '.join(PLOT_SUFFIXES)}"
        raise ConfigError("plot", str(self.plot), rule)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run(
        _evaluate,
        EvalConfig,
        argv,
        name="eval",
        description="Score predicted genes against reference genes at nucleotide, exon, intron,"
        " transcript and gene level, and list why genes are wrong.",
    )


def _evaluate(config: EvalConfig) -> int:
    inputs = {"predictions": config.predictions, "reference": config.reference}
    outputs = {"json": config.json, "plot": config.plot}
    check_inputs(inputs)
    check_outputs(outputs, inputs)
    scores = _score(config)
    write_table(f"{scores.table()}\n\n{scores.protocol}\n", outputs)
    files = {field: str(path) for field, path in inputs.items()}
    if config.json is not None:
        save_json(config.json, {**files, **scores.to_dict()})
    if config.plot is not None:
        is_page = config.plot.suffix == ".html"
        with atomic_writer(config.plot) as out:
            out.write(plot_html(scores, **files) if is_page else plot_svg(scores))
    return 0


def _score(config: EvalConfig) -> Scores:
    """Score contig by contig: the genes of one are in memory at a time."""
    scorer = GeneScorer(None if config.kind == "auto" else config.kind == "prokaryote")
    with ExitStack() as stack:
        stack.enter_context(without_garbage_collection())
        predictions, reference = (
            stack.enter_context(
                open_annotation(
                    path,
                    skip_bad=config.skip_bad,
                    stop_codon_outside=config.stop_codon_outside in (side, "both"),
                )
            )
            for side, path in (
                ("predictions", config.predictions),
                ("reference", config.reference),
            )
        )
        left = sum(map(reference.most_genes, reference.contigs))
        skipped = Counter(predictions.skipped), Counter(reference.skipped)
        for contig in dict.fromkeys((*reference.contigs, *predictions.contigs)):
            left -= reference.most_genes(contig)
            _add(scorer, contig, (predictions, reference), skipped, left)
    for path, counts in zip((config.predictions, config.reference), skipped, strict=True):
        for cause, count in sorted(counts.items()):
            log.warning("%s: skipped %d: %s", path, count, cause)
    if not scorer.num_predicted:
        log.warning("%s holds no coding gene", config.predictions)
    scores = scorer.scores()
    _warn_of_stops(scores)
    return scores


def _warn_of_stops(scores: Scores) -> None:
    """Warn if more predicted stops lie a codon off the reference's than on them."""
    stops, num_genes = scores.stops, scores.levels["gene"].predicted
    for count, where, side in (
        (stops.early, "before", "predictions"),
        (stops.late, "after", "reference"),
    ):
        if count > stops.exact:
            log.warning(
                "%d of %d predicted genes (%.0f %%) end exactly 3 bases %s a reference gene does."
                " Do the %s leave the stop codon out of the CDS? If so, use"
                " --stop_codon_outside %s",
                count, num_genes, 100 * count / num_genes, where, side, side,
            )  # fmt: skip


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
