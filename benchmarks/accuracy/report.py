"""One run's results as a Markdown table and as JSON values.

Genomes by regime, tools, differences with intervals.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bootstrap import (
    BLOCK_BP,
    CONFIDENCE,
    MIN_UNITS,
    NUM_DRAWS,
    SEED,
    Counts,
    Difference,
    compare_blocks,
    compare_means,
)
from peers import OURS, Run
from testset import Entry, Regime

from genet5.score.levels import Scores

LEVELS = ("stop", "exact", "nucleotide", "exon", "intron", "gene")
"""As the columns of a table go; those that a regime's genomes do not have are left out."""
REGIMES: dict[Regime, str] = {
    "species": "Held-out species: none of our models saw the species",
    "chromosome": "Held-out chromosomes: our training data hold other chromosomes of the species",
}


@dataclass(frozen=True, slots=True)
class Result:
    """One tool on one genome."""

    entry: Entry
    tool: str
    label: str
    own_species: str
    """Whether the parameters were trained on this species."""
    size_bp: int
    run: Run
    scores: Scores
    blocks: Mapping[str, Counts] = field(default_factory=dict)
    """By level: counts of each 100-kb block; empty where genomes are the units."""

    @property
    def kbp_per_s(self) -> float:
        """Speed by wall time."""
        return self.size_bp / 1000 / self.run.wall_s

    def f1(self, level: str) -> float:
        """F1 of a level; NaN if it is not scored, or neither side has anything there."""
        counts = self.scores.levels.get(level)
        return counts.f1 if counts and counts.predicted + counts.reference else math.nan


@dataclass(frozen=True, slots=True)
class Table:
    """All results of one regime."""

    regime: Regime
    results: Sequence[Result]

    @property
    def genomes(self) -> list[str]:
        """Names, in the order of the run."""
        return list(dict.fromkeys(result.entry.genome for result in self.results))

    @property
    def peers(self) -> list[str]:
        """Tools that ours is compared with, in the order of the run."""
        return [t for t in dict.fromkeys(r.tool for r in self.results) if t != OURS]

    @property
    def levels(self) -> list[str]:
        """Levels that any genome of the regime has."""
        return [
            level
            for level in LEVELS
            if any(
                level in result.scores.levels and result.scores.levels[level].reference
                for result in self.results
            )
        ]

    def of(self, tool: str, genomes: Iterable[str] | None = None) -> list[Result]:
        """The results of a tool on some genomes, or on all that it has."""
        found = {r.entry.genome: r for r in self.results if r.tool == tool}
        names = self.genomes if genomes is None else genomes
        return [found[name] for name in names if name in found]

    def common(self, peer: str) -> list[str]:
        """Genomes that ours and a peer have both annotated."""
        return [name for name in self.genomes if self.of(OURS, [name]) and self.of(peer, [name])]

    def difference(self, peer: str, genome: str, level: str) -> Difference | None:
        """F1 of ours minus that of a peer on one genome; None if either has none."""
        (ours,), (theirs,) = self.of(OURS, [genome]), self.of(peer, [genome])
        value = ours.f1(level) - theirs.f1(level)
        if math.isnan(value):
            return None
        if ours.blocks:
            return compare_blocks(ours.blocks[level], theirs.blocks[level])
        return Difference(value, None, None, 1)

    def mean_difference(self, peer: str, level: str) -> Difference | None:
        """The mean of the differences on all genomes that both have."""
        sides = [self.of(tool, self.common(peer)) for tool in (OURS, peer)]
        pairs = [(a.f1(level), b.f1(level)) for a, b in zip(*sides, strict=True)]
        pairs = [pair for pair in pairs if not any(math.isnan(value) for value in pair)]
        return compare_means(*zip(*pairs, strict=True)) if pairs else None


def tables_of(results: Sequence[Result]) -> list[Table]:
    """Divide results by regime; regimes without results are left out."""
    tables = [Table(name, [r for r in results if r.entry.regime == name]) for name in REGIMES]
    return [table for table in tables if table.results]


