"""Baking one genome: GFF3 and FASTA to windows with targets, spilled to one-window rows on disk.

One task is one genome and runs in one process; what it does depends on the configuration, the seed
and the genome's name alone. First the windows of all contigs are placed from lengths and genes;
then contigs stream by, and each window is cut, labelled, checked against the grammar and tokenized.
What an earlier run finished is taken from `dataset.spills`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genet5.config.bake import BakeConfig
from genet5.config.clades import traits_of
from genet5.dataset.difficulty import choose, contig_points
from genet5.dataset.gene_weights import gene_weights
from genet5.dataset.genome_task import GenomeResult, GenomeTask
from genet5.dataset.header import Header
from genet5.dataset.packed import PackedWriter
from genet5.dataset.placement import WindowPlace, place_windows
from genet5.dataset.recode import SOURCE_CODE, TARGET_CODE, recode_contig
from genet5.dataset.sources import Source, Split
from genet5.dataset.spills import load_finished, save_finished, spill_path
from genet5.dataset.starts import start_labels
from genet5.dataset.targets import ContigGenes, GrammarCheck, read_genes, sort_genes
from genet5.dataset.windows import Window, reverse_intervals
from genet5.genome.frames import strand_sign
from genet5.genome.gene import Gene
from genet5.genome.io.fasta import read_fasta
from genet5.genome.sequence import Bases, on_strand
from genet5.genome.translation import TranslationCheck
from genet5.tokens.rules import GrammarOptions, prokaryote_options
from genet5.tokens.structure import encode_window
from genet5.tokens.window import WindowGene, WindowStructure

_NO_LABEL_LIMIT = 1 << 16


def bake_genome(task: GenomeTask) -> GenomeResult:
    """Bake one genome into spill files, one for each split that has windows."""
    result = GenomeResult(task.source)
    with result.clock("hash"):
        result.hashes = file_hashes(task.source)
    finished = load_finished(task, result.hashes) if task.resume else None
    if finished is not None:
        return finished
    _Baker(task, result).bake()
    save_finished(task, result)
    return result


def file_hashes(source: Source) -> dict[str, str]:
    """Return the SHA-256 of a genome's files, as headers of packed files have them."""
    return {"fasta_sha256": _hash_file(source.fasta), "gff_sha256": _hash_file(source.gff)}


