"""Timings of `bench_annotate.py` as a Markdown table and as JSON values.

Speeds are medians over rounds. The ratio of two contenders is the geometric mean of their ratios in
each round, with the paired bootstrap's interval from 5 rounds on.
"""

from __future__ import annotations

import math
import pathlib
import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "accuracy"))

from annotate_contenders import START_BP, Case
from bootstrap import compare_means
from machine import Cost

from genet5.genome.gene import Gene
from genet5.genome.io.formats import read_annotation

HEADS = (
    "contender",
    "kbp/s",
    "kbp per CPU s",
    "without start-up",
    "start-up s",
    "CPU s",
    "peak MiB",
    "genes",
    "passes a window",
)
"""Columns; the second start-up figure is processor time."""


@dataclass(slots=True)
class Timing:
    """What one contender took for one case, round by round."""

    name: str
    case: Case
    costs: list[Cost] = field(default_factory=list)
    genes: frozenset[object] = frozenset()
    """Coding sequences of its output."""
    counts: dict[str, Any] | None = None
    """Of the probe."""

    def add(self, cost: Cost, output: Path) -> None:
        """Take the figures of another round; the output is that of every round."""
        if not self.costs and not self.is_start:
            self.genes = frozenset(map(_structure, read_annotation(output).genes))
        self.costs.append(cost)

    @property
    def what(self) -> str:
        """The kind of the genome, or "KIND, start-up"."""
        return self.case.what

    @property
    def is_start(self) -> bool:
        """Whether start-up is measured."""
        return self.case.size_bp <= START_BP

    def median(self, name: str) -> float:
        """The median of wall_s, cpu_s or peak_mib."""
        return float(statistics.median(getattr(cost, name) for cost in self.costs))

    def kbp_per_s(self, name: str) -> float:
        """Speed of whole commands by wall_s or cpu_s."""
        return self.case.size_bp / 1000 / self.median(name)


def _structure(gene: Gene) -> object:
    cds = tuple((part.start, part.end) for part in gene.canonical.cds)
    return gene.contig, gene.strand, cds


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as long one contender takes as another."""

    value: float
    low: float | None
    """None: too few rounds for an interval."""
    high: float | None

    def __str__(self) -> str:
        between = "" if self.low is None else f" [{self.low:.3g}, {self.high:.3g}]"
        return f"{self.value:.3g}{between}"


def ratio(longer: Timing, shorter: Timing, name: str) -> Ratio:
    """Compare two contenders round by round, by wall_s, cpu_s or peak_mib."""
    logs = [[math.log(getattr(c, name)) for c in timing.costs] for timing in (longer, shorter)]
    found = compare_means(*logs)
    low, high = (None if x is None else math.exp(x) for x in (found.low, found.high))
    return Ratio(math.exp(found.value), low, high)


def comparisons(timings: Sequence[Timing]) -> list[dict[str, Any]]:
    """Compare this commit with every other contender on each case."""
    found = []
    for own in timings:
        if own.name != "genet5":
            continue
        for other in timings:
            if other.what == own.what and other is not own:
                values = {name: ratio(other, own, name) for name in ("wall_s", "cpu_s", "peak_mib")}
                same = len(own.genes & other.genes) / max(len(other.genes), 1)
                more = {} if own.is_start else {"share_of_its_genes_that_ours_has": same}
                found.append({"what": own.what, "other": other.name, **values, **more})
    return found


def markdown(timings: Sequence[Timing], notes: Iterable[str] = ()) -> str:
    """Return one table for each genome, the ratios below it, and what was left out."""
    starts = {(t.name, t.case.kind): t for t in timings if t.is_start}
    parts = []
    for what in dict.fromkeys(t.what for t in timings if not t.is_start):
        rows = [t for t in timings if t.what == what]
        title = f"### {rows[0].case.title}, {rows[0].case.size_bp / 1000:,.0f} kbp"
        lines = [f"| {' | '.join(HEADS)} |", "|---|" + "---:|" * (len(HEADS) - 1)]
        lines += [_line(t, starts[t.name, t.case.kind]) for t in rows]
        parts += [f"{title}, {len(rows[0].costs)} rounds", "\n".join(lines)]
        parts += ["\n".join(lines)] if (lines := _ratio_lines(timings, what)) else []
    return "\n\n".join([*parts, *dict.fromkeys(notes)]) + "\n"


def _line(timing: Timing, start: Timing) -> str:
    counts = timing.counts or {}
    cells = [
        timing.name,
        f"{timing.kbp_per_s('wall_s'):,.1f}",
        f"{timing.kbp_per_s('cpu_s'):,.1f}",
        _net(timing, start),
        f"{start.median('wall_s'):.2f}",
        f"{start.median('cpu_s'):.2f}",
        f"{timing.median('peak_mib'):,.0f}",
        f"{len(timing.genes):,}",
        str(counts.get("passes_a_window", "-")),
    ]
    return f"| {' | '.join(cells)} |"


def _net(timing: Timing, start: Timing) -> str:
    """Write the speed by processor time without start-up; "-" where start-up is all of it."""
    left_s = timing.median("cpu_s") - start.median("cpu_s")
    return f"{timing.case.size_bp / 1000 / left_s:,.1f}" if left_s > 0 else "-"


def _ratio_lines(timings: Sequence[Timing], what: str) -> list[str]:
    """Say how many times as fast this commit is as each other contender."""
    lines = []
    for row in comparisons(timings):
        if row["what"] == what:
            share = row["share_of_its_genes_that_ours_has"]
            lines.append(
                f"- genet5 is {row['cpu_s']} times as fast as {row['other']} by processor time, "
                f"{row['wall_s']} by wall time; memory of {row['other']} / ours "
                f"{row['peak_mib']}; {share:.1%} of its genes are ours, too"
            )
    return lines


def to_dict(timings: Sequence[Timing]) -> dict[str, Any]:
    """Return all figures as JSON values."""
    return {
        "results": [_timing_dict(timing) for timing in timings],
        "comparisons": [
            {k: asdict(v) if isinstance(v, Ratio) else v for k, v in row.items()}
            for row in comparisons(timings)
        ],
    }


def _timing_dict(timing: Timing) -> dict[str, Any]:
    return {
        "contender": timing.name,
        "what": timing.what,
        "genome": timing.case.title,
        "size_bp": timing.case.size_bp,
        "genes": len(timing.genes),
        "wall_s": timing.median("wall_s"),
        "cpu_s": timing.median("cpu_s"),
        "peak_mib": timing.median("peak_mib"),
        "kbp_per_s": timing.kbp_per_s("wall_s"),
        "kbp_per_cpu_s": timing.kbp_per_s("cpu_s"),
        "rounds": [asdict(cost) for cost in timing.costs],
        "counts": timing.counts,
    }
