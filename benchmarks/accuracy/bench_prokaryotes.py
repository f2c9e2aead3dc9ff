#!/usr/bin/env python3
"""Compare GeneT5 with pyrodigal on the shared prokaryote test genomes: same genomes, same scorer, same run.

Each tool runs as one command per genome with the genome's own genetic code; time is the wall time of the whole command
(start-up and files included), memory the peak resident size of its process. Prints a Markdown table and writes JSON.

Example:
    python benchmarks/accuracy/bench_prokaryotes.py --genomes Mycoplasmoides Chlamydia --max_bp 300000
"""

from __future__ import annotations

import csv
import datetime
import importlib.metadata
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))

from genet5 import __version__
from genet5.cli.parse import run
from genet5.config.files import save_json
from genet5.errors import ConfigError, DataError, ExternalToolError
from genet5.genome.fasta import read_fasta, write_fasta
from genet5.genome.gene import Gene
from genet5.genome.gff3 import Annotation, read_gff3
from genet5.genome.sequence import decode_bases
from genet5.score.genes import score_genes
from genet5.score.levels import Scores

Tool = Literal["pyrodigal", "genet5"]
ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchSettings:
    """What to run on which genomes."""

    genomes: tuple[str, ...] = ()
    """Names of test genomes, or beginnings of names; by default all."""
    tools: tuple[Tool, ...] = ("pyrodigal", "genet5")
    """Which tools to run."""
    model: str | None = None
    """Name of a shipped model, or a model directory; by default the one that annotate takes."""
    annotate_flags: str = ""
    """More flags for our annotate, as one string: --annotate_flags="--both_strands --batch_size 64"."""
    split: Literal["test", "valid"] = "test"
    """Which genomes of the split table; valid is for choosing models, test for figures only."""
    max_bp: int | None = None
    """Take the first N bp of each genome only (a quick look)."""
    data: Path = ROOT.parent / "shared" / "data"
    """Folder with splits.tsv and raw/TAXON/GENOME."""
    out: Path | None = None
    """JSON file to write; by default benchmarks/results/DATE_cpu_prokaryotes.json (none with --max_bp)."""
    predictions: Path | None = None
    """Folder to keep the tools' GFF3 files in."""

    def __post_init__(self) -> None:
        if self.max_bp is not None and self.max_bp < 20_000:
            raise ConfigError("max_bp", self.max_bp, "must be at least 20000 (to train pyrodigal)")


@dataclass(frozen=True, slots=True)
class Genome:
    """A genome with its true genes, cut to what is annotated."""

    name: str
    fasta: Path
    annotation: Annotation
    size_bp: int
    genetic_code: int


@dataclass(frozen=True, slots=True)
class Result:
    """One tool on one genome."""

    genome: str
    tool: str
    scores: Scores
    size_bp: int
    wall_s: float
    peak_mib: float

    @property
    def row(self) -> tuple[float, float, float, float]:
        """Stop F1, exact F1, kbp/s, peak MiB."""
        levels = self.scores.levels
        speed = self.size_bp / 1000 / self.wall_s
        return levels["stop"].f1, levels["exact"].f1, speed, self.peak_mib


@dataclass(frozen=True, slots=True)
class Bench:
    """Runs tools on genomes in a scratch folder."""

    settings: BenchSettings
    scratch: Path
    results: list[Result] = field(default_factory=list)

    def measure(self, genome: Genome, tool: Tool) -> Result:
        """Run the tool's command, and score what it wrote."""
        output = self.scratch / f"{genome.name}.{tool}.gff3"
        wall_s, peak_mib = run_measured(self.command(genome, tool, output))
        predicted = read_gff3(output).genes
        truth = genome.annotation
        scores = score_genes(predicted, truth.genes, truth.contig_lengths, prokaryote=True)
        if self.settings.predictions is not None:
            self.settings.predictions.mkdir(parents=True, exist_ok=True)
            shutil.copy(output, self.settings.predictions / output.name)
        return Result(genome.name, tool, scores, genome.size_bp, wall_s, peak_mib)

    def command(self, genome: Genome, tool: Tool, output: Path) -> list[str]:
        """The command line of a tool."""
        where = [str(genome.fasta), "-o", str(output), "--genetic_code", str(genome.genetic_code)]
        if tool == "pyrodigal":
            return [sys.executable, str(Path(__file__).with_name("run_pyrodigal.py")), *where]
        model = ["--model", self.settings.model] if self.settings.model else []
        more = self.settings.annotate_flags.split()
        return [sys.executable, str(ROOT / "bin" / "annotate"), *where, *model, *more]


