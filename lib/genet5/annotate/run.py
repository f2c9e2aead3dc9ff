"""One run of `genet5 annotate`: read a genome, find its genes, write the files.

Decoded windows go to a journal beside the output, so that a killed run resumes where it was. Output
files appear when all is done, never half.

Example:
    config = AnnotateConfig(genome=Path("genome.fa.gz"), output=Path("genes.gff3"))
    summary = annotate_genome(config)
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from genet5 import __version__
from genet5.annotate.hint_score import HintIndex, read_hint_files
from genet5.annotate.journal import FORMAT, Journal, file_stamp, run_key
from genet5.annotate.output import is_round, write_genes
from genet5.annotate.plan import (
    GenomePlan,
    Machine,
    ModelPlan,
    choose_machine,
    plan_genome,
    plan_model,
)
from genet5.annotate.rna.programs import RnaFound, choose_runs, find_rna
from genet5.annotate.run_record import run_record
from genet5.annotate.submission import write_sqn
from genet5.config.annotate import AUTO_MODEL, AnnotateConfig
from genet5.config.json_files import config_to_dict, save_json
from genet5.errors import ConfigError
from genet5.model.folders import CONFIG_FILE, WEIGHTS_FILE, load_config
from genet5.outputs import is_stream, remove_leftovers
from genet5.progress import BaseProgress
from genet5.score.busco import Lineage
from genet5.train.distributed.place import place_of_process

if TYPE_CHECKING:
    from genet5.annotate.adapt.record import Learned
    from genet5.annotate.annotator import Annotator
    from genet5.annotate.genome_report import GenomeReport
    from genet5.annotate.windows import WindowPass
    from genet5.decode.window_found import Percents
    from genet5.genome.hints import Hint
    from genet5.genome.io.fasta import AnyContig

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a run did."""

    contigs: int
    bases: int
    genes: int
    seconds: float
    output: Path

    def __str__(self) -> str:
        rate = self.bases / max(self.seconds, 1e-9) / 1000
        where = "standard output" if str(self.output) == "-" else str(self.output)
        return (
            f"{self.genes} genes on {self.contigs} contigs ({self.bases / 1e6:.2f} Mbp) in"
            f" {self.seconds:.0f} s ({rate:.0f} kbp/s): {where}"
        )


def describe(config: AnnotateConfig) -> str:
    """Return what a run would do; PyTorch, which knows the devices, is not loaded for it."""
    with plan_genome(config) as plan:
        return f"{plan}; device {config.annotator.device}"


def annotate_genome(config: AnnotateConfig) -> Summary:
    """Do everything `genet5 annotate` does.

    Raises:
        ConfigError: A flag does not fit the genome, the model or the machine.
        DataError: The genome cannot be read.
        CheckpointError: The model cannot be used.
    """
    started = datetime.now(UTC)
    learned: list[Learned] = []
    with plan_genome(config) as plan:
        is_prokaryote = not plan.model.calling.grammar.introns
        runs = choose_runs(config.rna, is_prokaryote=is_prokaryote)
        machine = choose_machine(config.annotator)
        log.info("%s; %s", plan, machine)
        warn_of_kind(plan)
        kingdom = config.rna_kingdom or ("bac" if is_prokaryote else "euk")
        rna = find_rna(
            runs, plan.genome.parts, kingdom=kingdom, code=plan.code,
            is_circular=lambda contig: _may_cross_origin(contig, config, plan),
        )  # fmt: skip
        hints = read_hint_files(config.hints, plan.genome.contigs)
        if hints:
            how = "the network reads them" if reads_hints(plan) else "they choose among candidates"
            log.info("%d hints: %s", len(hints), how)
        with _new_report(config, plan, hints) as report:
            summary = _write_found(config, plan, machine, rna, report, hints, learned.append)
        if "sqn" in config.beside:
            write_sqn(
                config.beside["sqn"], config.beside["tbl"], plan.genome.contigs,
                code_of=plan.code_of, is_circular=lambda contig: is_round(contig, config),
            )  # fmt: skip
        if config.record is not None:
            record = run_record(
                config, plan, machine, started=started, programs=rna.versions,
                summary=config_to_dict(summary), learned=learned,
            )  # fmt: skip
            save_json(config.record, record)
        if config.report is not None and report is not None:
            _write_report(report, config.report, config, plan, summary, learned)
        return summary


