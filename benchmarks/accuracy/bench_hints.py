#!/usr/bin/env python3
r"""How much do hints help: GeneT5 and Augustus with the same simulated hints, in one run.

Hints are simulated from the reference by seed: introns as from RNA-seq with a recall of 50 and of
90 %, of which 5 % are false, and coding parts as from proteins of which 80 % of the genes have a
relative (`genet5.simulate.hints`). Each tool annotates the same sequence without hints and with
each set; scores are those of `genet5 eval`. Models that read hints and models that only choose
among candidates may stand side by side. What the hints add to the odds of genes is taken away by
weight 0: what is left is what the network reads, and a model without channels then shows the noise
of the measurement. Prints Markdown, writes JSON. Simulated hints favour
whoever was trained on such; they come from the genes that the scores count, as real ones do.

Example:
    python benchmarks/accuracy/bench_hints.py --genome Schizosaccharomyces_pombe --split valid \
        --max_bp 300000 --models run_with_evidence base --hint_weights 1 0 --work OUT
"""

from __future__ import annotations

import pathlib
import sys
import tempfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import numpy as np
from machine import ROOT, environment, result_path
from peers import Job, Models, Tool, digest_text, make_job, run_job, why_not
from testset import Case, Split, find_entries, load_case

from genet5.cli.parse import run
from genet5.config.checks import require
from genet5.config.json_files import config_to_dict, save_json
from genet5.errors import DataError
from genet5.genome.gene import Gene
from genet5.genome.hints import Hint, merged
from genet5.genome.io.fasta import read_fasta
from genet5.genome.io.formats import read_annotation
from genet5.genome.io.hints import write_hints
from genet5.genome.sequence import Bases
from genet5.outputs import atomic_writer
from genet5.score.genes import score_genes
from genet5.score.levels import Scores
from genet5.simulate.hints import Corruption, gene_hints, protein_like, rna_like

Condition = Literal["none", "rna50", "rna90", "proteins"]
WORDS: dict[Condition, str] = {
    "none": "no hints",
    "rna50": "introns, recall 50 %",
    "rna90": "introns, recall 90 %",
    "proteins": "proteins of 80 % of the genes",
}
RECALL: dict[Condition, float] = {"rna50": 0.5, "rna90": 0.9, "proteins": 0.8}
FALSE = 0.05
"""Share of the hints that are false."""
SHIFTED = 0.03
EXTRINSIC = "extrinsic.M.RM.E.W.P.cfg"
"""Augustus' own weights for hints of RNA-seq (E) and proteins (P)."""
LEVELS = ("exon", "intron", "gene")


@dataclass(frozen=True, kw_only=True, slots=True)
class HintsBenchConfig:
    """Which sequence, tools, models and hints."""

    genome: str = "Schizosaccharomyces_pombe"
    """Name of a genome, or its beginning; Augustus must have parameters of its species."""
    split: Split = "valid"
    """Which of its contigs."""
    max_bp: int = 300_000
    """Take the first N bp of them."""
    models: tuple[str, ...] = ()
    """Names or folders of our models."""
    tools: tuple[Tool, ...] = ("genet5", "augustus")
    """Tools that are run."""
    conditions: tuple[Condition, ...] = get_args(Condition)
    """Sets of hints."""
    hint_weights: tuple[float, ...] = (1.0,)
    """Weights of hints in the odds of genes, each tried with each set of hints; 0 leaves what the
    network reads."""
    annotate_flags: str = ""
    """More flags for our annotate, as one string."""
    seed: int = 1
    """Of the simulated hints."""
    data: Path = ROOT.parent / "shared" / "data"
    """Folder with splits.tsv and raw/CLADE/GENOME."""
    out: Path | None = None
    """JSON file to write, the table beside it as .md; by default
    benchmarks/results/DATE_cpu_hints.json."""
    work: Path | None = None
    """Folder to keep hints and outputs in."""
    reuse: bool = False
    """Take outputs from --work where tool, flags, hints and sequence are the same."""
    note: str = ""
    """What the result file records about the machine and the models."""

    def __post_init__(self) -> None:
        require("genet5" not in self.tools or bool(self.models), "models", "", "must be named")
        require(bool(self.hint_weights), "hint_weights", (), "must be named")
        require(not self.reuse or self.work is not None, "reuse", True, "needs --work")


@dataclass(frozen=True, slots=True)
class Row:
    """One tool under one condition."""

    label: str
    condition: Condition
    scores: Scores
    cpu_s: float


def main(argv: Sequence[str] | None = None) -> int:
    summary = "Exon, intron and gene F1 without and with simulated hints, beside Augustus."
    return run(_bench, HintsBenchConfig, argv, name="bench_hints", description=summary)


def _bench(settings: HintsBenchConfig) -> int:
    if not settings.data.is_dir():
        sys.stdout.write(f"skipped: no {settings.data}; name the data folder with --data\n")
        return 0
    where = environment("torch", "numpy")
    with ExitStack() as stack:
        work = settings.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        work.mkdir(parents=True, exist_ok=True)
        case = find_case(settings, work)
        hints = {name: write_condition(name, case, settings.seed, work)
                 for name in settings.conditions}  # fmt: skip
        rows = list(_rows(settings, case, hints, work))
    text = markdown(rows)
    sys.stdout.write(text)
    out = settings.out or result_path("hints")
    save_json(out, {
        "environment": where, "note": settings.note, "genome": case.entry.genome,
        "contigs": case.sizes, "settings": config_to_dict(settings),
        "hints": {name: counts for name, (_, counts) in hints.items()},
        "rows": [to_dict(row) for row in rows],
    })  # fmt: skip
    with atomic_writer(out.with_suffix(".md")) as stream:
        stream.write(text)
    return 0


