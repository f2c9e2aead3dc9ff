"""One run of `genet5 annotate`: read a genome, find its genes, write the files.

Decoded windows go to a journal beside the output, so that a killed run resumes where it was. Output
files appear when all is done, never half.

Example:
    config = AnnotateConfig(genome=Path("genome.fa.gz"), output=Path("genes.gff3"))
    summary = annotate_genome(config)
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from genet5 import __version__
from genet5.annotate.journal import FORMAT, Journal, file_stamp, run_key
from genet5.annotate.plan import (
    GenomePlan,
    Machine,
    ModelPlan,
    choose_machine,
    is_circular,
    plan_genome,
    plan_model,
)
from genet5.config.annotate import AUTO_MODEL, AnnotateConfig
from genet5.config.json_files import config_to_dict, save_json
from genet5.errors import ConfigError
from genet5.genome.extract import cds_records, protein_records
from genet5.genome.gene import Gene
from genet5.genome.io.fasta import AnyContig, write_fasta
from genet5.genome.io.formats import format_of_name
from genet5.genome.io.write import AnnotationWriter
from genet5.model.folders import CONFIG_FILE, WEIGHTS_FILE
from genet5.outputs import atomic_writer, is_stream, remove_leftovers
from genet5.progress import BaseProgress
from genet5.tokens.cut import shift_gene
from genet5.train.distributed.place import place_of_process

if TYPE_CHECKING:
    from genet5.annotate.adapt.record import Learned
    from genet5.annotate.annotator import Annotator, GeneBlock
    from genet5.annotate.genome_report import GenomeReport
    from genet5.annotate.windows import WindowPass
    from genet5.decode.window_found import Percents

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
    with plan_genome(config) as plan:
        machine = choose_machine(config.annotator)
        log.info("%s; %s", plan, machine)
        warn_of_kind(plan)
        annotator = load_annotator(plan, machine)
        if config.tracks is not None:
            annotator = annotator.with_percents()
        learned: list[Learned] = []
        with (
            _journaled(config, plan, machine) as journal,
            _with_workers(annotator) as annotators,
            BaseProgress(plan.size.bases) as progress,
            _tracks(config, plan) as tracks,
        ):
            found = annotators.annotate_blocks(
                plan.genome.parts,
                genetic_code=plan.code,
                contig_codes=plan.contig_codes,
                is_circular=lambda contig: _is_circular(contig, config),
                journal=journal,
                on_bases=progress.add,
                on_learned=learned.append,
                on_percents=tracks,
            )
            report = _new_report(config)
            num_genes = _write_all(config, plan, found, report)
        summary = Summary(
            contigs=len(plan.genome.contigs),
            bases=plan.size.bases,
            genes=num_genes,
            seconds=progress.elapsed_s,
            output=config.output,
        )
        if config.record is not None:
            save_json(config.record, _record(config, plan, summary, learned))
        if config.report is not None and report is not None:
            _write_report(report, config.report, plan, summary, learned)
        return summary


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


def _new_report(config: AnnotateConfig) -> GenomeReport | None:
    if config.report is None:
        return None
    from genet5.annotate.genome_report import GenomeReport

    return GenomeReport()


def _write_report(
    report: GenomeReport,
    out: Path,
    plan: GenomePlan,
    summary: Summary,
    learned: Sequence[Learned],
) -> None:
    from genet5.annotate.genome_report import write_report

    facts = [
        ("GC", f"{plan.survey.gc:.1%} (of a sample)"),
        ("kind", plan.survey.kind),
        ("genetic code", str(plan.code)),
        ("model", plan.model.folder.name),
        ("GeneT5", __version__),
        ("time", f"{summary.seconds:.0f} s"),
    ]
    name = summary.output.name
    write_report(
        report,
        out,
        title=f"Genes of {name}" if name != "-" else "Genes",
        facts=facts,
        contigs=plan.genome.contigs,
        learned=learned,
    )


def _record(
    config: AnnotateConfig, plan: GenomePlan, summary: Summary, learned: Sequence[Learned]
) -> dict[str, Any]:
    """What was run, and what was learned from the genome."""
    return {
        "genet5": __version__,
        "settings": config_to_dict(config),
        "model": plan.model.folder.name,
        "genetic_code": plan.code,
        "contig_codes": dict(plan.contig_codes),
        "survey": {
            "gc": plan.survey.gc,
            "operon_share": plan.survey.operon_share,
            "density": plan.survey.density,
            "prokaryote_probability": plan.survey.prokaryote_probability,
            "genetic_code": plan.survey.genetic_code,
        },
        "windows": plan.size.windows,
        "summary": config_to_dict(summary),
        "learned": [one.to_json() for one in learned],
    }


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


def _is_circular(contig: AnyContig, config: AnnotateConfig) -> bool:
    """Whether genes may lie over the origin; the ends of a region are no origin."""
    return not config.region and is_circular(contig, config.circular)


def _write_all(
    config: AnnotateConfig,
    plan: GenomePlan,
    found: Iterable[GeneBlock],
    report: GenomeReport | None,
) -> int:
    """Write the genes and the FASTA files that were asked for; return the number of genes."""
    with ExitStack() as stack:
        writers = [_writer(path, plan, stack) for path in _annotations(config)]
        for writer in writers:
            writer.header(plan.genome.contigs)
        records = _Records(plan, stack, _fasta(config, "faa"), _fasta(config, "ffn"), report)
        for index, blocks in groupby(found, key=lambda block: plan.genome.place(block.index)[0]):
            contig = plan.genome.contigs[index]
            genes: Iterable[Gene] = records.written(contig, blocks)
            if len(writers) > 1:
                genes = list(genes)
            for writer in writers:
                writer.contig(contig, genes, is_circular=_is_circular(contig, config))
    return records.num_genes


def _annotations(config: AnnotateConfig) -> list[Path]:
    """The files that hold genes, the output first."""
    fasta = ("faa", "ffn")
    return [config.output, *(path for kind, path in config.beside.items() if kind not in fasta)]


def _fasta(config: AnnotateConfig, kind: Literal["faa", "ffn"]) -> list[Path]:
    """The files that get proteins (faa) or coding sequences (ffn)."""
    named = config.proteins if kind == "faa" else config.cds
    return [path for path in (named, config.beside.get(kind)) if path is not None]


def _writer(path: Path, plan: GenomePlan, stack: ExitStack) -> AnnotationWriter:
    """Open a file for genes; the stack closes it."""
    return AnnotationWriter(
        stack.enter_context(atomic_writer(path)),
        format_of_name(path) or "gff3",
        default_code=plan.code,
        prokaryote=not plan.model.calling.grammar.introns,
    )


class _Records:
    """Writes FASTA records of genes that pass, counts them, and gives them to the report."""

    def __init__(
        self,
        plan: GenomePlan,
        stack: ExitStack,
        proteins: Sequence[Path],
        cds: Sequence[Path],
        report: GenomeReport | None,
    ) -> None:
        self._plan, self._report = plan, report
        self._proteins = [stack.enter_context(atomic_writer(path)) for path in proteins]
        self._cds = [stack.enter_context(atomic_writer(path)) for path in cds]
        self.num_genes = 0

    def written(self, contig: AnyContig, blocks: Iterable[GeneBlock]) -> Iterator[Gene]:
        """Yield the genes of a contig where they lie on it."""
        for block in blocks:
            _, offset = self._plan.genome.place(block.index)
            genes = [shift_gene(gene, offset) for gene in block.genes] if offset else block.genes
            self.num_genes += len(genes)
            if self._report is not None:
                self._report.add(contig, genes)
            for out in self._proteins:
                write_fasta(out, protein_records(contig.bases, genes, self._plan.code))
            for out in self._cds:
                write_fasta(out, cds_records(contig.bases, genes))
            yield from genes


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
        window=[calling.window_bp, calling.overlap_bp],
        grammar=config_to_dict(calling.grammar),
        code=[plan.code, *sorted(plan.contig_codes.items())],
        clade=calling.clade,
        head_only=calling.head_only,
        strand_passes=plan.model.strand_passes,
        bf16=machine.use_bf16,
        deterministic=machine.deterministic,
        percents=config.tracks is not None,
    )
    path = config.output.with_name(config.output.name + ".progress")
    return Journal(path, key, restart=config.restart)
