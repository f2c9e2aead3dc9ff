#!/usr/bin/env python3
"""Fit a model's gene scores and threshold on validation genomes, and write them into its annotate.json.

Annotates the validation genomes without a threshold, keeps every candidate with its features, calls it right if its 3' end is
that of a complete reference gene (its whole CDS where genes have introns), leaves out candidates about pseudogenes and other
references that do not count, fits a logistic model, and takes the threshold with the best mean F1. Decoded windows are kept
in --work, so that a second fit is quick.

Example:
    python benchmarks/accuracy/fit_scoring.py out/model --window_bp 8192 --overlap_bp 4096 --work /tmp/fit
"""

from __future__ import annotations

import logging
import pathlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))

import numpy as np
import tyro
from numpy.typing import NDArray
from testset import Entry, contigs_of, find_entries, genetic_code_of

from genet5.cli.parse import run
from genet5.config.annotate import AnnotateConfig
from genet5.genome.fasta import Contig
from genet5.genome.gene import Gene
from genet5.genome.gff3 import read_gff3
from genet5.score.genes import score_genes

log = logging.getLogger("genet5.fit_scoring")

ROOT = Path(__file__).resolve().parents[2]
THRESHOLDS = (0.02, 0.05, *(x / 20 for x in range(2, 20)))


@dataclass(frozen=True, kw_only=True, slots=True)
class FitSettings:
    """What to fit on."""

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """Model directory; its annotate.json is written."""
    work: Path
    """Folder for decoded windows."""
    data: Path = ROOT.parent / "shared" / "data"
    """Folder with splits.tsv and raw/TAXON/GENOME."""
    taxon: str = "prokaryotes"
    """Taxon whose validation genomes are taken."""
    genomes: tuple[str, ...] = ()
    """Names of genomes, or beginnings of names; by default all of the taxon's validation split."""
    max_bp: int | None = None
    """Take the first N bp of each contig only."""
    window_bp: int | None = None
    """Window length to annotate with, kept in annotate.json."""
    overlap_bp: int | None = None
    """Overlap of windows, kept in annotate.json."""
    introns: bool = False
    """The model's genes may have introns."""
    start_codons: tuple[str, ...] = ()
    """Codons that may start a gene, kept in annotate.json."""
    overlooked: bool = False
    """Propose genes that only the per-base heads see, too; kept in annotate.json."""
    both_strands: bool = False
    """Read each window on both strands, as the flag of annotate does."""
    batch_size: int = 16
    """Windows decoded together."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One contig's calls with the truth about them."""

    genome: str
    run: object
    calls: list
    features: NDArray[np.float64]
    right: NDArray[np.bool_]
    counts: NDArray[np.bool_]
    """False: about references that are left out."""


def main(argv: Sequence[str] | None = None) -> int:
    summary = "Fit a model's gene scores and threshold on validation genomes."
    return run(_fit, FitSettings, argv, name="fit_scoring", description=summary)


def _fit(settings: FitSettings) -> int:
    from genet5.annotate.score import FEATURES, fit_scoring
    from genet5.annotate.settings import load_settings, save_settings
    from genet5.model import GeneT5

    limit = GeneT5.from_pretrained(settings.model).config.max_window_bp
    asked = {"window_bp": settings.window_bp, "overlap_bp": settings.overlap_bp}
    asked = {name: value for name, value in asked.items() if value is not None}
    base = replace(load_settings(settings.model, limit), **asked)
    grammar = replace(base.grammar, introns=settings.introns or base.grammar.introns)
    if settings.start_codons:
        grammar = replace(grammar, start_codons=settings.start_codons)
    base = replace(base, grammar=grammar, overlooked=settings.overlooked)
    save_settings(base, settings.model)
    samples, truth = [], {}
    for entry in find_entries(splits_of(settings), "valid", (settings.taxon,), settings.genomes):
        found, genes = annotate_and_label(settings, entry)
        samples += found
        truth[entry.genome] = genes
    table = np.concatenate([s.features[s.counts] for s in samples])
    right = np.concatenate([s.right[s.counts] for s in samples])
    log.info("%d candidates, %d right", len(right), right.sum())
    fitted = replace(base, scoring=fit_scoring(table, right))
    for name in FEATURES:
        log.info(
            "%-16s weight %8.3f  mean %8.3f",
            name,
            fitted.scoring.weights[name],
            fitted.scoring.means[name],
        )
    best = choose_threshold(fitted, samples, truth)
    save_settings(replace(fitted, min_score=best), settings.model)
    log.info("min_score %.2f; written to %s", best, settings.model / "annotate.json")
    return 0


def splits_of(settings: FitSettings) -> Path:
    """The split table."""
    return settings.data / "splits.tsv"


