#!/usr/bin/env python3
r"""Hold start codons that experiments have shown against those that GeneT5 and pyrodigal call.

Annotated starts are predictions themselves; these are not. Both tools annotate the same sequence in
one run, or give ready GFF3 files. For each tool: genes with the right start, with the right stop
but a start too far upstream or downstream, and those whose stop is not called at all, each share
with its 95 % interval; genes that lie under a call on the other strand; and for each pair of tools
the difference on the same genes (paired bootstrap). Prints Markdown, writes JSON with the names of
all genes that are wrong or missed.

Example:
    python benchmarks/accuracy/verified_starts.py --genomes Escherichia --max_bp 1000000
    python benchmarks/accuracy/verified_starts.py --genomes Escherichia --tools pyrodigal \
        --predictions before=old.gff3 after=new.gff3
"""

from __future__ import annotations

import pathlib
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from machine import ROOT, environment, result_path
from peers import Models, Tool, make_job, run_job, why_not
from start_calls import (
    Outcome,
    VerifiedGene,
    calls_of,
    cut_to,
    judge,
    on_genome,
    read_verified,
)
from start_report import StartResult, markdown, to_dict
from testset import Case, Entry, cut_sizes, species_of

from genet5.cli.parse import run
from genet5.config.json_files import config_to_dict, save_json
from genet5.dataset.sources import read_split_table
from genet5.errors import ConfigError, DataError
from genet5.genome.io.annotation import Annotation
from genet5.genome.io.fasta import read_fasta, write_fasta
from genet5.genome.io.formats import read_annotation
from genet5.genome.sequence import decode_bases
from genet5.outputs import atomic_writer

SUFFIX = ".verified.gff"


@dataclass(frozen=True, kw_only=True, slots=True)
class StartsConfig:
    """Which genomes, and whose calls."""

    genomes: tuple[str, ...] = ()
    """Names of genomes with verified starts, or beginnings of names; by default all."""
    tools: tuple[Tool, ...] = ("pyrodigal", "genet5")
    """Tools that are run."""
    predictions: tuple[str, ...] = ()
    """Ready annotations as NAME=FILE, of the one genome that --genomes chooses."""
    model: tuple[str, ...] = ()
    """Our models as KEY=MODEL, as for bench_peers.py; by default the shipped one."""
    annotate_flags: str = ""
    """More flags for our annotate, as one string."""
    max_bp: int | None = None
    """Take the first N bp of each genome only."""
    data: Path = ROOT.parent / "shared" / "data"
    """Folder with verified_starts/GENOME.verified.gff, splits.tsv and raw/CLADE/GENOME."""
    out: Path | None = None
    """JSON file to write, tables beside it as .md.

    By default benchmarks/results/DATE_cpu_verified_starts.json for a run over
    all genomes, none for other runs."""
    work: Path | None = None
    """Folder to keep the tools' outputs in."""
    reuse: bool = False
    """Take outputs from --work where tool, flags and sequence are the same."""
    note: str = ""
    """What the result file records about the machine, such as: shared, other jobs ran."""

    def __post_init__(self) -> None:
        if self.reuse and self.work is None:
            raise ConfigError("reuse", True, "needs --work, the folder of the earlier run")
        for word in self.predictions:
            if not all(word.partition("=")):
                raise ConfigError("predictions", word, "must be NAME=FILE")

    @property
    def is_whole(self) -> bool:
        """Whether the run covers all genomes as they are."""
        return not (self.genomes or self.max_bp or self.predictions)


def main(argv: Sequence[str] | None = None) -> int:
    summary = "Hold verified start codons against those that GeneT5 and pyrodigal call."
    return run(_bench, StartsConfig, argv, name="verified_starts", description=summary)


def _bench(settings: StartsConfig) -> int:
    folder = settings.data / "verified_starts"
    if not folder.is_dir():
        sys.stdout.write(f"skipped: no {folder}; name the data folder with --data\n")
        return 0
    files = find_files(folder, settings.genomes)
    if settings.predictions and len(files) != 1:
        raise ConfigError("predictions", settings.predictions[0], "needs --genomes with one genome")
    models = Models.parse(settings.model, settings.annotate_flags)
    where = environment("torch", "numpy", "pyrodigal")
    results: list[StartResult] = []
    notes: list[str] = []
    with ExitStack() as stack:
        work = settings.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for path in files:
            case, genes = make_case(path, settings, work)
            for tool in settings.tools:
                if reason := why_not(tool, case.entry, models):
                    notes.append(f"Left out: {tool} on {case.entry.title} ({reason}).")
                    continue
                results.append(run_tool(tool, case, genes, models, work, reuse=settings.reuse))
            results += [_ready(word, case, genes) for word in settings.predictions]
    text = markdown(results, notes)
    sys.stdout.write(text)
    out = settings.out or (result_path("verified_starts") if settings.is_whole else None)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        save_json(out, report(results, settings, where, notes))
        with atomic_writer(out.with_suffix(".md")) as stream:
            stream.write(text)
    return 0


