#!/usr/bin/env python3
"""Time `genet5 eval` on an artificial annotation of human size, beside GenomeTools' `gt eval`.

The reference has 24 contigs, 20,000 genes, 4 isoforms each, 9 exons each, UTRs; the prediction has
every kind of error. Both are made from a seed, so that every run scores the same files. Time is the
wall and processor time of the whole command (start-up included), memory the peak resident size of
its process. Prints Markdown tables (the second one with figures that both tools define alike), and
writes JSON.

Example:
    python benchmarks/bench_eval.py --genes 1000 --repeats 1      # a quick look
"""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from artificial_annotation import CONTIGS, gff3_lines, make_genes, perturbed
from machine import ROOT, Cost, environment, result_path, run_measured

from genet5.cli.parse import run
from genet5.config.json_files import save_json
from genet5.errors import ConfigError

_SAME = (
    (
        "bases of CDS found",
        ("nucleotide", "reference"),
        r"nucleotide sensitivity \(CDS level\):.*TP=(\d+)/.*FN=(\d+)",
    ),
    (
        "bases of CDS predicted",
        ("nucleotide", "predicted"),
        r"nucleotide specificity \(CDS level\):.*TP=(\d+)/.*FP=(\d+)",
    ),
    (
        "distinct coding exons found",
        ("exon", "reference"),
        r"exon sensitivity \(CDS level, all, collapsed\):.*\((\d+)/(\d+)\)",
    ),
    (
        "distinct coding exons predicted",
        ("exon", "predicted"),
        r"exon specificity \(CDS level, all, collapsed\):.*\((\d+)/(\d+)\)",
    ),
    (
        "genes found",
        ("gene", "reference"),
        r"gene sensitivity \(CDS level\):.*\((\d+)/(\d+)\)",
    ),
    (
        "genes predicted",
        ("gene", "predicted"),
        r"gene specificity \(CDS level\):.*\((\d+)/(\d+)\)",
    ),
)
"""What is counted, our level and column, and where gt eval reports it."""
_READ = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from genet5.genome.io.formats import open_annotation
with open_annotation(Path(sys.argv[2])) as file:
    print(sum(len(file.read(name).genes) for name in file.contigs))
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchConfig:
    """How large the annotation is, and how often each tool runs."""

    genes: int = 20_000
    """Genes of the reference."""
    exons: int = 9
    """Exons of each isoform."""
    seed: int = 1
    """The same seed gives the same files."""
    repeats: int = 3
    """Runs of each command; the table has their median."""
    gzip: bool = False
    """Time our scoring of compressed files too."""
    other: Path | None = None
    """Another checkout to time in the same run, for instance an older commit."""
    other_name: str = "other checkout"
    """What to call it in the results."""
    folder: Path | None = None
    """Keep the files in this folder; by default they are deleted."""
    out: Path | None = None
    """JSON file to write.

    By default benchmarks/results/DATE_cpu_eval.json (none with fewer than 20,000 genes).
    """

    def __post_init__(self) -> None:
        if self.genes < len(CONTIGS):
            raise ConfigError("genes", self.genes, f"must be at least {len(CONTIGS)}")
        if self.exons < 5:
            raise ConfigError("exons", self.exons, "must be at least 5")


def main(argv: Sequence[str] | None = None) -> int:
    summary = "Time genet5 eval on an artificial annotation of human size, beside gt eval."
    return run(_bench, BenchConfig, argv, name="bench_eval", description=summary)


def _bench(settings: BenchConfig) -> int:
    with tempfile.TemporaryDirectory() as scratch:
        folder = settings.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        files = make_files(settings, folder)
        report = environment("numpy") | _tools() | _measure(settings, folder, *files)
    sys.stdout.write(f"{markdown(report)}\n")
    out = settings.out
    if out is None and settings.genes >= BenchConfig().genes:
        out = result_path("eval")
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        save_json(out, {"what": "genet5 eval on an annotation of human size", **report})
    return 0


def _tools() -> dict[str, Any]:
    """Versions of the peers; why those that are missing are not compared."""
    found: dict[str, str] = {}
    for name, flag in (("gt", "-version"), ("gffread", "--version"), ("gffcompare", "--version")):
        if shutil.which(name) is None:
            found[name] = "not installed"
            continue
        done = subprocess.run([name, flag], capture_output=True, text=True, check=False)
        found[name] = (done.stdout or done.stderr).splitlines()[0].strip()
    return {"tools": found}


def _measure(
    settings: BenchConfig, folder: Path, reference: Path, predictions: Path
) -> dict[str, Any]:
    """Run all commands in turn; return their figures and what both scorers report."""
    commands = _commands(settings, folder, reference, predictions)
    runs: dict[str, list[Cost]] = {name: [] for name in commands}
    outputs: dict[str, str] = {}
    for _ in range(settings.repeats):
        for name, command in commands.items():
            measured, outputs[name] = run_measured(command)
            runs[name].append(measured)
            sys.stderr.write(
                f"{name}: {measured.cpu_s:.1f} s of processor, {measured.peak_mib:.0f} MiB\n"
            )
    sizes = {"reference": reference, "predictions": predictions}
    lines = {name: sum(1 for _ in path.open("rb")) for name, path in sizes.items()}
    scores = json.loads((folder / "scores.json").read_text())
    return {
        "settings": {
            "genes": settings.genes,
            "exons": settings.exons,
            "seed": settings.seed,
            "repeats": settings.repeats,
        },
        "bytes": {name: path.stat().st_size for name, path in sizes.items()},
        "lines": lines,
        "commands": {name: _summary(some) for name, some in runs.items()},
        "levels": scores["levels"],
        "gene_causes": scores["gene_causes"],
        "agreement": _agreement(scores, outputs["gt eval"]) if "gt eval" in outputs else [],
    }