def main(argv: Sequence[str] | None = None) -> int:
    summary = "Compare GeneT5 with pyrodigal on prokaryote genomes."
    return run(_bench, BenchSettings, argv, name="bench_prokaryotes", description=summary)


def _bench(settings: BenchSettings) -> int:
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(settings, Path(scratch))
        for folder in find_genomes(settings):
            genome = load_genome(folder, settings.max_bp, Path(scratch))
            for tool in settings.tools:
                result = bench.measure(genome, tool)
                bench.results.append(result)
                stop, exact, speed, _ = result.row
                note = (
                    f"{genome.name} {tool}: stop {stop:.3f} exact {exact:.3f} {speed:.0f} kbp/s\n"
                )
                sys.stderr.write(note)
    sys.stdout.write(markdown(bench.results, settings.tools) + "\n")
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    out = settings.out or (None if settings.max_bp else RESULTS / f"{today}_cpu_prokaryotes.json")
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        save_json(out, report(bench.results, settings, today))
    return 0


def find_genomes(settings: BenchSettings) -> list[Path]:
    """Return the folders of the asked genomes."""
    table = settings.data / "splits.tsv"
    if not table.is_file():
        raise DataError("no split table", path=table, remedy="Name the data folder with --data")
    with table.open(newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    names = [
        row["genome"]
        for row in rows
        if row["taxon"] == "prokaryotes" and row["split"] == settings.split
    ]
    chosen = [n for n in names if not settings.genomes or n.startswith(settings.genomes)]
    if not chosen:
        raise DataError(f"no genome {settings.genomes}", expected=f"some of {', '.join(names)}")
    return [settings.data / "raw" / "prokaryotes" / name for name in chosen]


def load_genome(folder: Path, max_bp: int | None, scratch: Path) -> Genome:
    """Read the annotation; with `max_bp` write the first bases as a file of their own."""
    fasta = folder / "genome.fa.gz"
    annotation = read_gff3(folder / "annotation.gff3.gz")
    codes = Counter(gene.genetic_code for gene in annotation.genes if gene.genetic_code)
    code = codes.most_common(1)[0][0] if codes else 11
    sizes = {contig.name: len(contig.bases) for contig in read_fasta(fasta)}
    if max_bp is not None:
        sizes = cut_sizes(sizes, max_bp)
        records = ((c.name, c.bases) for c in read_fasta(fasta) if c.name in sizes)
        fasta = scratch / f"{folder.name}.fa"
        write_fasta(fasta, ((name, decode_bases(b[: sizes[name]])) for name, b in records))
        annotation = cut_annotation(annotation, sizes)
    return Genome(folder.name, fasta, annotation, sum(sizes.values()), code)


def cut_sizes(sizes: dict[str, int], max_bp: int) -> dict[str, int]:
    """Keep contigs, the last of them cut, up to `max_bp` in all."""
    kept: dict[str, int] = {}
    for name, size in sizes.items():
        left = max_bp - sum(kept.values())
        if left > 0:
            kept[name] = min(size, left)
    return kept


def cut_annotation(annotation: Annotation, sizes: dict[str, int]) -> Annotation:
    """Drop genes beyond the cut; those that run over it become partial, and so are ignored."""
    genes: list[Gene] = []
    for gene in annotation.genes:
        size = sizes.get(gene.contig, 0)
        if gene.start >= size:
            continue
        if gene.end > size:
            cut = tuple(replace(tx, partial_3=True) for tx in gene.transcripts)
            gene = replace(gene, transcripts=cut)
        genes.append(gene)
    return replace(annotation, genes=tuple(genes), contig_lengths={})


def run_measured(command: list[str]) -> tuple[float, float]:
    """Run a command; return its wall time in s and its peak memory in MiB."""
    with tempfile.TemporaryFile() as messages:
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdout=messages, stderr=messages)
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        messages.seek(0)
        tail = messages.read()[-2000:].decode("utf-8", "replace")
    if process.returncode:
        raise ExternalToolError(f"{Path(command[1]).name} exit {process.returncode}: {tail}")
    return wall_s, usage.ru_maxrss / (1024 if sys.platform == "linux" else 1 << 20)