def markdown(results: Sequence[Result], notes: Sequence[str] = ()) -> str:
    """Return the tables of all regimes, and how to read them."""
    parts = []
    for table in tables_of(results):
        parts += [f"### {REGIMES[table.regime]}", "\n".join(_lines(table))]
    parts.append(legend())
    if any(result.run.reused for result in results):
        parts.append("\\* output and cost of an earlier call (same tool, flags and sequence).")
    parts += notes
    return "\n\n".join(parts) + "\n"


def legend() -> str:
    """Say what the cells of the tables mean."""
    return (
        f"F1 by level; below, ours minus the peer's with its {CONFIDENCE:.0%} interval (paired "
        f"bootstrap, {NUM_DRAWS:,} draws: of"
        f" the blocks of {BLOCK_BP // 1000} kb of a genome, or for a mean of the genomes; none "
        f"below {MIN_UNITS} units)."
        " s and kbp/s are the wall time of whole commands, one after the other, CPU s the time "
        "of all cores together; a"
        " mean's times are sums, its memory is the largest."
    )


def _lines(table: Table) -> list[str]:
    heads = [
        "genome",
        "tool",
        "parameters trained on this species",
        *(f"{x} F1" for x in table.levels),
    ]
    lines = [
        f"| {' | '.join(heads)} | s | CPU s | kbp/s | MiB |",
        "|---|---|---|" + "---:|" * (len(table.levels) + 4),
    ]
    for genome in table.genomes:
        here = [result for result in table.results if result.entry.genome == genome]
        for number, result in enumerate(here):
            title = "" if number else _title(result)
            lines.append(_result_line(table, result, title))
        for peer in table.peers:
            if genome in table.common(peer):
                cells = [table.difference(peer, genome, level) for level in table.levels]
                lines.append(_difference_line(cells, _label(table, peer), "blocks"))
    return lines + _mean_lines(table)


def _title(result: Result) -> str:
    """The genome, its size, and how many genes count: few genes make figures that mean little."""
    number = result.scores.levels["gene"].reference
    return f"{result.entry.title}, {result.size_bp / 1e6:.2f} Mbp, {number:,} genes"


def _result_line(table: Table, result: Result, title: str) -> str:
    f1s = " | ".join(_ratio(result.f1(level)) for level in table.levels)
    mark = "\\*" if result.run.reused else ""
    run = result.run
    times = f"{run.wall_s:,.1f}{mark} | {run.cpu_s:,.1f}{mark}"
    cost = f"{times} | {_speed(result.kbp_per_s)}{mark} | {run.peak_mib:,.0f}{mark}"
    return f"| {title} | {result.label} | {result.own_species} | {f1s} | {cost} |"


def _mean_lines(table: Table) -> list[str]:
    """Means over the genomes that ours and a peer share; of each tool's own where ours has none."""
    if len(table.genomes) < 2:
        return []
    lines = []
    for peer in table.peers or [""]:
        both = table.common(peer) if peer else []
        tools = [t for t in (peer, OURS) if t and table.of(t, both or None)]
        for tool in tools:
            rows = table.of(tool, both or None)
            lines.append(_mean_line(table, rows))
        if both:
            cells = [table.mean_difference(peer, level) for level in table.levels]
            lines.append(_difference_line(cells, _label(table, peer), "genomes"))
    return lines


def _mean_line(table: Table, rows: Sequence[Result]) -> str:
    f1s = " | ".join(_ratio(_mean([r.f1(level) for r in rows])) for level in table.levels)
    cost = means(rows)
    figures = (
        f"{cost['wall_s']:,.1f} | {cost['cpu_s']:,.1f} | {_speed(cost['kbp_per_s'])} | "
        f"{cost['peak_mib']:,.0f}"
    )
    labels = " / ".join(dict.fromkeys(row.label for row in rows))
    words = ", ".join(dict.fromkeys(row.own_species for row in rows))
    return f"| **mean of {len(rows)}** | {labels} | {words} | {f1s} | {figures} |"


