#!/usr/bin/env python3
r"""Recall of short genes at equal precision: a table of ways to call genes.

Genes count by their 3' ends, as in `reliability.py`: predictions that are partial, or have the stop
of a reference gene that is a pseudogene, partial or breaks the rules, are left out, as are
predictions that lie half or more in such a gene of their strand. A prediction is short by the
length of the reference gene with its stop, or else by its own. Its probability is that of the stop:
`score` / `start_score`. Predictions with a low --min_score draw the whole curve; for each precision
the table has the largest recall that some threshold reaches with it, over all genomes together.

Example:
    python benchmarks/accuracy/short_genes.py --references a.gff3.gz b.gff3.gz \
        --predictions off=a.off.gff3 off=b.off.gff3 auto=a.gff3 auto=b.gff3
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from genet5.cli.parse import run
from genet5.errors import ConfigError
from genet5.genome.gene import Gene
from genet5.genome.io.formats import read_annotation

Call = tuple[float, bool]
"""Probability of a short call's stop, and whether it is right."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShortGenesConfig:
    """Whose genes, and what is true."""

    predictions: tuple[str, ...]
    """Annotations as NAME=FILE; the k-th file of a name is of the k-th reference."""
    references: tuple[Path, ...]
    """The true genes of each genome."""
    precisions: tuple[float, ...] = (0.8, 0.85, 0.9, 0.95)
    """Precisions at which recall is reported."""
    most_bp: int = 300
    """Genes with fewer coding bases are short."""

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


def short_calls(genes: Iterable[Gene], truth: Sequence[Gene], most_bp: int) -> list[Call]:
    """Return the short predictions that count.

    Args:
        genes: Predictions with scores; those without one have probability 1.
        truth: All genes of the reference.
        most_bp: Longer ones are not short.
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


def number_short(truth: Iterable[Gene], most_bp: int) -> int:
    """Count the short genes of a reference."""
    coding = (g for g in truth if g.is_coding and g.is_regular)
    return sum(g.canonical.cds_length < most_bp for g in coding)


def recall_at(calls: Sequence[Call], number: int, precision: float) -> float:
    """Return the largest recall at which the precision is reached; 0 if it is at none."""
    best = right = 0
    ranked = sorted(calls, key=lambda call: -call[0])
    for rank, (score, is_right) in enumerate(ranked, start=1):
        right += is_right
        is_last = rank == len(ranked) or ranked[rank][0] < score
        if is_last and right >= precision * rank:
            best = right
    return best / max(number, 1)


def markdown(calls: dict[str, list[Call]], number: int, precisions: Sequence[float]) -> str:
    """Return the table."""
    heads = [f"recall at precision {p:g}" for p in precisions]
    lines = [
        f"{number:,} short genes",
        "",
        f"| genes of | as given: recall | precision | {' | '.join(heads)} |",
        f"|---|---:|---:|{'---:|' * len(heads)}",
    ]
    for name, own in calls.items():
        right = sum(is_right for _, is_right in own)
        given = [right / max(number, 1), right / max(len(own), 1)]
        values = given + [recall_at(own, number, p) for p in precisions]
        lines.append(f"| {name} | {' | '.join(f'{value:.3f}' for value in values)} |")
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    summary = "Recall of short genes at equal precision."
    return run(_compare, ShortGenesConfig, argv, name="short_genes", description=summary)


def _compare(settings: ShortGenesConfig) -> int:
    truth = [read_annotation(path).genes for path in settings.references]
    number = sum(number_short(genes, settings.most_bp) for genes in truth)
    calls: dict[str, list[Call]] = {}
    for name, files in settings.files.items():
        calls[name] = []
        for path, reference in zip(files, truth, strict=True):
            found = read_annotation(path).genes
            calls[name] += short_calls(found, reference, settings.most_bp)
    sys.stdout.write(markdown(calls, number, settings.precisions))
    return 0


if __name__ == "__main__":
    sys.exit(main())