def _write_found(
    config: AnnotateConfig,
    plan: GenomePlan,
    machine: Machine,
    rna: RnaFound,
    report: GenomeReport | None,
    hints: Sequence[Hint],
    on_learned: Callable[[Learned], None],
) -> Summary:
    """Find the genes, and write them as they are found."""
    annotator = load_annotator(plan, machine)
    if config.tracks is not None:
        annotator = annotator.with_percents()
    with (
        _journaled(config, plan, machine) as journal,
        _with_workers(annotator) as annotators,
        BaseProgress(plan.size.bases, len(plan.genome.contigs)) as progress,
        _tracks(config, plan) as tracks,
    ):
        found = annotators.annotate_blocks(
            plan.genome.parts,
            genetic_code=plan.code,
            contig_codes=plan.contig_codes,
            is_circular=lambda contig: _may_cross_origin(contig, config, plan),
            journal=journal,
            on_bases=progress.add,
            on_learned=on_learned,
            on_percents=tracks,
            hints=_hint_index(hints, config, plan),
        )
        num_genes = write_genes(config, plan, found, rna, report, progress.add_contig)
    return Summary(
        contigs=len(plan.genome.contigs),
        bases=plan.size.bases,
        genes=num_genes,
        seconds=progress.elapsed_s,
        output=config.output,
    )


def _may_cross_origin(contig: AnyContig, config: AnnotateConfig, plan: GenomePlan) -> bool:
    return is_round(contig, config) and contig.name not in plan.genome.cut


def _hint_index(
    hints: Sequence[Hint], config: AnnotateConfig, plan: GenomePlan
) -> HintIndex | None:
    if not hints:
        return None
    genome = plan.genome

    def place(part: int) -> tuple[str, int]:
        index, offset = genome.place(part)
        return genome.contigs[index].name, offset

    return HintIndex(hints, config.hint_weight, place=place, is_read=reads_hints(plan))


@contextmanager
def _tracks(
    config: AnnotateConfig, plan: GenomePlan
) -> Iterator[Callable[[WindowPass, Percents], None]]:
    """Open the tracks, if they are wanted; what gets the probabilities of windows."""
    if config.tracks is None:
        yield lambda *_: None
        return
    from genet5.annotate.tracks import open_tracks

    with open_tracks(
        config.tracks,
        plan.genome.contigs,
        plan.genome.place,
        spliced=plan.model.calling.grammar.introns,
        strand_passes=plan.model.strand_passes,
    ) as tracks:
        yield tracks.add


@contextmanager
def _new_report(
    config: AnnotateConfig, plan: GenomePlan, hints: Sequence[Hint]
) -> Iterator[GenomeReport | None]:
    if config.report is None:
        yield None
        return
    from genet5.annotate.genome_report import GenomeReport
    from genet5.annotate.report_places import open_places

    with open_places(config.reference, plan.genome.regions, hints) as places:
        report = GenomeReport(places=places, proteins=None if config.busco is None else [])
        yield report
        places.finish()


def _write_report(
    report: GenomeReport,
    out: Path,
    config: AnnotateConfig,
    plan: GenomePlan,
    summary: Summary,
    learned: Sequence[Learned],
) -> None:
    from genet5.annotate.genome_report import write_report
    from genet5.annotate.report_places import probability_tracks

    tracks = []
    if config.genome_view and config.tracks is not None:
        spliced = plan.model.calling.grammar.introns
        tracks = probability_tracks(config.tracks, spliced=spliced)
    facts = [
        ("GC", f"{plan.survey.gc:.1%} (of a sample)"),
        ("kind", plan.survey.kind),
        ("genetic code", str(plan.code)),
        ("model", plan.model.folder.name),
        ("GeneT5", __version__),
        ("time", f"{summary.seconds:.0f} s"),
    ]
    name = summary.output.name
    if config.busco is not None:
        report.score_completeness(Lineage.read(config.busco), config.annotator.threads)
    write_report(
        report,
        out,
        title=f"Genes of {name}" if name != "-" else "Genes",
        facts=facts,
        contigs=plan.genome.contigs,
        learned=learned,
        tracks=tracks,
        has_view=config.genome_view,
    )


