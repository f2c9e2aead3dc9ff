#!/usr/bin/env python3
r"""Hold the scores of predicted genes against how often they are right: tables and a plot.

Three probabilities of our GFF3 are judged against reference annotations: the gene's score (is the
whole coding sequence right?), `start_score` (of genes whose stop is right: is the start?), and
their quotient (is the stop right?). Genes are sorted into bins of equal width by probability; for
each the mean probability stands beside the share that is right, with its 95 % interval (Wilson).
The expected calibration error is the mean distance of the two, weighted by genes (Guo et al. 2017,
https://arxiv.org/abs/1706.04599). Predictions that are partial, or have the stop of a reference
gene that is a pseudogene, partial or breaks the rules, are left out.

Example:
    python benchmarks/accuracy/reliability.py --predictions a.gff3 b.gff3 \
        --references a.ref.gff3.gz b.ref.gff3.gz --figure reliability.svg
"""

from __future__ import annotations

import pathlib
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import numpy as np
from machine import environment
from numpy.typing import NDArray
from proportions import Proportion, wilson

from genet5.cli.parse import run
from genet5.config.json_files import save_json
from genet5.errors import ConfigError, DataError
from genet5.genome.gene import Gene
from genet5.genome.io.files import open_text
from genet5.genome.io.formats import read_annotation

