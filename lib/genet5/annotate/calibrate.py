"""Calibrate a model's gene scores and its threshold on validation genomes.

Both go into the model's annotate.json. Where genes have introns, the weights of the per-base heads'
best path come first (`calibrate_path`).

Annotates the genomes without a threshold and keeps every candidate with its features. A candidate
is right if its 3' end is that of a complete reference gene, or, where genes have introns, if its
whole CDS is that of one of its transcripts; those about pseudogenes and other references that do
not count are left out. A logistic model is fitted (`gene_score.fit_scoring`), then the threshold is
taken that has the best mean F1 over the genomes. The same is done once more with what each genome's
own genes teach (`annotate.adapt`), after the weights of starts: there a candidate is right if all
but its 5' end is, whose probability is that of the start.

Example:
    genomes = {"genomes": (fasta,), "references": (gff,)}
    calibrate_model(CalibrateConfig(model=Path("run"), **genomes, work=Path("work")))
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genet5.annotate.adapt.rescore import StartWeights
from genet5.annotate.adaptation import hold, reconsidered
from genet5.annotate.calibrate_path import fit_path
from genet5.annotate.calibrate_starts import fit_starts, teach
from genet5.annotate.calling_config import (
    AdaptConfig,
    CallingConfig,
    load_calling_config,
    save_calling_config,
)
from genet5.annotate.candidate import GeneCandidate
from genet5.annotate.engine import load_engine
from genet5.annotate.gene_score import FEATURES, feature_table, fit_scoring
from genet5.annotate.genome import Genome, measure
from genet5.annotate.plan import GenomePlan, choose_machine, plan_model, settle_code
from genet5.annotate.run import open_journal
from genet5.annotate.select import (
    SelectionRules,
    gene_of,
    legal_candidates,
    select_candidates,
)
from genet5.config.annotate import AnnotateConfig, AnnotatorConfig
from genet5.config.calibrate import CalibrateConfig
from genet5.decode.path_weights import PathWeights
from genet5.errors import ConfigError, DataError
from genet5.genome.gene import Gene
from genet5.genome.io.fasta import AnyContig, Contig, read_fasta
from genet5.genome.io.formats import read_annotation
from genet5.model.folders import load_config, model_folder
from genet5.progress import BaseProgress
from genet5.score.genes import score_genes
from genet5.score.levels import Scores

log = logging.getLogger(__name__)

THRESHOLDS = (0.02, 0.05, *(x / 20 for x in range(2, 20)))
AS_GOOD_F1 = 0.0005
"""Thresholds that lose no more than this against the best are as good."""

Blocks = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """One contig's candidates with the truth about them."""

    genome: int
    contig: AnyContig
    candidates: list[GeneCandidate]
    features: NDArray[np.float64]
    right: NDArray[np.bool_]
    counts: NDArray[np.bool_]
    """False: about references that are left out."""


@dataclass(frozen=True, slots=True)
class Truth:
    """A genome's annotation of the contigs at hand."""

    genes: list[Gene]
    lengths: dict[str, int]
    code: int


def calibrate_model(config: CalibrateConfig) -> CallingConfig:
    """Fit scores and threshold; return what was written to the model's annotate.json.

    Raises:
        ConfigError: No contig is left.
        DataError: A reference has no complete coding gene on the contigs at hand, or there are not
            both right and wrong candidates.
    """
    config = replace(config, model=model_folder(config.model))
    base = _base_calling(config)
    save_calling_config(base, config.model)
    if base.grammar.introns and not config.adapt_only:
        base = replace(base, path=_fit_path(config))
        save_calling_config(base, config.model)
    samples: list[Sample] = []
    truth: list[Truth] = []
    for index in range(len(config.genomes)):
        found, known = annotate_and_label(config, index)
        samples += found
        truth.append(known)
    fitted = base if config.adapt_only else fit_calling(base, samples, truth)
    adapt = fit_adapt(fitted, samples, truth)
    is_of_base = fitted.scores_of_base and config.adapt_only
    fitted = replace(fitted, adapt=adapt, scores_of_base=is_of_base)
    save_calling_config(fitted, config.model)
    log.info("min_score %.2f; written to %s", fitted.min_score, config.model / "annotate.json")
    return fitted


