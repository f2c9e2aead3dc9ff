#!/usr/bin/env python3
"""Hold the gene-structure language against every shared genome.

Which reference genes are legal, and which re-stitch.

Two questions for each coding gene's canonical transcript. Is it legal under `strict`, and if not,
why? And if the genome is cut into windows of several sizes, side by side and overlapping by half,
do the windows' labels read back as they were written, and give the gene again? Causes come from the
bases alone (`genet5.tokens.legality`); a gene on which the grammar and the bases disagree is
counted as "disputed", which must not happen. Writes studies/results/language.json and the tables in
docs/explanation/grammar.md. No model is involved; five minutes on two cores.

Example:
    python studies/language_table.py --genomes Schizosaccharomyces
    python studies/language_table.py --check
"""

from __future__ import annotations

import json
import pathlib
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from language_study import SIZES_BP, measure

from genet5.cli.parse import run
from genet5.config.json_files import save_json
from genet5.errors import DataError

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, kw_only=True, slots=True)
class TableConfig:
    """What to measure, and where the tables stand."""

    genomes: tuple[str, ...] = ()
    """Names of genomes, or beginnings of names; by default all.

    Only all of them are written into the tables.
    """
    check: bool = False
    """Write nothing; exit with 1 if the stored figures or tables are not what is measured."""
    data: Path = ROOT.parent / "shared" / "data"
    """Folder with raw/CLADE/GENOME."""
    out: Path = ROOT / "studies" / "results" / "language.json"
    """JSON file with all figures."""
    docs: Path = ROOT / "docs" / "explanation" / "grammar.md"
    """Markdown file with the tables, between markers."""
    n_workers: int = 2
    """Processes, one genome each."""