def find_case(settings: HintsBenchConfig, work: Path) -> Case:
    """Write the sequence into `work`, and read its genes.

    Raises:
        DataError: There is no such genome, or more than one.
    """
    entries = find_entries(settings.data / "splits.tsv", settings.split, genomes=[settings.genome])
    if len(entries) > 1:
        raise DataError(f"{len(entries)} genomes {settings.genome}*", expected="one",
                        path=settings.data / "splits.tsv")  # fmt: skip
    return load_case(entries[0], settings.data, settings.split, work, settings.max_bp)


def write_condition(
    name: Condition, case: Case, seed: int, work: Path
) -> tuple[Path | None, dict[str, int]]:
    """Write the hints of a condition; return their file, and how many of each kind there are."""
    if name == "none":
        return None, {}
    found: list[Hint] = []
    for contig in read_fasta(case.fasta):
        genes = [gene for gene in case.annotation.genes if gene.contig == contig.name]
        found += simulated(name, genes, contig.bases, seed)
    path = work / f"{case.entry.genome}.{name}.gff"
    with atomic_writer(path) as out:
        write_hints(out, merged(found))
    kinds = [hint.kind for hint in found]
    return path, {kind: kinds.count(kind) for kind in sorted(set(kinds))}


def simulated(name: Condition, genes: Iterable[Gene], bases: Bases, seed: int) -> list[Hint]:
    """Simulate the hints of a contig, which depend on nothing but the arguments."""
    true = [gene_hints(gene) for gene in genes if gene.is_coding]
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    recall, has_rna = RECALL[name], name != "proteins"
    kinds = ("intron",) if has_rna else ("intron", "coding", "start", "stop")
    expected = recall * sum(hint.kind in kinds for gene in true for hint in gene)
    how = Corruption(recall, expected * FALSE / (1 - FALSE), SHIFTED)
    found = (rna_like if has_rna else protein_like)(true, bases, how, rng)
    size = len(bases)
    return [hint for hint in found if hint.start >= 0 and hint.end <= size]


def _rows(
    settings: HintsBenchConfig,
    case: Case,
    hints: Mapping[Condition, tuple[Path | None, dict[str, int]]],
    work: Path,
) -> Iterable[Row]:
    for tool, model, weight in _contenders(settings):
        flags = f"{settings.annotate_flags} --hint_weight {weight:g}".strip()
        models = Models.parse([f"{case.entry.clade}={model}"] if model else [], flags)
        if reason := why_not(tool, case.entry, models):
            sys.stdout.write(f"left out: {tool} ({reason})\n")
            continue
        is_first = weight == settings.hint_weights[0]
        suffix = "" if weight == 1 or not model else f", hint weight {weight:g}"
        for name, (path, _) in hints.items():
            if path is None and not is_first:
                continue
            folder = work / (Path(model).name or tool) / f"{name}{suffix.replace(', ', '_')}"
            folder.mkdir(parents=True, exist_ok=True)
            job = with_hints(make_job(tool, case, models, folder), path)
            cost = run_job(job, reuse=settings.reuse)
            genes = read_annotation(job.output).genes
            scores = score_genes(genes, case.annotation.genes, case.sizes, prokaryote=False)
            yield Row(f"{job.label}{suffix}", name, scores, cost.cpu_s)


def _contenders(settings: HintsBenchConfig) -> list[tuple[Tool, str, float]]:
    """Each tool with its model and weight of hints, ours once for each of both."""
    found: list[tuple[Tool, str, float]] = []
    weights = settings.hint_weights
    for tool in settings.tools:
        ours = [(tool, model, weight) for model in settings.models for weight in weights]
        found += ours if tool == "genet5" else [(tool, "", weights[0])]
    return found


def with_hints(job: Job, hints: Path | None) -> Job:
    """Return the job with hints, whatever its tool."""
    if hints is None:
        return job
    words: tuple[str, ...] = ("--hints", str(hints))
    if job.tool == "augustus":
        words = (f"--hintsfile={hints}", f"--extrinsicCfgFile={EXTRINSIC}")
    identity = digest_text([job.identity, hints.read_text(encoding="utf-8")])
    return replace(job, command=(*job.command, *words), identity=identity)


def markdown(rows: Sequence[Row]) -> str:
    """Return a table: a line for each tool and set of hints."""
    lines = ["| tool | hints | exon F1 | intron F1 | gene F1 | gene sens. | gene prec. | CPU s |",
             "|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for row in rows:
        levels = row.scores.levels
        cells = [f"{levels[name].f1:.3f}" for name in LEVELS]
        cells += [f"{levels['gene'].sensitivity:.3f}", f"{levels['gene'].precision:.3f}"]
        lines.append(f"| {row.label} | {WORDS[row.condition]} | {' | '.join(cells)} |"
                     f" {row.cpu_s:.0f} |")  # fmt: skip
    return "\n".join(lines) + "\n"


def to_dict(row: Row) -> dict[str, Any]:
    """Return a row as plain values."""
    levels = {name: level.to_dict() for name, level in row.scores.levels.items()}
    return {"tool": row.label, "condition": row.condition, "levels": levels, "cpu_s": row.cpu_s}


if __name__ == "__main__":
    sys.exit(main())