def _commands(
    settings: BenchConfig, folder: Path, reference: Path, predictions: Path
) -> dict[str, list[str]]:
    python = sys.executable

    def ours(root: Path, *files: Path, name: str = "scores.json") -> list[str]:
        flags = ["--reference", str(files[0]), "--predictions", str(files[1])]
        return [python, str(root / "bin" / "eval"), *flags, "--json", str(folder / name)]

    files = (reference, predictions)
    commands = {"genet5 eval": ours(ROOT, *files)}
    if settings.gzip:
        packed = [path.with_name(f"{path.name}.gz") for path in files]
        for path, small in zip(files, packed, strict=True):
            small.write_bytes(gzip.compress(path.read_bytes(), 6, mtime=0))
        commands["genet5 eval, gzip"] = ours(ROOT, *packed)
    if settings.other is not None:
        commands[f"genet5 eval, {settings.other_name}"] = ours(
            settings.other, *files, name="other.json"
        )
    commands["genet5 reads the reference"] = [
        python,
        "-c",
        _READ,
        str(ROOT / "lib"),
        str(reference),
    ]
    if shutil.which("gt"):
        commands["gt eval"] = ["gt", "eval", *map(str, files)]
    if shutil.which("gffread"):
        commands["gffread reads the reference"] = ["gffread", str(reference), "-o", os.devnull]
    return commands


def _summary(runs: Sequence[Cost]) -> dict[str, Any]:
    cpu = sorted(one.cpu_s for one in runs)
    return {
        "wall_s": round(statistics.median(one.wall_s for one in runs), 2),
        "cpu_s": round(statistics.median(cpu), 2),
        "cpu_s_least": round(cpu[0], 2),
        "cpu_s_most": round(cpu[-1], 2),
        "peak_mib": round(max(one.peak_mib for one in runs), 1),
    }


def _agreement(scores: dict[str, Any], text: str) -> list[dict[str, Any]]:
    """What both scorers count.

    Of gt eval the CDS levels, distinct exons ("collapsed"), missing and wrong genes.
    """
    found: list[dict[str, Any]] = []
    levels, causes = scores["levels"], scores["gene_causes"]
    for what, (level, which), pattern in _SAME:
        right, *rest = (int(number) for number in re.search(pattern, text).groups())  # type: ignore[union-attr]
        theirs = [right, right + rest[0] if "FN" in pattern or "FP" in pattern else rest[0]]
        ours = [levels[level]["tp"], levels[level][which]]
        found.append({"what": what, "genet5": ours, "gt eval": theirs, "equal": ours == theirs})
    for what, pattern, side, cause in (
        ("missing genes", r"missing genes: (\d+)", "reference", "missed"),
        ("wrong genes", r"wrong genes: (\d+)", "predicted", "extra"),
    ):
        ours = [causes[cause][side] + causes["wrong_strand"][side]]
        theirs = [int(re.search(pattern, text).group(1))]  # type: ignore[union-attr]
        found.append({"what": what, "genet5": ours, "gt eval": theirs, "equal": ours == theirs})
    return found


def markdown(report: dict[str, Any]) -> str:
    """Return the tables."""
    size_mb = {name: size / 1e6 for name, size in report["bytes"].items()}
    both_mb = sum(size_mb.values())
    lines = [
        f"{report['lines']['reference']:,} + {report['lines']['predictions']:,} lines, "
        f"{both_mb:.0f} MB",
        "",
        "| command | processor s | wall s | peak MiB | MB/s of processor |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, run_ in report["commands"].items():
        mb = size_mb["reference"] if "reads" in name else both_mb
        lines.append(
            f"| {name} | {run_['cpu_s']:.1f} | {run_['wall_s']:.1f} | {run_['peak_mib']:.0f} | "
            f"{mb / run_['cpu_s']:.1f} |"
        )
    if report["agreement"]:
        lines += ["", "| right of all | genet5 | gt eval | equal |", "|---|---:|---:|---|"]
    for row in report["agreement"]:
        ours, theirs = (" of ".join(f"{n:,}" for n in row[who]) for who in ("genet5", "gt eval"))
        lines.append(f"| {row['what']} | {ours} | {theirs} | {'yes' if row['equal'] else 'NO'} |")
    return "\n".join(lines)


def make_files(settings: BenchConfig, folder: Path) -> tuple[Path, Path]:
    """Write both annotations; return reference and prediction."""
    rng = np.random.default_rng(settings.seed)
    truth = make_genes(settings.genes, settings.exons, rng)
    paths = folder / "reference.gff3", folder / "predictions.gff3"
    for path, genes in zip(paths, (truth, list(perturbed(truth, rng))), strict=True):
        with path.open("w", encoding="ascii") as out:
            out.writelines(gff3_lines(genes))
    return paths


if __name__ == "__main__":
    sys.exit(main())
