"""One run of `genet5 annotate`: read a genome, find its genes, write the files.

Decoded windows go to a journal beside the output, so that a killed run resumes where it was. Output
files appear when all is done, never half.

Example:
    config = AnnotateConfig(genome=Path("genome.fa.gz"), output=Path("genes.gff3"))
    summary = annotate_genome(config)
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from genet5.annotate.journal import FORMAT, Journal, file_stamp, run_key
from genet5.annotate.plan import GenomePlan, Machine, choose_machine, is_circular, plan_genome
from genet5.config.annotate import AnnotateConfig
from genet5.config.json_files import config_to_dict
from genet5.genome.extract import cds_records, protein_records
from genet5.genome.gene import Gene
from genet5.genome.io.fasta import Contig, read_fasta, write_fasta
from genet5.genome.io.formats import format_of_name
from genet5.genome.io.regions import IndexedFasta
from genet5.genome.io.write import write_annotation
from genet5.model.folders import CONFIG_FILE, WEIGHTS_FILE
from genet5.outputs import atomic_writer, is_stream
from genet5.progress import BaseProgress
from genet5.tokens.cut import shift_gene

if TYPE_CHECKING:
    from genet5.annotate.annotator import Annotator

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
    """Return what a run would do."""
    plan = plan_genome(config)
    return f"{plan}; {choose_machine(config.annotator)}"


def annotate_genome(config: AnnotateConfig) -> Summary:
    """Do everything `genet5 annotate` does.

    Raises:
        ConfigError: A flag does not fit the genome, the model or the machine.
        DataError: The genome cannot be read.
        CheckpointError: The model cannot be used.
    """
    plan = plan_genome(config)
    machine = choose_machine(config.annotator)
    log.info("%s; %s", plan, machine)
    annotator = load_annotator(plan, machine)
    journal = open_journal(config, plan, machine)
    finished = False
    try:
        with BaseProgress(plan.num_bases) as progress:
            found = annotator.annotate_contigs(
                _contigs(config, plan),
                genetic_code=plan.code,
                is_circular=lambda contig: _is_circular(contig, config),
                journal=journal,
                on_bases=progress.add,
            )
            num_genes = _write_all(config, plan, _on_contigs(found, plan))
        finished = True
    finally:
        if journal is not None:
            journal.close(remove=finished)
    return Summary(
        contigs=len(plan.lengths),
        bases=plan.num_bases,
        genes=num_genes,
        seconds=progress.elapsed_s,
        output=config.output,
    )


def load_annotator(plan: GenomePlan, machine: Machine) -> Annotator:
    """Load the plan's model; this is where PyTorch starts."""
    from genet5.annotate.annotator import Annotator
    from genet5.annotate.engine import load_engine

    return Annotator(load_engine(plan.model, machine), plan.model)


def _contigs(config: AnnotateConfig, plan: GenomePlan) -> Iterator[Contig]:
    """Read what is annotated: whole contigs, or regions as contigs of their own."""
    if not plan.regions:
        yield from read_fasta(config.genome)
        return
    with IndexedFasta(config.genome) as fasta:
        for region in plan.regions:
            yield Contig(region.contig, fasta.bases(region))


def _on_contigs(
    found: Iterable[tuple[Contig, list[Gene]]], plan: GenomePlan
) -> Iterator[tuple[Contig, list[Gene]]]:
    """Put the genes of regions where they lie on their contigs; other bases are left 0."""
    if not plan.regions:
        yield from found
        return
    for region, (part, genes) in zip(plan.regions, found, strict=True):
        bases = np.zeros(plan.lengths[region.contig], dtype=np.uint8)
        bases[region.start : region.end] = part.bases
        yield Contig(region.contig, bases), [shift_gene(gene, region.start) for gene in genes]


def _is_circular(contig: Contig, config: AnnotateConfig) -> bool:
    """Whether genes may lie over the origin; the ends of a region are no origin."""
    return not config.region and is_circular(contig, config.circular)


def _write_all(
    config: AnnotateConfig, plan: GenomePlan, found: Iterable[tuple[Contig, list[Gene]]]
) -> int:
    """Write the genes and the FASTA files that were asked for; return the number of genes."""
    genes: list[Gene] = []
    circular: list[str] = []
    with ExitStack() as stack:
        out = stack.enter_context(atomic_writer(config.output))
        proteins = stack.enter_context(atomic_writer(config.proteins)) if config.proteins else None
        coding = stack.enter_context(atomic_writer(config.cds)) if config.cds else None
        for contig, some in found:
            if proteins is not None:
                write_fasta(proteins, protein_records(contig.bases, some, plan.code))
            if coding is not None:
                write_fasta(coding, cds_records(contig.bases, some))
            genes += some
            circular += [contig.name] if _is_circular(contig, config) else []
        write_annotation(
            out,
            format_of_name(config.output) or "gff3",
            genes,
            plan.lengths,
            (contig for contig in read_fasta(config.genome) if contig.name in plan.lengths),
            default_code=plan.code,
            prokaryote=not plan.model.calling.grammar.introns,
            circular=circular,
        )
    return len(genes)


def open_journal(config: AnnotateConfig, plan: GenomePlan, machine: Machine) -> Journal | None:
    """Open the journal beside the output; there is none for standard output, devices and pipes."""
    if is_stream(config.output):
        return None
    config.output.parent.mkdir(parents=True, exist_ok=True)
    calling = plan.model.calling
    key = run_key(
        journal=FORMAT,
        genome=file_stamp(config.genome),
        contigs=plan.lengths,
        regions=[str(region) for region in plan.regions],
        circular=sorted(config.circular),
        weights=file_stamp(plan.model.folder / WEIGHTS_FILE),
        shape=file_stamp(plan.model.folder / CONFIG_FILE),
        window=[calling.window_bp, calling.overlap_bp],
        grammar=config_to_dict(calling.grammar),
        code=plan.code,
        clade=calling.clade,
        head_only=calling.head_only,
        strand_passes=plan.model.strand_passes,
        bf16=machine.use_bf16,
    )
    path = config.output.with_name(config.output.name + ".progress")
    return Journal(path, key, restart=config.restart)
