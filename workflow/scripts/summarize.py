#!/usr/bin/env python3
"""Put the results of all genomes into one table (TSV) and one report (HTML with a figure).

Reads RESULTS/NAME/{genes.gff3, scores.json, busco.json, annotate.cost.tsv} of each genome of the
sheet; what a genome has not is left empty. Needs matplotlib.

Example:
    python workflow/scripts/summarize.py genomes.tsv results \
        --table results/summary.tsv --report results/report.html
"""

from __future__ import annotations

import argparse
import csv
import html
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sheet import Genome, SheetError, read_sheet

LEVELS = ("stop", "exact", "nucleotide", "exon", "gene")
COLUMNS = (
    "name",
    "model",
    "contigs",
    "size_bp",
    "genes",
    "coding_share",
    "mean_score",
    *(f"{level}_f1" for level in LEVELS),
    "busco_groups",
    "busco_complete",
    "busco_fragmented",
    "busco_missing",
    "wall_s",
    "kbp_per_s",
    "peak_mib",
)
COLOURS = ("#2a6f97", "#e09f3e", "#9e2a2b", "#6c757d", "#588157")
"""Apart for colour-blind readers, too; bars carry their numbers in the table below."""
STYLE = (
    "body{font:15px/1.45 system-ui,sans-serif;color:#1b2733;max-width:1200px;margin:2em auto;"
    "padding:0 1em}table{border-collapse:collapse;font-size:13px}td,th{padding:.25em .6em;"
    "border-bottom:1px solid #d9dee3;text-align:right}"
    "td:first-child,th:first-child{text-align:left}"
    "svg{max-width:100%;height:auto}p{color:#5b6770}div{overflow-x:auto}"
)


def genes_of(path: Path) -> dict[str, Any]:
    """Count contigs, bases and genes of a GFF3 file, the share of coding bases, the mean score."""
    lengths: dict[str, int] = {}
    genes, coding_bp, scores = 0, 0, []
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("##sequence-region"):
                _, name, _, end = line.split()
                lengths[name] = int(end)
            cells = line.rstrip("\n").split("\t")
            if len(cells) != 9:
                continue
            if cells[2] == "gene":
                genes += 1
                scores += [float(cells[5])] if cells[5] != "." else []
            elif cells[2] == "CDS":
                coding_bp += int(cells[4]) - int(cells[3]) + 1
    size_bp = sum(lengths.values())
    return {
        "contigs": len(lengths),
        "size_bp": size_bp,
        "genes": genes,
        "coding_share": round(coding_bp / size_bp, 4) if size_bp else None,
        "mean_score": round(sum(scores) / len(scores), 4) if scores else None,
    }


def scores_of(path: Path) -> dict[str, Any]:
    """Return the F1 of each level that `genet5 eval` wrote."""
    levels = json.loads(path.read_text(encoding="utf-8"))["levels"]
    return {f"{name}_f1": levels[name]["f1"] for name in LEVELS if name in levels}


def busco_of(path: Path) -> dict[str, Any]:
    """Return the counts that `genet5 busco` wrote."""
    found = json.loads(path.read_text(encoding="utf-8"))
    names = ("groups", "complete", "fragmented", "missing")
    return {f"busco_{name}": found[name] for name in names}


def cost_of(path: Path, size_bp: int) -> dict[str, Any]:
    """Return time and memory from Snakemake's record of a job."""
    with path.open(encoding="utf-8", newline="") as source:
        (row,) = csv.DictReader(source, delimiter="\t")
    wall_s = float(row["s"])
    return {
        "wall_s": round(wall_s, 2),
        "kbp_per_s": round(size_bp / 1000 / wall_s, 2) if wall_s else None,
        "peak_mib": None if row["max_rss"] in ("-", "NA") else float(row["max_rss"]),
    }


def row_of(genome: Genome, results: Path, model: str) -> dict[str, Any]:
    """Return one line of the table."""
    folder = results / genome.name
    row: dict[str, Any] = {"name": genome.name, "model": genome.model or model}
    row |= genes_of(folder / "genes.gff3")
    row |= scores_of(folder / "scores.json") if genome.reference else {}
    row |= busco_of(folder / "busco.json") if genome.lineage else {}
    cost = folder / "annotate.cost.tsv"
    return row | (cost_of(cost, row["size_bp"]) if cost.is_file() else {})


