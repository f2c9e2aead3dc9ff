"""A page on generated sequences: figures, plots, and what they resemble.

The page is one HTML file without scripts or links; plots are SVG within it. `summary` gives the
same figures as JSON. Comparisons need files: `natural` coding sequences in frame for codon usage
and k-mers, `training` sequences for the nearest one; without them these parts are left out.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from genet5.config.json_files import save_json
from genet5.config.lm.generate import GenerateReportConfig
from genet5.genome.codes import CODONS, GeneticCode, genetic_code
from genet5.genome.frames import strand_sign
from genet5.genome.io.fasta import read_fasta
from genet5.genome.sequence import Bases
from genet5.lm.designs import Design, Shares, codon_usage, describe, divergence, kmer_spectrum
from genet5.lm.nearest import Nearest, nearest_sequences
from genet5.outputs import atomic_writer, svg_element

_K = 4
_LISTED = 200
_STYLE = (
    "body{font-family:sans-serif;margin:2em auto;max-width:60em}"
    "td,th{padding:.2em .7em;text-align:right;border-bottom:1px solid #ddd}"
    "td:first-child,th:first-child{text-align:left}svg{max-width:100%;height:auto}"
)


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """All that the page shows."""

    designs: tuple[Design, ...]
    codons: Shares
    kmers: Shares
    natural_codons: Shares | None
    natural_kmers: Shares | None
    nearest: Mapping[str, Nearest | None]
    """Empty where there are no training sequences."""
    by_chance: Mapping[str, Nearest | None]
    """The same of the generated sequences read backwards (not complemented)."""
    predicted: Mapping[str, float]
    """Activity that a fine-tuned model predicts; empty where there is none."""

    def summary(self) -> dict[str, Any]:
        """Return plain JSON values."""
        kept = [each.frame_kept for each in self.designs]
        figures: dict[str, Any] = {
            "sequences": len(self.designs),
            "mean_length_bp": _mean([each.length_bp for each in self.designs]),
            "frame_kept": _mean(kept),
            "begins_with_ATG": _mean([each.has_start for each in self.designs]),
            "open_share": _mean([each.open_share for each in self.designs]),
            "stops_per_sequence": _mean([each.stops for each in self.designs]),
            "gc": _mean([each.gc for each in self.designs if each.gc is not None]),
        }
        if self.natural_codons is not None and self.natural_kmers is not None:
            figures["codon_divergence_bits"] = divergence(self.codons, self.natural_codons)
            figures[f"{_K}-mer_divergence_bits"] = divergence(self.kmers, self.natural_kmers)
        for name, found in (("nearest", self.nearest), ("by_chance", self.by_chance)):
            if found:
                identities = [each.identity if each else 0.0 for each in found.values()]
                figures[f"identity_{name}"] = _mean(identities)
                figures[f"identity_{name}_max"] = max(identities)
        if self.predicted:
            figures["predicted_activity"] = _mean(list(self.predicted.values()))
        return figures


def examine(
    sequences: Mapping[str, Bases], config: GenerateReportConfig, predicted: Mapping[str, float]
) -> Findings:
    """Describe and compare sequences by name.

    Raises:
        DataError: A file to compare with cannot be read.
    """
    code: GeneticCode = genetic_code(config.genetic_code)
    natural_codons = natural_kmers = None
    if config.natural is not None:
        natural_codons = codon_usage((c.bases for c in read_fasta(config.natural)), code)
        natural_kmers = kmer_spectrum((c.bases for c in read_fasta(config.natural)), _K)
    nearest: dict[str, Nearest | None] = {}
    by_chance: dict[str, Nearest | None] = {}
    if config.training is not None:
        nearest = nearest_sequences(sequences, read_fasta(config.training))
        backwards = {name: bases[::-1] for name, bases in sequences.items()}
        by_chance = nearest_sequences(backwards, read_fasta(config.training))
    return Findings(
        designs=tuple(describe(name, bases, code) for name, bases in sequences.items()),
        codons=codon_usage(sequences.values(), code),
        kmers=kmer_spectrum(sequences.values(), _K),
        natural_codons=natural_codons,
        natural_kmers=natural_kmers,
        nearest=nearest,
        by_chance=by_chance,
        predicted=predicted,
    )


def write_report(found: Findings, config: GenerateReportConfig, title: str) -> None:
    """Write the page and the JSON that are wanted."""
    if config.summary is not None:
        rows = {each.name: _row(each, found) for each in found.designs}
        save_json(config.summary, {**found.summary(), "by_sequence": rows})
    if config.report is not None:
        with atomic_writer(config.report) as out:
            out.write(_page(found, title))


def _row(design: Design, found: Findings) -> dict[str, Any]:
    row: dict[str, Any] = {**asdict(design), "frame_kept": design.frame_kept}
    if found.nearest:
        each = found.nearest[design.name]
        row["nearest"] = asdict(each) if each else None
    if found.predicted:
        row["predicted_activity"] = found.predicted[design.name]
    return row


def _page(found: Findings, title: str) -> str:
    figures = "".join(
        f"<tr><td>{html.escape(name.replace('_', ' '))}</td><td>{_shown(value)}</td></tr>"
        for name, value in found.summary().items()
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{html.escape(title)}</h1>"
        "<p>Frame 0 is that of the first base. A frame is kept if no stop codon comes before the"
        " last codon. Identity is the number of bases that equal the nearest training sequence's,"
        " over the length; by chance is that of the same sequences read backwards.</p>"
        f"<table>{figures}</table>{_pictures(found)}{_listing(found)}</body></html>\n"
    )


def _listing(found: Findings) -> str:
    heads = ["name", "bases", "GC", "codons", "stops", "frame kept"]
    heads += ["nearest", "identity", "longest match"] if found.nearest else []
    heads += ["predicted"] if found.predicted else []
    rows = [f"<tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>"]
    for design in found.designs[:_LISTED]:
        cells: list[Any] = [html.escape(design.name), design.length_bp, design.gc, design.codons]
        cells += [design.stops, "yes" if design.frame_kept else "no"]
        if found.nearest:
            cells += _place(found.nearest[design.name])
        if found.predicted:
            cells.append(found.predicted[design.name])
        rows.append(f"<tr>{''.join(f'<td>{_shown(cell)}</td>' for cell in cells)}</tr>")
    more = len(found.designs) - _LISTED
    after = f"<p>and {more} more</p>" if more > 0 else ""
    return f"<h2>Sequences</h2><table>{''.join(rows)}</table>{after}"


def _place(nearest: Nearest | None) -> list[Any]:
    if nearest is None:
        return ["none", 0.0, 0]
    place = f"{html.escape(nearest.contig)}:{nearest.start + 1:,} {strand_sign(nearest.strand)}"
    return [place, nearest.identity, nearest.longest_match_bp]


def _pictures(found: Findings) -> str:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6), layout="constrained")
    panels = figure.subplots(2, 3).ravel()
    panels[0].hist([each.length_bp for each in found.designs], bins=30)
    panels[0].set(xlabel="length (bp)", ylabel="sequences")
    panels[1].hist([each.gc for each in found.designs if each.gc is not None], bins=30)
    panels[1].set(xlabel="share of G and C", xlim=(0, 1))
    panels[2].hist([each.open_share for each in found.designs], bins=30, range=(0, 1))
    panels[2].set(xlabel="share of codons before the first stop")
    _scatter(panels[3], found.codons, found.natural_codons, "codons", CODONS)
    _scatter(panels[4], found.kmers, found.natural_kmers, f"{_K}-mers", ())
    for name, each in (("by chance", found.by_chance), ("nearest", found.nearest)):
        values = [one.identity if one else 0.0 for one in each.values()]
        panels[5].hist(values, bins=30, range=(0, 1), alpha=0.6, label=name)
    panels[5].set(xlabel="identity to training sequences")
    if found.nearest:
        panels[5].legend(fontsize="small")
    return svg_element(figure)


def _scatter(
    axes: Any, ours: Shares, natural: Shares | None, what: str, labels: Sequence[str]
) -> None:
    """Plot shares against natural ones, or alone in descending order."""
    if natural is None:
        axes.plot(np.sort(ours)[::-1])
        axes.set(xlabel=f"{what} by share", ylabel="share")
        return
    axes.scatter(natural, ours, s=8)
    most = float(max(natural.max(), ours.max(), 1e-9))
    axes.plot([0, most], [0, most], color="grey", linewidth=0.8)
    for at in np.argsort(-np.abs(ours - natural))[: 5 if labels else 0]:
        axes.annotate(labels[at], (natural[at], ours[at]), fontsize="x-small")
    axes.set(xlabel=f"share of {what}, natural", ylabel="generated")


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
