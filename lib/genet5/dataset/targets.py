"""Sort a genome's genes by what baking does with them: write, ignore or leave out, by contig.

A target is a regular gene of a type that the tokenizer knows; the labels write it. Pseudogenes,
partial genes and genes with exceptions are ignored: no loss is taken from their bases. Every gene
is counted under one cause. Targets that violate the grammar are written with weight 0
(`GrammarCheck`).

Example:
    annotation = read_genes(task)
    genes = sort_genes(task, annotation, result)["chr1"].targets
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from genet5.config.bake import BakeConfig
from genet5.config.clades import traits_of
from genet5.dataset.genome_task import GenomeResult, GenomeTask
from genet5.dataset.windows import NO_INTERVALS
from genet5.errors import DataError
from genet5.genome.codes import parse_contig_codes
from genet5.genome.gene import Gene
from genet5.genome.io.annotation import Annotation
from genet5.genome.io.formats import read_annotation
from genet5.genome.sequence import Bases
from genet5.tokens.cut import GeneIndex, wrapped_genes
from genet5.tokens.legality import Violation
from genet5.tokens.rules import GrammarOptions
from genet5.tokens.structure import begin_key
from genet5.tokens.vocabulary import StructureVocabulary
from genet5.tokens.window import WindowGene


@dataclass(slots=True)
class ContigGenes:
    """The genes of one contig by what they are for."""

    length_bp: int
    genetic_code: int
    targets: tuple[Gene, ...]
    """Genes that the labels write, by start; those over the origin also as a copy before base 0."""
    coding: tuple[Gene, ...]
    """All genes with a CDS, pseudogenes too."""
    ignore: NDArray[np.int32]
    """(n, 2) intervals of genes that are neither written nor denied."""
    index: GeneIndex

    @property
    def whole(self) -> tuple[Gene, ...]:
        """The targets that do not run over the origin: those that a window can show whole."""
        return tuple(g for g in self.targets if g.start >= 0 and g.end <= self.length_bp)

    def has_gene(self, spans: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which intervals (n, 2) show a target."""
        starts = np.sort(np.array([gene.start for gene in self.targets], dtype=np.int64))
        ends = np.sort(np.array([gene.end for gene in self.targets], dtype=np.int64))
        begun = np.searchsorted(starts, spans[:, 1], side="left")
        ended = np.searchsorted(ends, spans[:, 0], side="right")
        return np.asarray(begun > ended)

    def ignored_in(self, start: int, end: int) -> NDArray[np.int32]:
        """Intervals of a window to ignore, in the window's coordinates."""
        if not len(self.ignore):
            return NO_INTERVALS
        near = self.ignore[(self.ignore[:, 0] < end) & (self.ignore[:, 1] > start)]
        return np.clip(near, start, end) - np.int32(start)


@dataclass
class GrammarCheck:
    """Which genes of a contig the grammar refuses.

    A gene with a violation anywhere is refused in all its windows, also where they do not show
    it. A gene is checked when a window first shows it.
    """

    index: GeneIndex
    bases: Bases
    """(L,) the contig."""
    genetic_code: int
    options: GrammarOptions
    weights: NDArray[np.float32] | None = None
    """(genes,) weight of each gene by its number (`gene_weights`); None = 1."""
    violations: dict[int, tuple[Violation, ...]] = field(default_factory=dict)
    """By number in the index, of the genes that were shown."""

    def label_weights(
        self,
        labels: NDArray[np.int32],
        shown: Sequence[tuple[int, WindowGene]],
        vocabulary: StructureVocabulary,
    ) -> NDArray[np.float32]:
        """(T,) Weights of a window's labels: 0 for genes that the grammar refuses, else the gene's.

        Args:
            labels: (T,) the window's labels.
            shown: Its genes with their numbers, in the order of the labels.
            vocabulary: The labels'.
        """
        weights = np.ones(len(labels), dtype=np.float32)
        if shown:
            begins = np.flatnonzero(labels >= vocabulary.first_type)
            sizes = np.diff(np.append(begins, len(labels) - 1))
            of_genes = np.array(self._legal(shown), dtype=np.float32)
            if self.weights is not None:
                of_genes *= self.weights[[number for number, _ in shown]]
            weights[begins[0] : -1] = np.repeat(of_genes, sizes)
        return weights

    def _legal(self, shown: Sequence[tuple[int, WindowGene]]) -> list[bool]:
        """Which genes are legal; of legal genes that begin alike only the first can be written."""
        begun: set[tuple[object, ...]] = set()
        legal = []
        for number, gene in shown:
            if number not in self.violations:
                self.violations[number] = self.index.violations(
                    number, self.bases, self.genetic_code, self.options
                )
            begin = begin_key(gene)
            legal.append(not self.violations[number] and begin not in begun)
            if legal[-1]:
                begun.add(begin)
        return legal


def count_targets(task: GenomeTask) -> int:
    """Number of a genome's genes around which windows could be laid."""
    annotation = read_genes(task)
    genes = sort_genes(task, annotation, GenomeResult(task.source))
    return sum(len(contig.whole) for contig in genes.values())