class _Baker:
    def __init__(self, task: GenomeTask, result: GenomeResult) -> None:
        self.task, self.config, self.result = task, task.config, result
        self.vocabulary = task.tokenizer.structure
        self.options = grammar_options(task.config, task.source.clade, self.vocabulary.gene_types)
        self.genes: Mapping[str, ContigGenes] = {}
        self.writers: dict[Split, PackedWriter] = {}
        self.translation = TranslationCheck()

    def bake(self) -> None:
        result, task = self.result, self.task
        with result.clock("read GFF3"):
            annotation = read_genes(task)
        for cause, number in annotation.skipped.items():
            result.count("skipped records", cause, number)
        with result.clock("sort genes"):
            self.genes = sort_genes(task, annotation, result)
        chosen = self._validation_genes() if self.config.valid_genes else []
        with result.clock("plan"):
            spans = place_windows(task, self.genes, result, chosen)
        with ExitStack() as stack:
            self.stack = stack
            contigs = read_fasta(task.source.fasta)
            while True:
                with result.clock("read FASTA"):
                    contig = next(contigs, None)
                if contig is None:
                    break
                if spans.get(contig.name):
                    self._bake_contig(contig.name, contig.bases, spans[contig.name])
        self._report_translation()

    def _validation_genes(self) -> list[Gene]:
        """Choose hard, normal and easy genes of the training contigs.

        This reads the FASTA file once more, for splice sites.
        """
        genes: list[Gene] = []
        points: list[float] = []
        with self.result.clock("choose validation genes"):
            for contig in read_fasta(self.task.source.fasta):
                if self.task.splits.get(contig.name) == "training":
                    own = [gene for gene in self.genes[contig.name].whole if gene.is_coding]
                    genes += own
                    points += contig_points(own, contig.bases)
        wanted = self.config.valid_genes
        chosen = choose(points, wanted, self.task.rng("validation genes", ""))
        for difficulty, indices in chosen.items():
            named = [_gene_name(genes[index]) for index in indices]
            self.result.validation_genes[difficulty] = named
            self.result.count("validation genes", difficulty, len(indices))
            missing = wanted - len(indices)
            self.result.count("validation genes", f"{difficulty}, wanted but too few", missing)
        return [genes[index] for indices in chosen.values() for index in indices]

    def _report_translation(self) -> None:
        check = self.translation
        self.result.count("translation", "complete CDS", check.cds)
        self.result.count("translation", "CDS that do not translate", check.untranslated)
        self.result.count("translation", "CDS that end before their stop codon", check.before_stop)
        check.log(self.task.source.id)

    def _bake_contig(self, name: str, bases: Bases, spans: Sequence[WindowPlace]) -> None:
        with self.result.clock("check translation"):
            self.translation.contig_codes = {name: self.genes[name].genetic_code}
            self.translation.add(name, bases, self.genes[name].whole)
        self._write(name, bases, spans, self.genes[name].genetic_code)
        share = self.config.recode_share
        training = [span for span in spans if span.split == "training"]
        if share and training and self.genes[name].genetic_code == SOURCE_CODE:
            self._recode(name, bases, training)

    def _recode(self, name: str, bases: Bases, spans: Sequence[WindowPlace]) -> None:
        genes, rng = self.genes[name], self.task.rng("recode", name)
        with self.result.clock("recode"):
            regular = [gene for gene in genes.targets if gene.is_coding]
            recoded = recode_contig(bases, regular, genes.coding, rng)
        bad = np.array(recoded.spoiled, dtype=np.int64).reshape(-1, 2)
        fit = [s for s in spans if not ((bad[:, 0] < s.end) & (bad[:, 1] > s.start)).any()]
        wanted = int(self.config.recode_share * len(spans) + rng.random())
        chosen = sorted(rng.permutation(len(fit))[:wanted].tolist())
        self.result.count("windows", "recoded copies", len(chosen))
        self.result.count("windows", "recoded copies wanted but spoiled", wanted - len(chosen))
        copies = [replace(fit[i], recoded=True) for i in chosen]
        self._write(name, recoded.bases, copies, TARGET_CODE)

    def _write(self, name: str, bases: Bases, spans: Sequence[WindowPlace], code: int) -> None:
        index = self.genes[name].index
        of_genes = gene_weights(index.genes, bases, self.config)
        check = GrammarCheck(index, bases, code, self.options, of_genes)
        for span in spans:
            for window in self._windows(name, span, check):
                self._store(window, span.split)

    def _windows(self, name: str, span: WindowPlace, check: GrammarCheck) -> Iterator[Window]:
        """The window of a span; its halves where it has too many tokens."""
        clock, genes, code = self.result.clock, self.genes[name], check.genetic_code
        own = check.bases[span.start : span.end]
        with clock("tokenize"):
            own = on_strand(own, span.strand)
            ids, starts = self.task.tokenizer.sequence.encode(own)
        if len(ids) > self.config.hard_limit:
            self.result.count("windows", "halved: more tokens than the hard limit")
            middle = (span.start + span.end) // 2
            for start, end in ((span.start, middle), (middle, span.end)):
                yield from self._windows(name, replace(span, start=start, end=end), check)
            return
        with clock("label"):
            numbered = genes.index.numbered_cut(span.start, span.end, reverse=span.strand < 0)
            shown = tuple(gene for _, gene in numbered)
            clade = self.task.source.clade
            structure = WindowStructure(code, clade if self.config.clade_token else None, shown)
            labels = encode_window(structure, self.vocabulary)
            ignore = genes.ignored_in(span.start, span.end)
            if span.strand < 0:
                ignore = reverse_intervals(ignore, len(own))
        with clock("grammar"):
            weights = check.label_weights(labels, numbered, self.vocabulary)
        self._count_window(shown, ignore, weights)
        if self.task.source.genome in self.config.unsure_starts:
            unsure = [found.label for found in start_labels(labels, shown, self.vocabulary)]
            weights[unsure] = 0
            self.result.count("labels", "weight 0: the start is unsure", len(unsure))
        yield Window(
            bases=own,
            input_ids=ids,
            token_start_bp=starts,
            labels=labels,
            label_weights=weights,
            ignore=ignore,
            genetic_code=code,
            clade=clade,
            genome=self.task.source.genome,
            contig=name,
            start=span.start,
            strand=span.strand,
            recoded=span.recoded,
        )

    def _count_window(
        self,
        shown: Sequence[WindowGene],
        ignore: NDArray[np.int32],
        weights: NDArray[np.float32],
    ) -> None:
        count = self.result.count
        count("windows", "written")
        count("windows", "without a gene", int(not shown))
        count("windows", "with ignored intervals", int(len(ignore) > 0))
        cut = sum(gene.transcripts[0].cut_left or gene.transcripts[0].cut_right for gene in shown)
        count("window genes", "whole", len(shown) - cut)
        count("window genes", "cut by an edge", cut)
        weightless = int((weights == 0).sum())
        count("labels", "weight 0: the grammar calls the gene illegal", weightless)
        count("windows", "with an illegal gene", int(weightless > 0))

    def _store(self, window: Window, split: Split) -> None:
        result = self.result
        with result.clock("write"):
            if split not in self.writers:
                path = spill_path(self.task, split)
                self.writers[split] = self.stack.enter_context(PackedWriter(path, Header()))
                result.spills[split] = path
            self.writers[split].write_row((window,))
            result.add(split, window)


def grammar_options(config: BakeConfig, clade: str, gene_types: tuple[str, ...]) -> GrammarOptions:
    """Return the grammar that a clade's reference genes are checked against."""
    types = gene_types if config.noncoding else ("protein_coding",)
    if not traits_of(clade).introns:
        return prokaryote_options(
            level=config.grammar, gene_types=types, max_labels=_NO_LABEL_LIMIT
        )
    return GrammarOptions(
        level=config.grammar,
        utr=config.utr,
        isoforms=config.isoforms,
        gene_types=types,
        max_labels=_NO_LABEL_LIMIT,
    )


def _gene_name(gene: Gene) -> str:
    """A gene as the report names it, 1-based as in GFF3."""
    return f"{gene.id} {gene.contig}:{gene.start + 1}-{gene.end}({strand_sign(gene.strand)})"


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
