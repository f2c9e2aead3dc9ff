"""The files of genes that one run of `annotate` writes: annotations, proteins, coding sequences.

All hold the same genes. They are written contig by contig and appear when all is done, never half.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from genet5.annotate.finish import Finisher
from genet5.annotate.plan import GenomePlan, is_circular
from genet5.annotate.rna.programs import RnaFound
from genet5.config.annotate import AnnotateConfig
from genet5.genome.extract import cds_records, protein_records
from genet5.genome.gene import Gene
from genet5.genome.io.fasta import AnyContig, write_fasta
from genet5.genome.io.formats import format_of_name
from genet5.genome.io.write import AnnotationWriter
from genet5.outputs import atomic_writer
from genet5.tokens.cut import shift_gene

if TYPE_CHECKING:
    from genet5.annotate.annotator import GeneBlock
    from genet5.annotate.genome_report import GenomeReport

FASTA_FORMATS = ("faa", "ffn")
"""Formats that hold sequences of genes, not where they lie."""


def write_genes(
    config: AnnotateConfig,
    plan: GenomePlan,
    found: Iterable[GeneBlock],
    rna: RnaFound,
    report: GenomeReport | None,
    on_contig: Callable[[int], None],
) -> int:
    """Write all files of genes that were asked for; return the number of genes.

    Args:
        config: Names the files.
        plan: Has the contigs.
        found: Genes of the parts of the genome, in order.
        rna: RNA genes of the parts.
        report: Gets the genes, if there is to be one.
        on_contig: Called with the number of genes of each finished contig.
    """
    finisher, of_contig = Finisher(config.locus_tag, config.max_masked), _by_contig(plan, rna)
    with ExitStack() as stack:
        writers = [_writer(path, plan, stack) for path in _annotations(config)]
        for writer in writers:
            writer.header(plan.genome.contigs)
        records = _Records(plan, stack, _fasta(config, "faa"), _fasta(config, "ffn"), report)
        for index, blocks in groupby(found, key=lambda block: plan.genome.place(block.index)[0]):
            contig, before = plan.genome.contigs[index], records.num_genes
            placed = _on_contig(plan, blocks)
            finished = finisher.finished(contig, placed, of_contig.get(index, []))
            genes: Iterable[Gene] = records.written(contig, finished)
            if len(writers) > 1:
                genes = list(genes)
            for writer in writers:
                writer.contig(contig, genes, is_circular=is_round(contig, config))
            on_contig(records.num_genes - before)
    finisher.log()
    return records.num_genes


def is_round(contig: AnyContig, config: AnnotateConfig) -> bool:
    """Whether a contig is circular; a region of it is not."""
    return not config.region and is_circular(contig, config.circular)


def _on_contig(plan: GenomePlan, blocks: Iterable[GeneBlock]) -> Iterator[Gene]:
    """Yield the genes of a contig's parts where they lie on it."""
    for block in blocks:
        _, offset = plan.genome.place(block.index)
        yield from (shift_gene(gene, offset) for gene in block.genes) if offset else block.genes


def _by_contig(plan: GenomePlan, rna: RnaFound) -> dict[int, list[Gene]]:
    """RNA genes where they lie on their contigs, sorted by start; by the contigs' numbers."""
    found: dict[int, list[Gene]] = {}
    for part in sorted(rna.genes):  # parts of a contig ascend
        index, offset = plan.genome.place(part)
        found.setdefault(index, []).extend(shift_gene(gene, offset) for gene in rna.genes[part])
    return found


def _annotations(config: AnnotateConfig) -> list[Path]:
    """The files that hold genes, the output first."""
    others = (path for kind, path in config.beside.items() if kind not in (*FASTA_FORMATS, "sqn"))
    return [config.output, *others]


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

    def written(self, contig: AnyContig, genes: Iterable[Gene]) -> Iterator[Gene]:
        """Yield the genes of a contig."""
        for gene in genes:
            self.num_genes += 1
            if self._report is not None:
                self._report.add(contig, [gene])
            for out in self._proteins:
                write_fasta(out, protein_records(contig.bases, [gene], self._plan.code))
            for out in self._cds:
                write_fasta(out, cds_records(contig.bases, [gene]))
            yield gene
