"""Baking one genome: GFF3 and FASTA to windows with their targets, spilled to a packed file of one window a row.

One task is one genome and runs in one process; what it does depends on the settings, the seed and the genome's name
alone. First the windows of all contigs are planned from lengths and genes; then contigs stream by, and each window is
cut, labelled, weighed by the grammar and tokenized.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genet5.config.bake import BakeSettings
from genet5.dataset.packed import Header, PackedWriter
from genet5.dataset.recode import SOURCE_CODE, TARGET_CODE, recode_contig
from genet5.dataset.sources import Source, Split
from genet5.dataset.windows import NO_STRETCHES, Window, reverse_stretches, tile
from genet5.errors import DataError
from genet5.genome.annotation import Annotation
from genet5.genome.fasta import read_fasta
from genet5.genome.formats import read_annotation
from genet5.genome.gene import Gene
from genet5.genome.sequence import Bases, reverse_complement
from genet5.tokens.cut import GeneIndex, wrapped_genes
from genet5.tokens.files import Tokenizer
from genet5.tokens.replay import legal_weights
from genet5.tokens.rules import GrammarOptions, prokaryote_options
from genet5.tokens.structure import encode_window
from genet5.tokens.window import WindowGene, WindowStructure

SPLITS: tuple[Split, ...] = ("training", "validation")
_PROKARYOTES = "prokaryotes"
_NO_LABEL_LIMIT = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class GenomeTask:
    """What a worker needs to bake one genome."""

    source: Source
    lengths: Mapping[str, int]
    """Contigs of the FASTA file with their lengths, in its order."""
    splits: Mapping[str, Split]
    """Contigs to bake."""
    settings: BakeSettings
    tokenizer: Tokenizer
    spill: Path
    """Folder and stem of the files to write; the split is appended."""


def _no_seconds() -> defaultdict[str, float]:
    return defaultdict(float)


@dataclass(slots=True)
class GenomeResult:
    """What a worker reports about one genome."""

    source: Source
    spills: dict[Split, Path] = field(default_factory=dict)
    num_tokens: dict[Split, list[int]] = field(default_factory=lambda: {s: [] for s in SPLITS})
    """Encoder tokens of each window."""
    digests: dict[Split, list[bytes]] = field(default_factory=lambda: {s: [] for s in SPLITS})
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    """By topic ("genes", "windows", ...) and cause."""
    sizes: dict[Split, Counter[str]] = field(default_factory=lambda: {s: Counter() for s in SPLITS})
    """Windows, bases, tokens, labels."""
    seconds: dict[str, float] = field(default_factory=_no_seconds)
    """Processor time by stage."""
    hashes: dict[str, str] = field(default_factory=dict)
    """SHA-256 of the FASTA and the GFF file."""

    def count(self, topic: str, cause: str, number: int = 1) -> None:
        """Add to a count."""
        if number:
            self.counts.setdefault(topic, Counter())[cause] += number

    @contextmanager
    def clock(self, stage: str) -> Iterator[None]:
        """Add the block's processor time to a stage."""
        begin = time.process_time()
        yield
        self.seconds[stage] += time.process_time() - begin


@dataclass(frozen=True, slots=True)
class _Span:
    """A window to be made."""

    start: int
    end: int
    strand: int
    recoded: bool = False


