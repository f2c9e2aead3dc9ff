"""Verified starts as Markdown tables and as JSON values: shares, differences, lists of genes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from statistics import fmean, median
from typing import Any

from bootstrap import Difference, compare_means
from peers import Run
from proportions import Proportion, wilson
from start_calls import KINDS, Kind, Outcome
from testset import Entry

from genet5.genome.frames import strand_sign

HEADS = ("genome", "tool", "right start", "too long", "too short", "stop not called")
"""The last four are those of `KINDS`."""
LEGEND = (
    "Genes and their share with its 95 % interval (Wilson); too long: the called start lies "
    "upstream of the verified one; median distance of the wrong starts; differences on the same "
    "genes with the paired bootstrap's 95 % interval."
)


@dataclass(frozen=True, slots=True)
class StartResult:
    """What one tool made of the verified genes of one genome."""

    entry: Entry
    label: str
    """The tool's name and version."""
    own_species: str
    """Whether its parameters were trained on this species; empty: not known."""
    outcomes: Sequence[Outcome]
    cost: Run | None
    """None: a ready annotation."""

    def of(self, *kinds: Kind) -> list[Outcome]:
        """The genes with one of these outcomes."""
        return [outcome for outcome in self.outcomes if outcome.kind in kinds]

    def share(self, kind: Kind) -> Proportion:
        """How many of all verified genes have this outcome."""
        return wilson(len(self.of(kind)), len(self.outcomes))

    @property
    def shadowed(self) -> list[Outcome]:
        """Genes under a call on the other strand."""
        return [outcome for outcome in self.outcomes if outcome.shadows]


def markdown(results: Sequence[StartResult], notes: Sequence[str] = ()) -> str:
    """Return the table of shares, the differences, and the genes that are wrong."""
    lines = [f"| {' | '.join(HEADS)} | under a call on the other strand | median distance, bp |"]
    lines += ["|---|---|" + "---:|" * 6]
    lines += [_line(result) for result in results]
    parts = ["\n".join(lines)]
    parts += ["\n".join(pairs)] if (pairs := _difference_lines(results)) else []
    parts.append(LEGEND)
    parts += [_wrong_genes(result) for result in results]
    return "\n\n".join([*parts, *notes]) + "\n"


def _line(result: StartResult) -> str:
    """One tool: shares with 95 % intervals (Wilson)."""
    wrong = [abs(outcome.offset_bp) for outcome in result.of("upstream", "downstream")]
    cells = [
        f"{result.entry.title}, {len(result.outcomes)} genes",
        result.label,
        *(f"{len(result.of(kind))} = {result.share(kind)}" for kind in KINDS),
        str(len(result.shadowed)),
        f"{median(wrong):.0f}" if wrong else "-",
    ]
    return f"| {' | '.join(cells)} |"


def differences(results: Sequence[StartResult]) -> list[tuple[str, str, str, Difference]]:
    """(genome, tool, another, share of right starts of the one minus the other's) of all pairs."""
    found = []
    for first, second in combinations(results, 2):
        if first.entry == second.entry:
            right = [[float(o.kind == "right") for o in r.outcomes] for r in (second, first)]
            gain = compare_means(*right)
            found.append((first.entry.genome, second.label, first.label, gain))
    return found


def _difference_lines(results: Sequence[StartResult]) -> list[str]:
    lines = []
    for genome, tool, other, gain in differences(results):
        between = (
            "" if gain.low is None else f" [{100 * gain.low:+.1f}, {100 * (gain.high or 0):+.1f}]"
        )
        points = f"{100 * gain.value:+.1f}{between} points"
        lines.append(f"- {genome.replace('_', ' ')}: right starts, {tool} - {other}: {points}")
    return lines


def _wrong_genes(result: StartResult) -> str:
    """Names of the genes with a wrong start, with its distance, and of those that are missed."""
    wrong = ", ".join(
        f"{o.gene.name} ({o.offset_bp:+d})" for o in result.of("upstream", "downstream")
    )
    missed = ", ".join(
        o.gene.name + (" (call on the other strand)" if o.shadows else "")
        for o in result.of("missed")
    )
    head = f"**{result.entry.title}, {result.label}**"
    return f"{head}: wrong start (bp; below 0 too long): {wrong or '-'}; missed: {missed or '-'}."


def to_dict(results: Sequence[StartResult]) -> dict[str, Any]:
    """Return all results and differences as JSON values."""
    return {
        "results": [_result_dict(result) for result in results],
        "differences": [
            {"genome": genome, "tool": tool, "minus": other, **asdict(gain)}
            for genome, tool, other, gain in differences(results)
        ],
    }


def _result_dict(result: StartResult) -> dict[str, Any]:
    return {
        "genome": result.entry.genome,
        "tool": result.label,
        "parameters_trained_on_species": result.own_species,
        "genes": len(result.outcomes),
        "shares": {kind: asdict(result.share(kind)) for kind in KINDS},
        "mean_score": {kind: _mean_score(result.of(kind)) for kind in KINDS[:3]},
        "wrong": [_gene(o) for o in result.of("upstream", "downstream")],
        "missed": [_gene(o) for o in result.of("missed")],
        "shadowed": [_gene(o) for o in result.shadowed],
        "cost": asdict(result.cost) if result.cost else None,
    }


def _mean_score(outcomes: Sequence[Outcome]) -> float | None:
    scores = [outcome.score for outcome in outcomes if outcome.score is not None]
    return fmean(scores) if scores else None


def _gene(outcome: Outcome) -> dict[str, Any]:
    gene = outcome.gene
    return {
        "name": gene.name,
        "place": f"{gene.contig}:{gene.start + 1}-{gene.end}({strand_sign(gene.strand)})",
        "length_bp": gene.end - gene.start,
        "offset_bp": outcome.offset_bp,
        "score": outcome.score,
        "shadows": [
            {
                "place": f"{s.contig}:{s.start + 1}-{s.end}({strand_sign(s.strand)})",
                "overlap_bp": s.overlap_bp(gene),
                "score": s.score,
            }
            for s in outcome.shadows
        ],
    }
