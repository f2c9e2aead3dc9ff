#!/usr/bin/env python3
r"""Recall of genes at equal precision, all or the short ones: a table of ways to call, and a plot.

Genes count by their 3' ends, as in `reliability.py`: predictions that are partial, or have the stop
of a reference gene that is a pseudogene, partial or breaks the rules, are left out, as are
predictions that lie half or more in such a gene of their strand. A prediction is short by the
length of the reference gene with its stop, or else by its own. Predictions rank by what they have
in the score column, divided by `start_score` where there is one: that is our probability of the
stop, and pyrodigal's score. Predictions with a low --min_score draw the whole curve; for each
precision the table has the largest recall that some threshold reaches with it, over all genomes
together.

Example:
    python benchmarks/accuracy/precision_recall.py --references a.gff3.gz b.gff3.gz --most_bp 300 \
        --predictions off=a.off.gff3 off=b.off.gff3 auto=a.gff3 auto=b.gff3 --figure short.svg
"""

from __future__ import annotations

import math
import pathlib
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from genet5.cli.parse import run
from genet5.config.checks import by_default
from genet5.errors import ConfigError
from genet5.genome.gene import Gene
from genet5.genome.io.formats import read_annotation

COLORS = ("#2a6f97", "#c8553d", "#5b6770", "#7a9e7e", "#8e6c8a", "#d4a24c")
"""Of the ways to call, in order; the plot has as many at most."""

Call = tuple[float, bool]
"""Score of a call's stop, and whether it is right."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PrecisionRecallConfig:
    """Whose genes, and what is true."""

    predictions: tuple[str, ...]
    """Annotations as NAME=FILE; the k-th file of a name is of the k-th reference."""
    references: tuple[Path, ...]
    """The true genes of each genome."""
    precisions: tuple[float, ...] = (0.8, 0.85, 0.9, 0.95)
    """Precisions at which recall is reported."""
    most_bp: Annotated[int | None, by_default("all genes")] = None
    """Only genes with fewer coding bases count."""
    figure: Path | None = None
    """Draw precision against recall: a name in .svg or .png."""

    def __post_init__(self) -> None:
        for name, files in self.files.items():
            if not name or len(files) != len(self.references):
                number = f"{len(self.references)} files, one for each reference"
                raise ConfigError("predictions", f"{name}: {len(files)} files", f"must be {number}")

    @property
    def files(self) -> dict[str, list[Path]]:
        """The files of each name."""
        found: dict[str, list[Path]] = {}
        for word in self.predictions:
            name, _, path = word.partition("=")
            found.setdefault(name, []).append(Path(path))
        return found


def stop(gene: Gene) -> tuple[str, int, int]:
    """Return contig, strand and place of a gene's stop."""
    cds = gene.canonical.cds
    return gene.contig, gene.strand, cds[-1].end if gene.strand > 0 else cds[0].start


def calls_of(genes: Iterable[Gene], truth: Sequence[Gene], most_bp: float) -> list[Call]:
    """Return the predictions that count.

    Args:
        genes: Predictions with scores; those without one have 1.
        truth: All genes of the reference.
        most_bp: Longer ones do not count.
    """
    regular = {stop(g): g.canonical.cds_length for g in truth if g.is_coding and g.is_regular}
    unclear = [g for g in truth if not g.is_regular and (g.is_coding or g.pseudo)]
    calls = []
    for gene in genes:
        if not gene.is_coding or not gene.is_regular:
            continue
        length = regular.get(stop(gene))
        is_right = length is not None
        if (length or gene.canonical.cds_length) < most_bp and (
            is_right or not any(_lies_in(gene, other) for other in unclear)
        ):
            score = 1.0 if gene.score is None else gene.score / (gene.start_score or 1.0)
            calls.append((score, is_right))
    return calls


def _lies_in(gene: Gene, other: Gene) -> bool:
    """Whether half of a gene or more lies in another one of its strand."""
    if (gene.contig, gene.strand) != (other.contig, other.strand):
        return False
    shared = min(gene.end, other.end) - max(gene.start, other.start)
    return 2 * shared >= gene.end - gene.start