def fit_calling(
    calling: CallingConfig, samples: Sequence[Sample], truth: Sequence[Truth]
) -> CallingConfig:
    """Fit scores, then the threshold."""
    table = np.concatenate([s.features[s.counts] for s in samples])
    right = np.concatenate([s.right[s.counts] for s in samples])
    log.info("%d candidates, %d right", len(right), right.sum())
    fitted = replace(calling, scoring=fit_scoring(table, right))
    for name in FEATURES:
        weight, mean = fitted.scoring.weights[name], fitted.scoring.means[name]
        log.info("%-16s weight %8.3f  mean %8.3f", name, weight, mean)
    return replace(fitted, min_score=choose_threshold(fitted, samples, truth))


def fit_adapt(
    calling: CallingConfig, samples: Sequence[Sample], truth: Sequence[Truth]
) -> AdaptConfig | None:
    """Fit how what genomes teach counts: weights of starts, then scores, then the threshold.

    None where untranslated regions are labelled, where a genome has too few confident genes to
    learn from, and where the mean F1 of whole genes is not better for it.
    """
    if calling.grammar.utr or calling.grammar.level != "strict":
        return None
    by_genome = [SelectionRules(calling=calling, code=known.code) for known in truth]
    held = [
        [
            hold(s.genome, s.contig, s.candidates, rules, circular=False)
            for s in samples
            if s.genome == index
        ]
        for index, rules in enumerate(by_genome)
    ]
    starts: StartWeights | None = None
    for _ in range(2):
        genomes = [teach(h, t.genes, starts) for h, t in zip(held, truth, strict=True)]
        taught = [genome for genome in genomes if genome is not None]
        if len(taught) < len(genomes):
            log.warning("a genome has too few genes to learn from: no weights for learning")
            return None
        starts = fit_starts(taught)
    assert starts is not None
    log.info("starts: %s", starts)
    moved = []
    for index, genome in enumerate(taught):
        own = [s for s in samples if s.genome == index]
        for sample, one in zip(own, genome.held, strict=True):
            candidates = reconsidered(one, genome.model, starts, by_genome[index])
            labels = label(candidates, sample.contig, truth[index].genes, whole=False)
            table = feature_table(candidates)
            moved.append(Sample(index, sample.contig, candidates, table, *labels))
    fitted = fit_calling(calling, moved, truth)
    before, after = _gene_f1(calling, samples, truth), _gene_f1(fitted, moved, truth)
    log.info("gene F1 %.4f, %.4f with what genomes teach", before, after)
    if after <= before:
        log.warning("what genomes teach does not help this model: no weights for it")
        return None
    return AdaptConfig(starts=starts, scoring=fitted.scoring, min_score=fitted.min_score)


def _gene_f1(calling: CallingConfig, samples: Sequence[Sample], truth: Sequence[Truth]) -> float:
    """Mean F1 of whole genes over the genomes."""
    scores = [
        _evaluate(calling, calling.min_score, samples, index, known)
        for index, known in enumerate(truth)
    ]
    return float(np.mean([score.levels["gene"].f1 for score in scores]))


def _base_calling(config: CalibrateConfig) -> CallingConfig:
    base = load_calling_config(config.model, load_config(config.model).max_window_bp)
    base = replace(
        base,
        window_bp=base.window_bp if config.window_bp is None else config.window_bp,
        overlap_bp=base.overlap_bp if config.overlap_bp is None else config.overlap_bp,
        segment_windows=config.segment_windows or base.segment_windows,
    )
    if config.head_only != "auto":
        base = replace(base, head_only=config.head_only == "yes")
    return base