def means(rows: Sequence[Result]) -> dict[str, float]:
    """Times of all genomes, speed over all bases, the largest memory."""
    wall_s = sum(row.run.wall_s for row in rows)
    return {
        "wall_s": wall_s,
        "cpu_s": sum(row.run.cpu_s for row in rows),
        "kbp_per_s": sum(row.size_bp for row in rows) / 1000 / wall_s,
        "peak_mib": max(row.run.peak_mib for row in rows),
    }


def _mean(values: Iterable[float]) -> float:
    kept = [value for value in values if not math.isnan(value)]
    return sum(kept) / len(kept) if kept else math.nan


def _label(table: Table, tool: str) -> str:
    return table.of(tool)[0].label


def _difference_line(cells: Sequence[Difference | None], peer: str, units: str) -> str:
    number = max((cell.units for cell in cells if cell), default=0)
    unit = f" ({number} {units})" if number > 1 else ""
    texts = " | ".join(_signed(cell) for cell in cells)
    return f"| | *ours - {peer}{unit}* | | {texts} | | | | |"


def _signed(cell: Difference | None) -> str:
    if cell is None:
        return "-"
    between = "" if cell.low is None else f" [{cell.low:+.3f}, {cell.high:+.3f}]"
    return f"*{cell.value:+.3f}{between}*"


def _speed(kbp_per_s: float) -> str:
    return f"{kbp_per_s:,.0f}" if kbp_per_s >= 10 else f"{kbp_per_s:.1f}"


def _ratio(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def to_dict(results: Sequence[Result]) -> dict[str, Any]:
    """Return all results and comparisons as JSON values."""
    return {
        "protocols": {
            kind: scores.protocol
            for kind, scores in (
                ("prokaryote" if r.scores.prokaryote else "eukaryote", r.scores) for r in results
            )
        },
        "bootstrap": {
            "confidence": CONFIDENCE,
            "draws": NUM_DRAWS,
            "seed": SEED,
            "block_bp": BLOCK_BP,
            "least_units": MIN_UNITS,
        },
        "regimes": {table.regime: _table_dict(table) for table in tables_of(results)},
    }


def _table_dict(table: Table) -> dict[str, Any]:
    return {
        "what": REGIMES[table.regime],
        "results": [_result_dict(result) for result in table.results],
        "means": {
            tool: {
                "genomes": len(table.of(tool)),
                "f1": {x: _number(_mean(r.f1(x) for r in table.of(tool))) for x in table.levels},
                **means(table.of(tool)),
            }
            for tool in [*table.peers, *([OURS] if table.of(OURS) else [])]
        },
        "differences": [
            {"peer": peer, "genome": genome, "level": level, **asdict(found)}
            for peer in table.peers
            for genome, level, found in _differences(table, peer)
            if found
        ],
    }


def _differences(table: Table, peer: str) -> list[tuple[str, str, Difference | None]]:
    """(genome, level, ours minus the peer's), and the means as genome "mean"."""
    names = table.common(peer)
    found = [(g, x, table.difference(peer, g, x)) for g in names for x in table.levels]
    return found + [("mean", x, table.mean_difference(peer, x)) for x in table.levels]


def _result_dict(result: Result) -> dict[str, Any]:
    scores = {key: value for key, value in result.scores.to_dict().items() if key != "protocol"}
    return {
        "taxon": result.entry.clade,
        "genome": result.entry.genome,
        "contigs": list(result.entry.contigs),
        "tool": result.tool,
        "label": result.label,
        "parameters_trained_on_species": result.own_species,
        "size_bp": result.size_bp,
        "kbp_per_s": result.kbp_per_s,
        **asdict(result.run),
        "f1": {level: _number(result.f1(level)) for level in LEVELS},
        "scores": scores,
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