def number_of(truth: Iterable[Gene], most_bp: float) -> int:
    """Count the genes of a reference that are shorter."""
    coding = (g for g in truth if g.is_coding and g.is_regular)
    return sum(g.canonical.cds_length < most_bp for g in coding)


def curve(calls: Sequence[Call], number: int) -> list[tuple[float, float]]:
    """Return recall and precision at each threshold, highest first.

    Args:
        calls: Scores, and whether they are right.
        number: Genes that there are.
    """
    right, points = 0, []
    ranked = sorted(calls, key=lambda call: -call[0])
    for rank, (score, is_right) in enumerate(ranked, start=1):
        right += is_right
        if rank == len(ranked) or ranked[rank][0] < score:
            points.append((right / max(number, 1), right / rank))
    return points


def recall_at(points: Iterable[tuple[float, float]], precision: float) -> float:
    """Return the largest recall at which the precision is reached; 0 if it is at none."""
    return max((own for own, reached in points if reached >= precision), default=0.0)


Curves = dict[str, list[tuple[float, float]]]
"""Recall and precision at each threshold, of each way to call."""


def markdown(curves: Curves, number: int, precisions: Sequence[float]) -> str:
    """Return the table."""
    heads = [f"recall at precision {p:g}" for p in precisions]
    lines = [
        f"{number:,} genes",
        "",
        f"| genes of | as given: recall | precision | {' | '.join(heads)} |",
        f"|---|---:|---:|{'---:|' * len(heads)}",
    ]
    for name, points in curves.items():
        given = points[-1] if points else (0.0, 0.0)
        values = [*given, *(recall_at(points, p) for p in precisions)]
        lines.append(f"| {name} | {' | '.join(f'{value:.3f}' for value in values)} |")
    return "\n".join(lines) + "\n"


def draw(curves: Curves, path: Path) -> None:
    """Draw precision against recall; a dot is the annotation as given, with all its genes."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    with matplotlib.rc_context({"svg.hashsalt": "genet5", "font.size": 9}):
        figure, axis = pyplot.subplots(figsize=(4.6, 3.8), layout="constrained")
        for color, (name, points) in zip(COLORS, curves.items(), strict=False):
            recalls, precisions = zip(*points, strict=True)
            axis.plot(recalls, precisions, color=color, label=name)
            axis.plot(recalls[-1], precisions[-1], "o", color=color, markersize=4)
        worst = min(min(points[-1]) for points in curves.values())
        least = max(0.0, 1 - 1.6 * (1 - worst))
        axis.set(xlim=(least, 1.005), ylim=(least, 1.005), xlabel="recall", ylabel="precision")
        axis.legend(frameon=False, loc="lower left")
        axis.grid(color="#d9dee3", linewidth=0.5)
        axis.spines[["top", "right"]].set_visible(False)
        # A PNG knows no "Date", and without one an SVG is the same in every run.
        metadata = {"Date": None} if path.suffix == ".svg" else None
        figure.savefig(path, metadata=metadata, dpi=150)
        pyplot.close(figure)


def main(argv: Sequence[str] | None = None) -> int:
    summary = "Recall of genes at equal precision, by any number of ways to call them."
    return run(_compare, PrecisionRecallConfig, argv, name="precision_recall", description=summary)


def _compare(settings: PrecisionRecallConfig) -> int:
    truth = [read_annotation(path).genes for path in settings.references]
    most_bp = math.inf if settings.most_bp is None else settings.most_bp
    number = sum(number_of(genes, most_bp) for genes in truth)
    curves: Curves = {}
    for name, files in settings.files.items():
        calls: list[Call] = []
        for path, reference in zip(files, truth, strict=True):
            calls += calls_of(read_annotation(path).genes, reference, most_bp)
        curves[name] = curve(calls, number)
    sys.stdout.write(markdown(curves, number, settings.precisions))
    if settings.figure is not None:
        draw({name: points for name, points in curves.items() if points}, settings.figure)
    return 0


if __name__ == "__main__":
    sys.exit(main())