QUESTIONS = {
    "gene": "score: is the whole coding sequence right?",
    "start": "start_score: is the start right, where the stop is?",
    "stop": "score / start_score: is the stop right?",
}
_ATTRIBUTE = re.compile(r"(?:^|;)(ID|start_score)=([^;\n]+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class ReliabilityConfig:
    """Whose scores, and what is true."""

    predictions: tuple[Path, ...]
    """Our GFF3 files."""
    references: tuple[Path, ...]
    """The true genes of each, in the same order."""
    bins: int = 10
    """Bins of equal width."""
    figure: Path | None = None
    """Draw the plot: a name in .svg or .png."""
    out: Path | None = None
    """JSON file to write."""
    note: str = ""
    """What the result file records about the run."""

    def __post_init__(self) -> None:
        if len(self.predictions) != len(self.references):
            number = f"{len(self.predictions)} predictions"
            raise ConfigError("references", len(self.references), f"must be as many as {number}")
        if self.bins < 2:
            raise ConfigError("bins", self.bins, "must be at least 2")


@dataclass(frozen=True, slots=True)
class Bin:
    """Genes with about the same probability."""

    low: float
    high: float
    mean: float
    """Mean probability."""
    right: Proportion


@dataclass(frozen=True, slots=True)
class Curve:
    """How reliable one probability is."""

    what: str
    bins: tuple[Bin, ...]
    """Those that hold genes."""
    genes: int
    error: float
    """Expected calibration error."""


Judged = dict[str, list[tuple[float, bool]]]
"""Of each question: probability, and whether it was right."""


def start_scores(path: Path) -> dict[str, float]:
    """Return the start_score of each gene of a GFF3 file that has one, by the gene's ID."""
    found = {}
    with open_text(path) as lines:
        for line in lines:
            if "start_score=" in line:
                words = dict(_ATTRIBUTE.findall(line.split("\t")[8]))
                found[words["ID"]] = float(words["start_score"])
    return found


def judge(genes: Iterable[Gene], scores: Mapping[str, float], truth: Iterable[Gene]) -> Judged:
    """Say of each predicted gene whether stop, start and whole are right.

    Args:
        genes: Predicted genes with scores.
        scores: start_score by ID; a gene without one is judged as a whole and by its stop.
        truth: All genes of the reference.
    """
    coding = [gene for gene in truth if any(tx.cds for tx in gene.transcripts)]
    regular = [gene for gene in coding if gene.is_regular]
    stops = {_stop(gene) for gene in regular}
    chains = {_chain(gene) for gene in regular}
    starts = {(_stop(gene), _start(gene)) for gene in regular}
    ignored = {_stop(gene) for gene in coding if not gene.is_regular} - stops
    judged: Judged = {question: [] for question in QUESTIONS}
    for gene in genes:
        if gene.score is None or not gene.is_regular or _stop(gene) in ignored:
            continue
        start_score, stop_right = scores.get(gene.id), _stop(gene) in stops
        judged["gene"].append((gene.score, _chain(gene) in chains))
        judged["stop"].append((min(1.0, gene.score / (start_score or 1.0)), stop_right))
        if stop_right and start_score is not None:
            judged["start"].append((start_score, (_stop(gene), _start(gene)) in starts))
    return judged


def _stop(gene: Gene) -> tuple[str, int, int]:
    cds = gene.canonical.cds
    return gene.contig, gene.strand, cds[-1].end if gene.strand > 0 else cds[0].start


def _start(gene: Gene) -> int:
    cds = gene.canonical.cds
    return cds[0].start if gene.strand > 0 else cds[-1].end


def _chain(gene: Gene) -> tuple[str, int, tuple[tuple[int, int], ...]]:
    parts = tuple((part.start, part.end) for part in gene.canonical.cds)
    return gene.contig, gene.strand, parts


def curve(what: str, pairs: Sequence[tuple[float, bool]], num_bins: int) -> Curve:
    """Sort genes into bins by probability, and compare."""
    scores = np.array([score for score, _ in pairs], dtype=np.float64)
    right = np.array([is_right for _, is_right in pairs], dtype=bool)
    places = np.minimum((scores * num_bins).astype(np.int64), num_bins - 1)
    bins = tuple(
        _bin(place, num_bins, scores[places == place], right[places == place])
        for place in sorted(set(places.tolist()))
    )
    distance = sum(abs(b.mean - b.right.value) * b.right.total for b in bins)
    return Curve(what, bins, len(pairs), distance / max(len(pairs), 1))


def _bin(place: int, num_bins: int, scores: NDArray[np.float64], right: NDArray[np.bool_]) -> Bin:
    edges = place / num_bins, (place + 1) / num_bins
    return Bin(*edges, float(scores.mean()), wilson(int(right.sum()), len(right)))


def markdown(curves: Iterable[Curve]) -> str:
    """Return one table for each probability."""
    parts = []
    for each in curves:
        parts.append(
            f"**{QUESTIONS[each.what]}** {each.genes:,} genes, "
            f"expected calibration error {each.error:.4f}"
        )
        lines = ["| probability | genes | mean | right |", "|---|---:|---:|---:|"]
        lines += [
            f"| {b.low:.2f} to {b.high:.2f} | {b.right.total:,} | {b.mean:.3f} | {b.right} |"
            for b in each.bins
        ]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def draw(curves: Sequence[Curve], path: Path) -> None:
    """Draw the share that is right against the probability, a panel for each question."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    with matplotlib.rc_context({"svg.hashsalt": "genet5", "font.size": 9}):
        figure, axes = pyplot.subplots(
            1, len(curves), figsize=(3.6 * len(curves), 4.1), squeeze=False, layout="constrained"
        )
        for axis, each in zip(axes[0], curves, strict=True):
            _panel(axis, each)
        # A PNG knows no "Date", and without one an SVG is the same in every run.
        metadata = {"Date": None} if path.suffix == ".svg" else None
        figure.savefig(path, metadata=metadata, dpi=150)
        pyplot.close(figure)


def _panel(axis: Any, each: Curve) -> None:
    """Draw one curve over the diagonal, and how many genes each bin has as grey bars."""
    means = [b.mean for b in each.bins]
    shares = [b.right.value for b in each.bins]
    below = [max(0.0, b.right.value - b.right.low) for b in each.bins]
    above = [max(0.0, b.right.high - b.right.value) for b in each.bins]
    for b in each.bins:
        height = b.right.total / each.genes
        axis.bar((b.low + b.high) / 2, height, 0.9 * (b.high - b.low), color="#d9dee3")
    axis.plot([0, 1], [0, 1], color="#5b6770", linewidth=1, linestyle=":")
    axis.errorbar(means, shares, yerr=[below, above], fmt="o-", color="#2a6f97", capsize=2)
    question, _, rest = QUESTIONS[each.what].partition(": ")
    axis.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel=question, ylabel="share that is right")
    axis.set_title(f"{rest}\n{each.genes:,} genes, error {each.error:.3f}", fontsize=9)
    axis.set_aspect("equal")
    axis.spines[["top", "right"]].set_visible(False)


def main(argv: Sequence[str] | None = None) -> int:
    summary = "Hold the scores of predicted genes against how often they are right."
    return run(_judge_all, ReliabilityConfig, argv, name="reliability", description=summary)


def _judge_all(settings: ReliabilityConfig) -> int:
    judged: Judged = {question: [] for question in QUESTIONS}
    for path, reference in zip(settings.predictions, settings.references, strict=True):
        truth = read_annotation(reference).genes
        found = judge(read_annotation(path).genes, start_scores(path), truth)
        for question, pairs in found.items():
            judged[question] += pairs
    curves = [curve(what, pairs, settings.bins) for what, pairs in judged.items() if pairs]
    if not curves:
        raise DataError("no gene with a score", path=settings.predictions[0])
    sys.stdout.write(markdown(curves))
    if settings.figure is not None:
        draw(curves, settings.figure)
    if settings.out is not None:
        record = {"what": "reliability of scores", **environment("numpy"), "note": settings.note}
        names = [path.name for path in settings.predictions]
        save_json(settings.out, record | {"files": names, "curves": [asdict(c) for c in curves]})
    return 0


if __name__ == "__main__":
    sys.exit(main())