def read_genes(task: GenomeTask) -> Annotation:
    """Read a genome's annotation as the settings ask."""
    config = task.config
    return read_annotation(
        task.source.gff, skip_bad=config.skip_bad, stop_codon_outside=config.stop_codon_outside
    )


def sort_genes(
    task: GenomeTask, annotation: Annotation, result: GenomeResult
) -> dict[str, ContigGenes]:
    """Sort the genes of each contig that is baked, and count them by cause in the result.

    Raises:
        DataError: A gene lies on a contig that the FASTA file lacks, and `skip_bad` is off.
    """
    by_contig: dict[str, list[Gene]] = {name: [] for name in task.splits}
    for gene in annotation.genes:
        if gene.contig in by_contig:
            by_contig[gene.contig].append(gene)
        elif gene.contig not in task.lengths:
            if not task.config.skip_bad:
                raise _unknown_contig(task, gene, annotation)
            result.count("skipped records", "unknown contig")
    return {name: _sorted(task, genes, name, result) for name, genes in by_contig.items()}


def written_span(gene: Gene, config: BakeConfig) -> tuple[int, int]:
    """Return the interval of a gene that labels can write: its CDS, or with UTRs all of it."""
    if config.utr or not gene.is_coding:
        return gene.start, gene.end
    chosen = gene.transcripts if config.isoforms > 1 else (gene.canonical,)
    coding = [cds for transcript in chosen for cds in transcript.cds]
    return min(cds.start for cds in coding), max(cds.end for cds in coding)


def _unknown_contig(task: GenomeTask, gene: Gene, annotation: Annotation) -> DataError:
    return DataError(
        f'contig "{gene.contig}" (gene "{gene.id}")',
        expected=f"a contig of {task.source.fasta.name}",
        path=task.source.gff,
        line=annotation.contig_lines.get(gene.contig),
        remedy="Do FASTA and annotation belong together? --skip_bad leaves such genes out",
    )


def _sorted(
    task: GenomeTask, genes: Sequence[Gene], name: str, result: GenomeResult
) -> ContigGenes:
    config, length_bp = task.config, task.lengths[name]
    targets, ignore = [], []
    for gene in genes:
        use, cause = _use(task, gene)
        result.count("genes", cause)
        if use == "target":
            targets.append(gene)
        elif use == "ignore":
            ignore.append(gene)
    index = GeneIndex(
        wrapped_genes(targets, length_bp),
        utr=config.utr,
        isoforms=config.isoforms,
        noncoding=config.noncoding,
    )
    unwritable = {gene.id: gene for gene, _ in index.left_out}
    result.count("genes", "ignored: overlapping parts", len(unwritable))
    targets = [gene for gene in targets if gene.id not in unwritable]
    ignore += unwritable.values()
    over_origin = sum(gene.end > length_bp for gene in targets)
    result.count("genes over the origin", "shown cut at both ends of the contig", over_origin)
    intervals = [(max(g.start, 0), g.end) for g in wrapped_genes(ignore, length_bp)]
    return ContigGenes(
        length_bp=length_bp,
        genetic_code=_genetic_code(task, name, genes),
        targets=wrapped_genes(targets, length_bp),
        coding=tuple(gene for gene in genes if gene.canonical.cds),
        ignore=np.array(sorted(intervals), dtype=np.int32).reshape(-1, 2),
        index=index,
    )


def _use(task: GenomeTask, gene: Gene) -> tuple[str, str]:
    """What a gene is for (target, ignore or nothing), and the cause under which it is counted."""
    known = gene.type in task.tokenizer.structure.gene_types
    if gene.is_coding and gene.is_regular:
        if not traits_of(task.source.clade).introns and _has_intron(gene):
            return "ignore", "ignored: intron or frame shift in a prokaryote"
        if known:
            return "target", "targets: coding"
        return "ignore", f"ignored: type {gene.type} is not in the tokenizer"
    if gene.is_coding:
        best = gene.canonical
        partial = best.partial_5 or best.partial_3
        return "ignore", "ignored: " + ("partial" if partial else best.exceptions[0])
    if task.config.noncoding and known:
        return "target", f"targets: {gene.type}"
    if gene.pseudo:
        return "ignore", "ignored: pseudogene"
    return "nothing", f"left out: {gene.type}"


def _genetic_code(task: GenomeTask, contig: str, genes: Sequence[Gene]) -> int:
    by_contig = parse_contig_codes(task.config.contig_codes)
    if contig in by_contig:
        return by_contig[contig]
    if task.config.genetic_code is not None:
        return task.config.genetic_code
    codes = Counter(gene.genetic_code for gene in genes if gene.genetic_code is not None)
    if codes:
        return min(codes, key=lambda code: (-codes[code], code))
    return traits_of(task.source.clade).genetic_code


def _has_intron(gene: Gene) -> bool:
    return any(left.end != right.start for left, right in pairwise(gene.canonical.cds))