def annotate_and_label(config: CalibrateConfig, index: int) -> tuple[list[Sample], Truth]:
    """Annotate one genome without a threshold and compare each candidate with the reference."""
    run, contigs, genes = _inputs(config, index)
    lengths = {c.name: len(c.bases) for c in contigs}
    model = plan_model(run.annotator)
    plan = GenomePlan(
        model=model,
        genome=Genome(contigs, contigs),
        code=settle_code(run.genetic_code, model.calling),
        size=measure(contigs, model.calling),
    )
    calling = replace(model.calling, min_score=0.0)
    rules = SelectionRules(calling=calling, code=plan.code)
    machine = choose_machine(run.annotator)
    journal = open_journal(run, plan, machine)
    samples = []
    try:
        with BaseProgress(plan.size.bases) as progress:
            engine = load_engine(model, machine)
            done = engine.run(contigs, code_of=plan.code_of, journal=journal, on_bases=progress.add)
            found: list[GeneCandidate] = []
            for block in done:
                found += legal_candidates(block, rules)
                if block.is_last:
                    labels = label(found, block.contig, genes, whole=calling.grammar.introns)
                    table = feature_table(found)
                    samples.append(Sample(index, block.contig, found, table, *labels))
                    found = []
    finally:
        if journal is not None:
            journal.close(remove=False)
    count = sum(len(s.candidates) for s in samples)
    log.info("%s: %d candidates, %.0f s", run.genome, count, progress.elapsed_s)
    return samples, Truth(genes, lengths, plan.code)


def _fit_path(config: CalibrateConfig) -> PathWeights:
    """Fit the weights of best paths on all genomes."""
    genomes = []
    for index in range(len(config.genomes)):
        run, contigs, genes = _inputs(config, index)
        model = plan_model(run.annotator)
        genomes.append((contigs, genes, settle_code(run.genetic_code, model.calling)))
    return fit_path(load_engine(model, choose_machine(run.annotator)), genomes)


def _inputs(config: CalibrateConfig, index: int) -> tuple[AnnotateConfig, list[Contig], list[Gene]]:
    """Read one genome and its reference, as far as they are asked for."""
    run, reference = _run_config(config, index)
    contigs = [
        Contig(c.name, c.bases[: config.max_bp], c.description)
        for c in read_fasta(run.genome)
        if c.name in config.contigs or not config.contigs
    ]
    if not contigs:
        raise ConfigError("contigs", config.contigs, f"must name contigs of {run.genome}")
    lengths = {c.name: len(c.bases) for c in contigs}
    genes = [g for g in reference if g.contig in lengths and g.end <= lengths[g.contig]]
    if not any(g.is_regular for g in genes):
        raise DataError(
            "no complete coding gene", expected="genes of the contigs at hand",
            path=config.references[index],
            remedy="Are the contigs' names those of the FASTA file?",
        )  # fmt: skip
    return run, contigs, genes


def _run_config(config: CalibrateConfig, index: int) -> tuple[AnnotateConfig, Sequence[Gene]]:
    genome = config.genomes[index]
    annotation = read_annotation(config.references[index], skip_bad=config.skip_bad)
    for cause, count in annotation.skipped.items():
        log.warning("%s: skipped %d: %s", config.references[index], count, cause)
    codes = Counter(g.genetic_code for g in annotation.genes if g.genetic_code)
    config.work.mkdir(parents=True, exist_ok=True)
    run = AnnotateConfig(
        genome=genome,
        output=config.work / f"{index}_{_stem(genome)}.gff3",
        genetic_code=codes.most_common(1)[0][0] if codes else None,
        annotator=AnnotatorConfig(
            model=str(config.model),
            batch_size=config.batch_size,
            both_strands=config.both_strands,
        ),
    )
    return run, annotation.genes


def _stem(genome: Path) -> str:
    """Name of a genome's folder and file, for messages and for the journal's name."""
    return f"{genome.resolve().parent.name}_{genome.name.split('.')[0]}"