def write_table(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write the table as TSV."""
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(
            out, COLUMNS, restval="", delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE
        )
        writer.writeheader()
        writer.writerows(rows)


def figure(rows: Sequence[dict[str, Any]]) -> str:
    """Draw F1 by level, and BUSCO's groups, of each genome that has them; return SVG or nothing."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    scored = [row for row in rows if any(f"{level}_f1" in row for level in LEVELS)]
    counted = [row for row in rows if "busco_groups" in row]
    panels = [p for p in ((_draw_scores, scored), (_draw_busco, counted)) if p[1]]
    if not panels:
        return ""
    height = 1.2 + 0.5 * max(len(some) for _, some in panels)
    with matplotlib.rc_context({"svg.hashsalt": "genet5", "font.size": 9}):
        drawing, axes = pyplot.subplots(
            1, len(panels), figsize=(6 * len(panels), height), squeeze=False, layout="constrained"
        )
        for axis, (draw, some) in zip(axes[0], panels, strict=True):
            draw(axis, some)
            axis.invert_yaxis()
            axis.spines[["top", "right"]].set_visible(False)
        out = io.StringIO()
        drawing.savefig(out, format="svg", metadata={"Date": None})
        pyplot.close(drawing)
    text = out.getvalue()
    return text[text.index("<svg") :]


def _draw_scores(axis: Any, rows: Sequence[dict[str, Any]]) -> None:
    """Draw a group of bars for each genome: F1 by level."""
    levels = [level for level in LEVELS if any(row.get(f"{level}_f1") is not None for row in rows)]
    width = 0.8 / len(levels)
    for index, level in enumerate(levels):
        places = [at - 0.4 + width * (index + 0.5) for at in range(len(rows))]
        values = [row.get(f"{level}_f1") or 0 for row in rows]
        axis.barh(places, values, width, label=level, color=COLOURS[index])
    axis.set_yticks(range(len(rows)), [row["name"] for row in rows])
    axis.set(xlim=(0, 1), xlabel="F1")
    axis.legend(ncols=len(levels), loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False)


def _draw_busco(axis: Any, rows: Sequence[dict[str, Any]]) -> None:
    """Draw one bar for each genome: shares of BUSCO's groups."""
    left = [0.0] * len(rows)
    for index, name in enumerate(("complete", "fragmented", "missing")):
        values = [row[f"busco_{name}"] / max(row["busco_groups"], 1) for row in rows]
        axis.barh(range(len(rows)), values, 0.6, left=left, label=name, color=COLOURS[index])
        left = [a + b for a, b in zip(left, values, strict=True)]
    axis.set_yticks(range(len(rows)), [row["name"] for row in rows])
    axis.set(xlim=(0, 1), xlabel="share of BUSCO groups")
    axis.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False)


def report(rows: Sequence[dict[str, Any]]) -> str:
    """Return a self-contained page with the figure and the table."""
    shown = [name for name in COLUMNS if any(row.get(name) is not None for row in rows)]
    head = "".join(f"<th>{html.escape(name.replace('_', ' '))}</th>" for name in shown)
    body = "".join(
        "<tr>"
        + "".join(f"<td>{html.escape(_shown(row.get(name)))}</td>" for name in shown)
        + "</tr>"
        for row in rows
    )
    genes, size_bp = (sum(row[name] for row in rows) for name in ("genes", "size_bp"))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>Annotation of {len(rows)} genomes</title><style>{STYLE}</style></head>\n<body>\n"
        f"<h1>Annotation of {len(rows)} genomes</h1>\n"
        f"<p>{genes:,} genes on {size_bp / 1e6:,.2f} Mbp.</p>\n{figure(rows)}\n"
        f"<div><table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>\n"
        "</body></html>\n"
    )


def _shown(value: object) -> str:
    """Write a cell."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def main(argv: Sequence[str] | None = None) -> int:
    """Write the table and the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sheet", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--model", default="auto", help="model of genomes that name none")
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    options = parser.parse_args(argv)
    try:
        genomes = read_sheet(options.sheet)
    except SheetError as error:
        sys.stderr.write(f"summarize: {error}\n")
        return 1
    rows = [row_of(genome, options.results, options.model) for genome in genomes.values()]
    write_table(rows, options.table)
    options.report.write_text(report(rows), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