def mean_row(results: Sequence[Result]) -> list[float]:
    """Means of the F1s; speed over all bases; the largest memory."""
    rows = [result.row for result in results]
    speed = sum(r.size_bp for r in results) / 1000 / sum(r.wall_s for r in results)
    stop, exact = (sum(row[i] for row in rows) / len(rows) for i in (0, 1))
    return [stop, exact, speed, max(row[3] for row in rows)]


def markdown(results: Sequence[Result], tools: Sequence[str]) -> str:
    """Return the table: one line per genome, four columns per tool."""
    heads = [f"{tool} {what}" for tool in tools for what in ("stop F1", "exact F1", "kbp/s", "MiB")]
    lines = [f"| genome | {' | '.join(heads)} |", "|---|" + "---:|" * len(heads)]
    for name in dict.fromkeys(result.genome for result in results):
        rows = [r.row for tool in tools for r in results if (r.genome, r.tool) == (name, tool)]
        lines.append(f"| {name.replace('_', ' ')} | {' | '.join(map(_cells, rows))} |")
    means = [mean_row([r for r in results if r.tool == tool]) for tool in tools]
    lines.append(f"| **mean** (memory: largest) | {' | '.join(map(_cells, means))} |")
    return "\n".join(lines)


def _cells(row: Sequence[float]) -> str:
    stop, exact, speed, memory = row
    return f"{stop:.3f} | {exact:.3f} | {speed:,.0f} | {memory:,.0f}"


def report(results: Sequence[Result], settings: BenchSettings, today: str) -> dict[str, Any]:
    """Return what goes into the JSON file."""
    keys = ("stop_f1", "exact_f1", "kbp_per_s", "peak_mib")
    return {
        "what": f"prokaryote genes, split {settings.split}",
        "date": today,
        "device": device(),
        "commit": commit(),
        "versions": versions(),
        "model": settings.model or "default",
        "annotate_flags": settings.annotate_flags,
        "max_bp": settings.max_bp,
        "protocol": results[0].scores.protocol,
        "mean": {
            tool: dict(zip(keys, mean_row([r for r in results if r.tool == tool]), strict=True))
            for tool in settings.tools
        },
        "genomes": [
            {
                "genome": r.genome,
                "tool": r.tool,
                "size_bp": r.size_bp,
                "wall_s": r.wall_s,
                **dict(zip(keys, r.row, strict=True)),
                "scores": {k: v for k, v in r.scores.to_dict().items() if k != "protocol"},
            }
            for r in results
        ],
    }


def device() -> str:
    """Name the processor and the number of cores that may be used."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        models = [x for x in info.read_text().splitlines() if x.startswith("model name")]
        name = models[0].partition(":")[2].strip() if models else name
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cores} cores"


def commit() -> str:
    """Return the checkout's commit, marked when files have changed since; empty outside git."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return answer.stdout.strip()


def versions() -> dict[str, str]:
    """Return the versions of what the result depends on."""
    names = ("torch", "numpy", "pyrodigal")
    return {
        "genet5": __version__,
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in names},
    }


if __name__ == "__main__":
    sys.exit(main())