def label(
    candidates: Sequence[GeneCandidate], contig: AnyContig, genes: Sequence[Gene], *, whole: bool
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which candidates are right, and which count, (number of candidates,) each.

    Args:
        candidates: Of one contig.
        contig: The contig.
        genes: The reference, of any contig.
        whole: The whole CDS must agree; otherwise all of it but the 5' end.
    """
    here = [g for g in genes if g.contig == contig.name]
    truth = {
        _identity(g.strand, tuple((c.start, c.end) for c in t.cds), whole)
        for g in here
        for t in g.transcripts
        if g.is_regular and t.cds
    }
    left_out = {strand: np.zeros(2 * len(contig.bases), dtype=bool) for strand in (1, -1)}
    for gene in here:
        if not gene.is_regular and (gene.is_coding or gene.pseudo):
            left_out[gene.strand][gene.start : gene.end] = True
    right = np.array(
        [_identity(c.strand, _blocks(c), whole) in truth for c in candidates], dtype=bool
    )
    share = np.array([left_out[c.strand][c.start : c.end].mean() for c in candidates])
    partial = np.array([c.partial_left or c.partial_right for c in candidates], dtype=bool)
    return right, (right | (share < 0.5)) & ~partial


def _blocks(candidate: GeneCandidate) -> Blocks:
    return tuple((p.start, p.end) for p in candidate.parts if p.kind == "cds")


def _identity(strand: int, blocks: Blocks, whole: bool) -> tuple[int, object]:
    """What must agree for a candidate to be right."""
    if whole or not blocks:
        return strand, blocks
    if strand > 0:
        return strand, (blocks[0][1:], *blocks[1:])
    return strand, (*blocks[:-1], blocks[-1][:1])


def choose_threshold(
    calling: CallingConfig, samples: Sequence[Sample], truth: Sequence[Truth]
) -> float:
    """Return the middle of the range of thresholds whose mean F1 is nearly the best.

    The F1 is that of 3' ends, or of whole genes where they have introns. The best one by itself is
    a matter of single genes.
    """
    level = "gene" if calling.grammar.introns else "stop"
    tried: list[tuple[float, float, list[Scores]]] = []
    for threshold in THRESHOLDS:
        scores = [_evaluate(calling, threshold, samples, i, known) for i, known in enumerate(truth)]
        f1 = float(np.mean([s.levels[level].f1 for s in scores]))
        log.info("min_score %.2f  %s F1 %.4f", threshold, level, f1)
        tried.append((threshold, f1, scores))
    best_f1 = max(f1 for _, f1, _ in tried)
    good = [threshold for threshold, f1, _ in tried if f1 >= best_f1 - AS_GOOD_F1]
    middle = (good[0] + good[-1]) / 2
    chosen, _, kept = min(tried, key=lambda one: abs(one[0] - middle))
    for index, score in enumerate(kept):
        for name, value in score.levels.items():
            log.info(
                "genome %d %s: sensitivity %.4f precision %.4f F1 %.4f",
                index + 1, name, value.sensitivity, value.precision, value.f1,
            )  # fmt: skip
    return chosen


def _evaluate(
    calling: CallingConfig,
    threshold: float,
    samples: Sequence[Sample],
    index: int,
    known: Truth,
) -> Scores:
    """Score the genes of one genome that a threshold leaves."""
    rules = SelectionRules(calling=replace(calling, min_score=threshold), code=known.code)
    found: list[Gene] = []
    for sample in samples:
        if sample.genome == index:
            for candidate, score in select_candidates(
                sample.candidates, rules, len(sample.contig.bases)
            ):
                name = f"g{len(found)}"
                found.append(gene_of(candidate, sample.contig.name, name, score, known.code))
    unspliced = not calling.grammar.introns
    return score_genes(found, known.genes, known.lengths, prokaryote=unspliced)