def annotate_and_label(
    settings: FitSettings, entry: Entry
) -> tuple[list[Sample], tuple[list[Gene], dict[str, int]]]:
    """Annotate one genome without a threshold and compare each candidate with the reference."""
    from genet5.annotate.contig import Selection, legal_calls
    from genet5.annotate.genome import decode_contigs, load_annotator, open_journal, plan_genome
    from genet5.annotate.progress import BaseProgress
    from genet5.annotate.score import feature_table

    name = entry.genome
    folder = settings.data / "raw" / entry.taxon / name
    reference = read_gff3(folder / "annotation.gff3.gz", skip_bad=True)
    config = AnnotateConfig(
        genome=folder / "genome.fa.gz",
        output=settings.work / f"{name}.gff3",
        model=str(settings.model),
        genetic_code=genetic_code_of(reference.genes, entry.taxon),
        batch_size=settings.batch_size,
        both_strands=settings.both_strands,
    )
    plan = plan_genome(config)
    contigs = [
        Contig(c.name, c.bases[: settings.max_bp], c.description)
        for c in contigs_of(entry, splits_of(settings), config.genome, "valid")
    ]
    lengths = {c.name: len(c.bases) for c in contigs}
    genes = [g for g in reference.genes if g.contig in lengths and g.end <= lengths[g.contig]]
    plan = replace(plan, lengths=lengths)
    annotator = load_annotator(plan)
    how = Selection(
        settings=plan.settings, options=annotator.options, code=plan.code, min_score=0.0
    )
    journal = open_journal(config, plan)
    samples = []
    with BaseProgress(sum(lengths.values())) as progress:
        for done in decode_contigs(annotator, contigs, progress, journal=journal):
            calls = legal_calls(done, how)
            samples.append(
                Sample(
                    name, done, calls, feature_table(calls), *label(calls, done, genes, settings)
                )
            )
    if journal is not None:
        journal.close(remove=False)
    log.info(
        "%s: %d candidates, %.0f s", name, sum(len(s.calls) for s in samples), progress.elapsed_s
    )
    return samples, (genes, lengths)


def label(
    calls: list, done: object, genes: list[Gene], settings: FitSettings
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which calls are right, and which count."""
    here = [g for g in genes if g.contig == done.contig.name]
    regular = [g for g in here if g.is_regular]
    truth = {
        _end_of(g.strand, _blocks(t.cds), settings.introns)
        for g in regular
        for t in g.transcripts
        if t.cds
    }
    size = 2 * done.axis.contig_bp
    left_out = {strand: np.zeros(size, dtype=bool) for strand in (1, -1)}
    for gene in here:
        if not gene.is_regular and (gene.is_coding or gene.pseudo):
            left_out[gene.strand][gene.start : gene.end] = True
    right = np.array(
        [_end_of(c.strand, _blocks(c.parts), settings.introns) in truth for c in calls], dtype=bool
    )
    share = [left_out[c.strand][c.start : c.end].mean() for c in calls]
    partial = np.array([c.partial_left or c.partial_right for c in calls], dtype=bool)
    return right, (right | (np.array(share) < 0.5)) & ~partial


def _blocks(pieces: Sequence) -> tuple[tuple[int, int], ...]:
    return tuple((p.start, p.end) for p in pieces if getattr(p, "kind", "cds") == "cds")


def _end_of(strand: int, blocks: tuple[tuple[int, int], ...], whole: bool) -> tuple:
    """What must agree for a call to be right."""
    if whole or not blocks:
        return strand, blocks
    return strand, blocks[-1][1] if strand > 0 else blocks[0][0]


def choose_threshold(settings: object, samples: list[Sample], truth: dict) -> float:
    """The threshold with the best mean F1 over the genomes; prints the figures."""
    best, best_f1 = 0.5, -1.0
    level = "exact" if not settings.grammar.introns else "gene"
    for threshold in THRESHOLDS:
        scores = {name: evaluate(settings, threshold, samples, name, truth[name]) for name in truth}
        first = "gene" if settings.grammar.introns else "stop"
        f1 = float(np.mean([s.levels[first].f1 for s in scores.values()]))
        second = float(np.mean([s.levels[level].f1 for s in scores.values()]))
        log.info("min_score %.2f  %s F1 %.4f  %s F1 %.4f", threshold, first, f1, level, second)
        if f1 > best_f1:
            best, best_f1, kept = threshold, f1, scores
    for name, score in kept.items():
        for level, value in score.levels.items():
            log.info(
                "%s %s: sensitivity %.4f precision %.4f F1 %.4f",
                name, level, value.sensitivity, value.precision, value.f1,
            )  # fmt: skip
    return best


def evaluate(
    settings: object, threshold: float, samples: list[Sample], name: str, truth: tuple
) -> object:
    """Score the genes of one genome that a threshold leaves."""
    from genet5.annotate.contig import Selection, gene_of, select_calls

    genes, lengths = truth
    found = []
    how = Selection(
        settings=settings, options=settings.grammar.options(), code=11, min_score=threshold
    )
    for sample in samples:
        if sample.genome == name:
            for call, score in select_calls(sample.calls, how, sample.run.axis):
                found.append(gene_of(call, sample.run.contig.name, f"g{len(found)}", score, 11))
    return score_genes(found, genes, lengths, prokaryote=not settings.grammar.introns)


if __name__ == "__main__":
    sys.exit(main())