def summed(rows: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    """Figures of several genomes as one row."""
    genes: Counter[str] = Counter()
    windows: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        genes.update(row["genes"])
        for key, counts in row["windows"].items():
            windows[key].update(counts)
    return {"genome": name, "bp": sum(r["bp"] for r in rows), "genes": genes, "windows": windows}


def by_clade(rows: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    clades: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        clades[row["taxon"]].append(row)
    return dict(
        sorted(clades.items(), key=lambda item: sum(r["bp"] for r in item[1]), reverse=True)
    )


def legality_table(rows: Sequence[dict[str, Any]]) -> str:
    """One line for each clade, each eukaryote, and the prokaryotes with most illegal genes."""
    lines = [
        "| genome | Mbp | coding genes | legal | illegal, by cause |",
        "|---|---:|---:|---:|---|",
    ]
    for clade, some in by_clade(rows).items():
        total = summed(some, f"**{clade}** ({len(some)} genomes)")
        shown = [row for row in some if clade != "prokaryotes" or _share_legal(row) < 0.95]
        lines += [_legality_line(row) for row in (total, *sorted(shown, key=_share_legal))]
    return "\n".join([*lines, _legality_line(summed(rows, f"**all** ({len(rows)} genomes)"))])


def _share_legal(row: dict[str, Any]) -> float:
    return float(row["genes"].get("legal", 0) / max(row["genes"].get("coding", 0), 1))


def _legality_line(row: dict[str, Any]) -> str:
    genes = row["genes"]
    causes = {k.removeprefix("illegal: "): n for k, n in genes.items() if k.startswith("illegal: ")}
    listed = ", ".join(f"{k} {n}" for k, n in sorted(causes.items(), key=lambda item: -item[1]))
    share = _share_legal(row)
    name = row["genome"].replace("_", " ")
    return f"| {name} | {row['bp'] / 1e6:.1f} | {genes.get('coding', 0)} | {share:.2%} | {listed} |"


def window_table(rows: Sequence[dict[str, Any]]) -> str:
    """One line per clade and window size; each cell without and with overlap."""
    heads = ("clade", "window kb", "legal genes that fit", "whole in a window", "re-stitched")
    heads += ("lost", "annotate loses", "genes with isoforms, several cut in one window")
    lines = [f"| {' | '.join(heads)} |", "|---|---:|" + "---:|" * (len(heads) - 2)]
    for clade, some in by_clade(rows).items():
        windows = summed(some, clade)["windows"]
        for size_bp in SIZES_BP:
            pair = [windows[f"{size_bp} bp, {overlap} % overlap"] for overlap in (0, 50)]
            lines.append(f"| {clade} | {size_bp // 1000} | {' | '.join(_window_cells(pair))} |")
    return "\n".join(lines)


def _window_cells(pair: Sequence[dict[str, int]]) -> list[str]:
    def starting(counts: dict[str, int], name: str) -> int:
        return sum(n for key, n in counts.items() if key.startswith(name))

    cells = []
    kept = ("legal: whole", "legal: joined")
    legal = sum(pair[0].get(k, 0) for k in kept) + starting(pair[0], "legal: lost")
    cells.append(f"{pair[0].get('legal: fits', 0) / max(legal, 1):.1%}")
    for name in (*kept, "legal: lost", "legal: annotate loses", "isoforms: several"):
        cells.append(" / ".join(str(starting(counts, name)) for counts in pair))
    return cells


def with_tables(text: str, tables: dict[str, str]) -> str:
    """Put the tables between their markers.

    Raises:
        DataError: A marker is missing.
    """
    for name, table in tables.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        if begin not in text or end not in text:
            raise DataError(f"no markers for {name}", expected=f"{begin} and {end}")
        head, _, rest = text.partition(begin)
        text = f"{head}{begin}\n{table}\n{end}{rest.partition(end)[2]}"
    return text


def main(argv: Sequence[str] | None = None) -> int:
    summary = (
        "Count which reference genes the gene-structure language writes, and re-stitches from "
        "windows."
    )
    return run(_tabulate, TableConfig, argv, name="language_table", description=summary)


def _tabulate(settings: TableConfig) -> int:
    rows = []
    with ProcessPoolExecutor(settings.n_workers) as pool:
        for row in pool.map(measure, find_genomes(settings)):
            genes = row["genes"]
            sys.stderr.write(
                f"{row['genome']}: {genes['legal']} of {genes['coding']} genes legal\n"
            )
            rows.append(row)
    tables = {"legality": legality_table(rows), "re-stitching": window_table(rows)}
    sys.stdout.write("\n\n".join(tables.values()) + "\n")
    stored = {"what": "the gene-structure language on the shared genomes", "genomes": rows}
    if settings.check:
        return _compare(settings, stored, tables)
    if not settings.genomes:
        text = with_tables(settings.docs.read_text(encoding="utf-8"), tables)
        save_json(settings.out, stored)
        settings.docs.write_text(text, encoding="utf-8")
    return 0


def find_genomes(settings: TableConfig) -> list[Path]:
    """Return the folders of the asked genomes, the largest first."""
    found = [path.parent for path in (settings.data / "raw").glob("*/*/annotation.gff3.gz")]
    chosen = [f for f in found if not settings.genomes or f.name.startswith(settings.genomes)]
    if not chosen:
        raise DataError("no genome", path=settings.data, remedy="Name the data folder with --data")
    size = {folder: (folder / "genome.fa.gz").stat().st_size for folder in chosen}
    return sorted(chosen, key=lambda folder: (-size[folder], folder.name))


def _compare(settings: TableConfig, stored: dict[str, Any], tables: dict[str, str]) -> int:
    """Say which genomes' figures differ from the stored ones."""
    before = {r["genome"]: r for r in json.loads(settings.out.read_text())["genomes"]}
    differ = [row["genome"] for row in stored["genomes"] if before.get(row["genome"]) != row]
    for name in differ:
        sys.stderr.write(f"{name}: not as in {settings.out.name}\n")
    text = settings.docs.read_text(encoding="utf-8")
    stale = not settings.genomes and with_tables(text, tables) != text
    if stale:
        sys.stderr.write(f"{settings.docs.name}: not the tables that are measured\n")
    return int(bool(differ) or stale)


if __name__ == "__main__":
    sys.exit(main())