def warn_of_kind(plan: GenomePlan) -> None:
    """Warn of a genome that the model does not fit, and of a genetic code that is not the usual."""
    has_introns, is_prokaryote = plan.model.calling.grammar.introns, plan.survey.is_prokaryote
    name = plan.model.folder.name
    if is_prokaryote is False and not has_introns:
        log.warning(
            "this looks like %s, and model %s finds genes without introns only: expect few of its"
            " genes; --model names another model", plan.survey.kind, name,
        )  # fmt: skip
    if is_prokaryote is False and has_introns and not plan.survey.is_compact:
        log.warning(
            "open frames cover %.0f %% of this genome, as in animals and plants: genes with long"
            " introns are likely, and model %s may know few such genes", 100 * plan.survey.density,
            name,
        )  # fmt: skip
    if is_prokaryote and has_introns:
        log.warning(
            "this looks like %s, and model %s looks for introns: --model auto takes the one for"
            " bacteria and archaea", plan.survey.kind, name,
        )  # fmt: skip
    if is_prokaryote and plan.code != (plan.survey.genetic_code or plan.code):
        log.warning(
            "open frames speak for genetic code %d; annotated with %d", plan.survey.genetic_code,
            plan.code,
        )  # fmt: skip


def load_annotator(plan: GenomePlan, machine: Machine) -> Annotator:
    """Load the plan's model; this is where PyTorch starts."""
    from genet5.annotate.annotator import Annotator
    from genet5.annotate.engine import load_engine

    return Annotator(load_engine(plan.model, machine), plan.model)


def decode_for_first(config: AnnotateConfig) -> None:
    """Decode what the first process of the run sends; all but the first call it.

    Raises:
        RankError: Another process failed or died.
    """
    from genet5.annotate.engine import load_engine
    from genet5.annotate.workers import serve
    from genet5.train.distributed.processes import distributed

    engine = load_engine(_model_of(config), choose_machine(config.annotator))
    with distributed("cpu"):
        serve(replace(engine, keeps_percents=config.tracks is not None))


def _model_of(config: AnnotateConfig) -> ModelPlan:
    """The model of a process that does not read the genome but where the model depends on it.

    Raises:
        ConfigError: Standard input, which the first process reads, would have to choose it.
    """
    if config.annotator.model != AUTO_MODEL:
        return plan_model(config.annotator)
    if str(config.genome) == "-":
        rule = "cannot choose by standard input for several processes: name a model"
        raise ConfigError("model", AUTO_MODEL, rule)
    with plan_genome(config) as plan:
        return plan.model


@contextmanager
def _with_workers(annotator: Annotator) -> Iterator[Annotator]:
    """Let the other processes of the run decode as well, if there are any."""
    if place_of_process().is_alone:
        yield annotator
        return
    from genet5.annotate.workers import Workers
    from genet5.train.distributed.processes import distributed

    with distributed("cpu") as ranks:
        yield annotator.with_workers(Workers(ranks.world_size))


@contextmanager
def _journaled(
    config: AnnotateConfig, plan: GenomePlan, machine: Machine
) -> Iterator[Journal | None]:
    """Keep a journal; remove it if no error ends the block. What a killed run left is removed."""
    journal = open_journal(config, plan, machine)
    if journal is None:
        yield None
        return
    if journal.is_resumed:
        for path in filter(None, config.outputs.values()):
            remove_leftovers(path)
    finished = False
    try:
        yield journal
        finished = True
    finally:
        journal.close(remove=finished)


def reads_hints(plan: GenomePlan) -> bool:
    """Whether the network itself reads hints."""
    return load_config(plan.model.folder).evidence_channels > 0


def open_journal(config: AnnotateConfig, plan: GenomePlan, machine: Machine) -> Journal | None:
    """Open the journal beside the output; there is none for standard output, devices and pipes."""
    if is_stream(config.output):
        return None
    config.output.parent.mkdir(parents=True, exist_ok=True)
    calling = plan.model.calling
    key = run_key(
        journal=FORMAT,
        genome=file_stamp(config.genome),
        contigs=plan.size.key,
        regions=[str(region) for region in plan.genome.regions],
        circular=sorted(config.circular),
        weights=file_stamp(plan.model.folder / WEIGHTS_FILE),
        shape=file_stamp(plan.model.folder / CONFIG_FILE),
        window=[calling.window_bp, calling.overlap_bp, calling.segment_windows],
        grammar=config_to_dict(calling.grammar),
        code=[plan.code, *sorted(plan.contig_codes.items())],
        clade=calling.clade,
        head_only=calling.head_only,
        path=config_to_dict(calling.path),
        strand_passes=plan.model.strand_passes,
        bf16=machine.use_bf16,
        deterministic=machine.deterministic,
        percents=config.tracks is not None,
        hints=[file_stamp(path) for path in config.hints if reads_hints(plan)],
    )
    path = config.output.with_name(config.output.name + ".progress")
    return Journal(path, key, restart=config.restart)
