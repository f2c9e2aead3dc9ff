#!/usr/bin/env python3
r"""Compare GeneT5 with pyrodigal (prokaryotes) and Augustus (eukaryotes) on the test genomes.

Same sequences, one scorer, one command after the other on the same machine. Prints Markdown tables,
one for held-out species and one for held-out chromosomes, and writes JSON with the tables beside
it. Tools that are not installed, and genomes for which we have no model, are named and left out.

Example:
    python benchmarks/accuracy/bench_peers.py --genomes Mycoplasmoides Chlamydia --max_bp 300000
    python benchmarks/accuracy/bench_peers.py --clades unicellular \
        --model Schizosaccharomyces=runs/pombe
"""

from __future__ import annotations

import logging
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import tyro
from bootstrap import count_by_block
from machine import ROOT, environment, result_path
from peers import Models, Tool, augustus_version, make_job, run_job, why_not
from report import Result, markdown, to_dict
from testset import Case, Entry, Split, find_entries, load_case

from genet5.cli.parse import run
from genet5.config.json_files import config_to_dict, save_json
from genet5.errors import ConfigError, DataError
from genet5.genome.io.formats import read_annotation
from genet5.outputs import atomic_writer
from genet5.score.genes import score_genes

log = logging.getLogger("genet5.bench_peers")


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchConfig:
    """What to run on which genomes."""

    clades: Annotated[tuple[str, ...], tyro.conf.arg(aliases=["--taxa"])] = ()
    """Clades of the split table; by default all."""
    genomes: tuple[str, ...] = ()
    """Names of test genomes, or beginnings of names; by default all."""
    tools: tuple[Tool, ...] = ("pyrodigal", "augustus", "genet5")
    """Which tools to run, each where it belongs."""
    model: tuple[str, ...] = ()
    """Our models as KEY=MODEL.

    KEY is a clade or the beginning of a genome's name, MODEL a shipped model or a model directory.
    Prokaryotes have the shipped one by default."""
    annotate_flags: str = ""
    """More flags for our annotate, as one string.

    --annotate_flags="--both_strands"; {clade} is replaced.
    """
    split: Split = "test"
    """Which genomes of the split table; valid is for choosing models, test for figures only."""
    max_bp: int | None = None
    """Take the first N bp of each genome only (a quick look)."""
    data: Path = ROOT.parent / "shared" / "data"
    """Folder with splits.tsv and raw/CLADE/GENOME."""
    out: Path | None = None
    """JSON file to write, tables beside it as .md.

    By default benchmarks/results/DATE_cpu_peers.json for a run over all
    genomes, none for other runs."""
    work: Path | None = None
    """Folder to keep the tools' outputs in."""
    reuse: bool = False
    """Take outputs and costs from --work where tool, flags and sequence are the same.

    The tables mark them.
    """

    def __post_init__(self) -> None:
        if self.max_bp is not None and self.max_bp < 20_000:
            raise ConfigError("max_bp", self.max_bp, "must be at least 20000 (to train pyrodigal)")
        if self.reuse and self.work is None:
            raise ConfigError("reuse", True, "needs --work, the folder of the earlier run")

    @property
    def is_whole(self) -> bool:
        """Whether the run covers the whole test split."""
        return self.split == "test" and not (self.clades or self.genomes or self.max_bp)


def main(argv: Sequence[str] | None = None) -> int:
    summary = "Compare GeneT5 with pyrodigal and Augustus on test genomes."
    return run(_bench, BenchConfig, argv, name="bench_peers", description=summary)


def _bench(settings: BenchConfig) -> int:
    models = Models.parse(settings.model, settings.annotate_flags)
    table = settings.data / "splits.tsv"
    if not table.is_file():
        raise DataError("no split table", path=table, remedy="Name the data folder with --data")
    plan, notes = plan_runs(
        find_entries(table, settings.split, settings.clades, settings.genomes),
        settings.tools,
        models,
    )
    for note in notes:
        log.warning("%s", note)
    where = environment("torch", "numpy", "pyrodigal")
    if shutil.which("augustus"):
        where["versions"]["augustus"] = augustus_version()
    results: list[Result] = []
    with ExitStack() as stack:
        work = settings.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for entry, tools in plan:
            case = load_case(entry, settings.data, settings.split, work, settings.max_bp)
            results += run_case(case, tools, models, work, reuse=settings.reuse)
    text = markdown(results, notes)
    sys.stdout.write(text)
    out = settings.out or (result_path("peers") if settings.is_whole else None)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        save_json(out, report(results, settings, where, notes))
        with atomic_writer(out.with_suffix(".md")) as stream:
            stream.write(text)
    return 0


def plan_runs(
    entries: Sequence[Entry], tools: Sequence[Tool], models: Models
) -> tuple[list[tuple[Entry, list[Tool]]], list[str]]:
    """Decide which tools run on which genomes, and report what is left out.

    Returns:
        Genomes with their tools (those without any left out), and one line for each reason.

    Raises:
        DataError: No tool can run on any genome.
    """
    plan: list[tuple[Entry, list[Tool]]] = []
    missing: dict[str, list[str]] = {}
    for entry in entries:
        able: list[Tool] = []
        for tool in tools:
            reason = why_not(tool, entry, models)
            if not reason:
                able.append(tool)
            elif reason != "-":
                missing.setdefault(f"{tool} ({reason})", []).append(entry.title)
        if able:
            plan.append((entry, able))
    notes = [f"Left out: {what}: {', '.join(names)}." for what, names in missing.items()]
    if not plan:
        raise DataError(f"no tool for any genome. {' '.join(notes)}")
    return plan, notes


def run_case(
    case: Case, tools: Sequence[Tool], models: Models, work: Path, *, reuse: bool
) -> list[Result]:
    """Run the tools on one genome, and score what they wrote."""
    truth = case.annotation
    jobs = [make_job(tool, case, models, work) for tool in tools]
    runs = [run_job(job, reuse=reuse) for job in jobs]
    genes = {job.tool: read_annotation(job.output).genes for job in jobs}
    by_blocks = case.entry.regime == "chromosome"
    blocks = count_by_block(genes, truth, case.sizes) if by_blocks else {}
    results = []
    for job, cost in zip(jobs, runs, strict=True):
        predicted = genes[job.tool]
        scores = score_genes(predicted, truth.genes, truth.contig_lengths, case.prokaryote)
        result = Result(
            entry=case.entry,
            tool=job.tool,
            label=job.label,
            own_species=job.own_species,
            size_bp=case.size_bp,
            run=cost,
            scores=scores,
            blocks=blocks.get(job.tool, {}),
        )
        results.append(result)
        first, second = ("stop", "exact") if case.prokaryote else ("exon", "gene")
        log.info(
            "%s, %s: %s F1 %.3f, %s F1 %.3f, %.0f s, %.0f kbp/s%s",
            case.entry.title,
            job.label,
            first,
            result.f1(first),
            second,
            result.f1(second),
            cost.wall_s,
            result.kbp_per_s,
            " (earlier run)" if cost.reused else "",
        )
    return results


def report(
    results: Sequence[Result],
    settings: BenchConfig,
    where: Mapping[str, Any],
    notes: Sequence[str],
) -> dict[str, object]:
    """Return what goes into the JSON file."""
    asked = config_to_dict(settings)
    kept = ("clades", "genomes", "tools", "annotate_flags", "split", "max_bp", "reuse")
    return {
        "what": f"genes of the {settings.split} split, beside peers",
        **where,
        "settings": {name: asked[name] for name in kept},
        "left_out": list(notes),
        **to_dict(results),
    }


if __name__ == "__main__":
    sys.exit(main())