@dataclass(slots=True)
class _ContigGenes:
    """The genes of one contig by what they are for."""

    genetic_code: int
    targets: tuple[Gene, ...]
    """Genes that the labels tell; those over the origin also as a copy before base 0."""
    coding: tuple[Gene, ...]
    """All genes with a CDS, pseudogenes too."""
    ignore: NDArray[np.int32]
    """(n, 2) stretches of genes that are neither told nor denied."""
    index: GeneIndex

    def has_gene(self, spans: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which stretches (n, 2) show a target."""
        starts = np.sort(np.array([gene.start for gene in self.targets], dtype=np.int64))
        ends = np.sort(np.array([gene.end for gene in self.targets], dtype=np.int64))
        begun = np.searchsorted(starts, spans[:, 1], side="left")
        ended = np.searchsorted(ends, spans[:, 0], side="right")
        return np.asarray(begun > ended)

    def ignored_in(self, start: int, end: int) -> NDArray[np.int32]:
        """Stretches of a window to ignore, in the window's coordinates."""
        if not len(self.ignore):
            return NO_STRETCHES
        near = self.ignore[(self.ignore[:, 0] < end) & (self.ignore[:, 1] > start)]
        return np.clip(near, start, end) - np.int32(start)


def bake_genome(task: GenomeTask) -> GenomeResult:
    """Bake one genome into spill files, one for each split that has windows."""
    result = GenomeResult(task.source)
    with result.clock("hash"):
        result.hashes = {
            "fasta_sha256": _hash_file(task.source.fasta),
            "gff_sha256": _hash_file(task.source.gff),
        }
    _Baker(task, result).bake()
    return result


class _Baker:
    def __init__(self, task: GenomeTask, result: GenomeResult) -> None:
        self.task, self.settings, self.result = task, task.settings, result
        self.vocabulary = task.tokenizer.structure
        self.options = grammar_options(task.settings, task.source.taxon, self.vocabulary.gene_types)
        self.genes: dict[str, _ContigGenes] = {}
        self.writers: dict[Split, PackedWriter] = {}

    def bake(self) -> None:
        result, task = self.result, self.task
        with result.clock("read GFF3"):
            annotation = read_annotation(task.source.gff, skip_bad=self.settings.skip_bad)
        for cause, number in annotation.skipped.items():
            result.count("skipped records", cause, number)
        self._sort_genes(annotation)
        spans = self._plan()
        with ExitStack() as stack:
            self.stack = stack
            contigs = read_fasta(task.source.fasta)
            while True:
                with result.clock("read FASTA"):
                    contig = next(contigs, None)
                if contig is None:
                    break
                if contig.name in spans:
                    self._bake_contig(contig.name, contig.bases, spans[contig.name])

    def _sort_genes(self, annotation: Annotation) -> None:
        with self.result.clock("sort genes"):
            by_contig: dict[str, list[Gene]] = {name: [] for name in self.task.splits}
            for gene in annotation.genes:
                if gene.contig in by_contig:
                    by_contig[gene.contig].append(gene)
                elif gene.contig not in self.task.lengths:
                    if self.settings.skip_bad:
                        self.result.count("skipped records", "unknown contig")
                        continue
                    raise DataError(
                        f'contig "{gene.contig}" (gene "{gene.id}")',
                        expected=f"a contig of {self.task.source.fasta.name}",
                        path=self.task.source.gff,
                        line=annotation.contig_lines.get(gene.contig),
                        remedy="Do FASTA and annotation belong together? --skip_bad leaves such genes out",
                    )
            for name, genes in by_contig.items():
                self.genes[name] = self._sorted(genes, self.task.lengths[name])

    def _sorted(self, genes: Sequence[Gene], length_bp: int) -> _ContigGenes:
        settings = self.settings
        targets, ignore = [], []
        for gene in genes:
            use, cause = self._use(gene)
            self.result.count("genes", cause)
            if use == "target":
                targets.append(gene)
            elif use == "ignore":
                ignore.append(gene)
        index = GeneIndex(
            wrapped_genes(targets, length_bp),
            utr=settings.utr,
            isoforms=settings.isoforms,
            noncoding=settings.noncoding,
        )
        unwritable = {gene.id: gene for gene, _ in index.left_out}
        self.result.count("genes", "ignored: overlapping parts", len(unwritable))
        targets = [gene for gene in targets if gene.id not in unwritable]
        ignore += unwritable.values()
        stretches = [(max(g.start, 0), g.end) for g in wrapped_genes(ignore, length_bp)]
        return _ContigGenes(
            genetic_code=self._genetic_code(genes),
            targets=wrapped_genes(targets, length_bp),
            coding=tuple(gene for gene in genes if gene.canonical.cds),
            ignore=np.array(sorted(stretches), dtype=np.int32).reshape(-1, 2),
            index=index,
        )

    def _use(self, gene: Gene) -> tuple[str, str]:
        """What a gene is for (target, ignore or nothing), and the cause under which it is counted."""
        known = gene.type in self.vocabulary.gene_types
        if gene.is_coding and gene.is_regular:
            if self.task.source.taxon == _PROKARYOTES and _has_intron(gene):
                return "ignore", "ignored: intron or frame shift in a prokaryote"
            if known:
                return "target", "targets: coding"
            return "ignore", f"ignored: type {gene.type} is not in the tokenizer"
        if gene.is_coding:
            best = gene.canonical
            partial = best.partial_5 or best.partial_3
            return "ignore", "ignored: " + ("partial" if partial else best.exceptions[0])
        if self.settings.noncoding and known:
            return "target", f"targets: {gene.type}"
        if gene.pseudo:
            return "ignore", "ignored: pseudogene"
        return "nothing", f"left out: {gene.type}"

    def _genetic_code(self, genes: Sequence[Gene]) -> int:
        if self.settings.genetic_code is not None:
            return self.settings.genetic_code
        codes = Counter(gene.genetic_code for gene in genes if gene.genetic_code is not None)
        if codes:
            return min(codes, key=lambda code: (-codes[code], code))
        return 11 if self.task.source.taxon == _PROKARYOTES else 1

    def _plan(self) -> dict[str, list[_Span]]:
        """The windows of each contig, by the settings' passes, strands and negatives."""
        with self.result.clock("plan"):
            spans = {name: self._spans(name) for name in self.task.splits}
            if self.settings.negatives is not None:
                for split in SPLITS:
                    self._limit_negatives(spans, split)
        return spans

    def _spans(self, contig: str) -> list[_Span]:
        settings = self.settings
        rng = self._rng("windows", contig)
        passes = settings.passes if self.task.splits[contig] == "training" else 1
        step = settings.window_size - settings.window_overlap
        spans = []
        for number in range(passes):
            phase = int(step * (number + rng.random()) / passes) if number else 0
            stretches = tile(
                self.task.lengths[contig],
                settings.window_size,
                overlap_bp=settings.window_overlap,
                phase_bp=phase,
            )
            for start, end in stretches:
                strand = 1 if settings.strands != "random" or rng.random() < 0.5 else -1
                spans.append(_Span(start, end, strand))
                if settings.strands == "both":
                    spans.append(_Span(start, end, -1))
        return spans

    def _limit_negatives(self, spans: dict[str, list[_Span]], split: Split) -> None:
        """Leave out gene-free windows by chance until they are at most the wanted share."""
        share = self.settings.negatives or 0.0
        names = [name for name in spans if self.task.splits[name] == split and spans[name]]
        shows = {
            name: self.genes[name].has_gene(np.array([(s.start, s.end) for s in spans[name]]))
            for name in names
        }
        empty = [(name, i) for name in names for i in np.flatnonzero(~shows[name]).tolist()]
        with_gene = sum(int(shown.sum()) for shown in shows.values())
        keep = min(len(empty), round(with_gene * share / (1 - share)))
        order = self._rng("negatives", split).permutation(len(empty))
        dropped = {empty[index] for index in order[keep:].tolist()}
        self.result.count("windows", "left out: surplus without a gene", len(dropped))
        for name in names:
            spans[name] = [s for i, s in enumerate(spans[name]) if (name, i) not in dropped]

    def _bake_contig(self, name: str, bases: Bases, spans: Sequence[_Span]) -> None:
        self._write(name, bases, spans, self.genes[name].genetic_code)
        share = self.settings.recode_share
        if (
            share
            and self.task.splits[name] == "training"
            and self.genes[name].genetic_code == SOURCE_CODE
        ):
            self._recode(name, bases, spans)

    def _recode(self, name: str, bases: Bases, spans: Sequence[_Span]) -> None:
        genes, rng = self.genes[name], self._rng("recode", name)
        with self.result.clock("recode"):
            regular = [gene for gene in genes.targets if gene.is_coding]
            recoded = recode_contig(bases, regular, genes.coding, rng)
        bad = np.array(recoded.spoiled, dtype=np.int64).reshape(-1, 2)
        fit = [s for s in spans if not ((bad[:, 0] < s.end) & (bad[:, 1] > s.start)).any()]
        wanted = int(self.settings.recode_share * len(spans) + rng.random())
        chosen = sorted(rng.permutation(len(fit))[:wanted].tolist())
        self.result.count("windows", "recoded copies", len(chosen))
        self.result.count("windows", "recoded copies wanted but spoiled", wanted - len(chosen))
        copies = [_Span(fit[i].start, fit[i].end, fit[i].strand, recoded=True) for i in chosen]
        self._write(name, recoded.bases, copies, TARGET_CODE)

    def _write(self, name: str, bases: Bases, spans: Sequence[_Span], code: int) -> None:
        split = self.task.splits[name]
        for span in spans:
            for window in self._windows(name, bases, span, code):
                self._store(window, split)

    def _windows(self, name: str, bases: Bases, span: _Span, code: int) -> Iterator[Window]:
        """The window of a span; its halves where it has too many tokens."""
        clock, genes = self.result.clock, self.genes[name]
        own = bases[span.start : span.end]
        with clock("tokenize"):
            own = own if span.strand > 0 else reverse_complement(own)
            ids, starts = self.task.tokenizer.sequence.encode(own)
        if len(ids) > self.settings.hard_limit:
            self.result.count("windows", "halved: more tokens than the hard limit")
            middle = (span.start + span.end) // 2
            for start, end in ((span.start, middle), (middle, span.end)):
                yield from self._windows(
                    name, bases, _Span(start, end, span.strand, span.recoded), code
                )
            return
        with clock("label"):
            shown = genes.index.cut(span.start, span.end, reverse=span.strand < 0)
            taxon = self.task.source.taxon
            structure = WindowStructure(code, taxon if self.settings.taxon_token else None, shown)
            labels = encode_window(structure, self.vocabulary)
            ignore = genes.ignored_in(span.start, span.end)
            if span.strand < 0:
                ignore = reverse_stretches(ignore, len(own))
        with clock("grammar"):
            weights = legal_weights(labels, own, code, self.options, self.vocabulary)
        self._count_window(shown, ignore, weights)
        yield Window(
            bases=own,
            input_ids=ids,
            token_start_bp=starts,
            labels=labels,
            label_weights=weights,
            ignore=ignore,
            genetic_code=code,
            taxon=taxon,
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
        count("windows", "with ignored stretches", int(len(ignore) > 0))
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
                path = self.task.spill.with_name(f"{self.task.spill.name}.{split}.arrow")
                self.writers[split] = self.stack.enter_context(PackedWriter(path, Header()))
                result.spills[split] = path
            self.writers[split].write_row((window,))
            result.digests[split].append(window.digest())
            result.num_tokens[split].append(len(window.input_ids))
            result.sizes[split].update(
                windows=1,
                bases=len(window.bases),
                tokens=len(window.input_ids),
                labels=len(window.labels),
            )

    def _rng(self, purpose: str, name: str) -> np.random.Generator:
        """A generator that depends on the seed, the purpose and the names alone."""
        text = f"{self.settings.seed}\t{purpose}\t{self.task.source.id}\t{name}"
        return np.random.default_rng(
            int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")
        )


def grammar_options(
    settings: BakeSettings, taxon: str, gene_types: tuple[str, ...]
) -> GrammarOptions:
    """The grammar that a taxon's reference genes are held against."""
    types = gene_types if settings.noncoding else ("protein_coding",)
    if taxon == _PROKARYOTES:
        return prokaryote_options(
            level=settings.grammar, gene_types=types, max_labels=_NO_LABEL_LIMIT
        )
    return GrammarOptions(
        level=settings.grammar,
        utr=settings.utr,
        isoforms=settings.isoforms,
        gene_types=types,
        max_labels=_NO_LABEL_LIMIT,
    )


def _has_intron(gene: Gene) -> bool:
    return any(left.end != right.start for left, right in pairwise(gene.canonical.cds))


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