def find_files(folder: Path, genomes: Sequence[str]) -> list[Path]:
    """Return the files of verified genes of the asked genomes.

    Raises:
        DataError: There is none.
    """
    files = sorted(folder.glob(f"*{SUFFIX}"))
    chosen = [path for path in files if not genomes or path.name.startswith(tuple(genomes))]
    if not chosen:
        known = ", ".join(path.name.removesuffix(SUFFIX) for path in files)
        raise DataError(f"no genome {list(genomes)}", expected=f"some of {known}", path=folder)
    return chosen


def make_case(
    verified: Path, settings: StartsConfig, work: Path
) -> tuple[Case, list[VerifiedGene]]:
    """Write a genome's bases into `work` as the tools read them; return its verified genes, too.

    Raises:
        DataError: The genome is missing, or is another one than that of the verified genes.
    """
    genome = verified.name.removesuffix(SUFFIX)
    folders = sorted((settings.data / "raw").glob(f"*/{genome}"))
    if not folders:
        raise DataError(f"no folder raw/CLADE/{genome}", path=settings.data)
    source = folders[0] / "genome.fa.gz"
    contigs = {contig.name: contig.bases for contig in read_fasta(source)}
    genes = on_genome(read_verified(verified), contigs, source)
    sizes = {name: len(bases) for name, bases in contigs.items()}
    if settings.max_bp is not None:
        sizes = cut_sizes(sizes, settings.max_bp)
    work.mkdir(parents=True, exist_ok=True)
    fasta = work / f"{genome}.fa"
    letters = ((name, decode_bases(contigs[name][:size]).upper()) for name, size in sizes.items())
    write_fasta(fasta, letters)
    trained = is_trained(settings.data / "splits.tsv", genome)
    entry = Entry(folders[0].parent.name, genome, ("*",), "chromosome" if trained else "species")
    nothing = Annotation(genes=(), contig_lengths={}, circular=frozenset(), skipped={})
    return Case(entry, fasta, nothing, sizes, genetic_code=11), cut_to(genes, sizes)


def is_trained(table: Path, genome: str) -> bool:
    """Whether any genome of the species is for training."""
    rows = read_split_table(table).rows
    return any(
        "train" in row.values() and species_of(name) == species_of(genome)
        for (_, name), row in rows.items()
    )


def run_tool(
    tool: Tool,
    case: Case,
    genes: Sequence[VerifiedGene],
    models: Models,
    work: Path,
    *,
    reuse: bool,
) -> StartResult:
    """Run a tool on the genome and judge its calls."""
    job = make_job(tool, case, models, work)
    cost = run_job(job, reuse=reuse)
    return StartResult(case.entry, job.label, job.own_species, _judged(job.output, genes), cost)


def _ready(word: str, case: Case, genes: Sequence[VerifiedGene]) -> StartResult:
    """Judge a ready annotation."""
    name, _, path = word.partition("=")
    return StartResult(case.entry, name, "", _judged(Path(path), genes), None)


def _judged(path: Path, genes: Sequence[VerifiedGene]) -> list[Outcome]:
    return judge(genes, calls_of(read_annotation(path).genes))


def report(
    results: Sequence[StartResult],
    settings: StartsConfig,
    where: dict[str, Any],
    notes: Sequence[str],
) -> dict[str, Any]:
    """Return what goes into the JSON file."""
    asked = config_to_dict(settings)
    kept = ("genomes", "tools", "annotate_flags", "max_bp", "reuse")
    names = [word.partition("=")[0] for word in settings.predictions]
    return {
        "what": "verified start codons, beside those that are called",
        **where,
        "note": settings.note,
        "settings": {name: asked[name] for name in kept} | {"predictions": names},
        "left_out": list(notes),
        **to_dict(results),
    }


if __name__ == "__main__":
    sys.exit(main())
