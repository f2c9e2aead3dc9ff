"""Annotate a whole genome: stream contigs through windows, decode them in batches, stitch, choose, write.

Windows of many contigs are pooled, sorted by length and decoded in batches; results go back to their contigs, which are
finished in the file's order. Memory holds the contigs of one pool, the pieces found, and the genes; nothing grows with the
length of a contig but its bases (one byte each) and its genes. Decoded windows go to a journal beside the output, so a
killed run goes on where it was. The result does not depend on the batch size, up to the rounding of matrix products.

Example:
    summary = annotate_genome(AnnotateConfig(genome=Path("genome.fa.gz"), output=Path("genes.gff3")))
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

import torch

from genet5.annotate.circular import WORDS, is_circular
from genet5.annotate.contig import ContigRun, Selection, gene_of, legal_calls, select_calls
from genet5.annotate.journal import Journal, file_stamp, run_key
from genet5.annotate.pieces import Piece, mirror, piece_of
from genet5.annotate.settings import AnnotateSettings, find_model, load_settings
from genet5.annotate.windows import Window, plan_axis
from genet5.config.annotate import AnnotateConfig
from genet5.config.json_files import config_from_dict, config_to_dict, load_json
from genet5.config.model import ModelConfig
from genet5.decode.greedy import DecodedWindow, decode_windows
from genet5.errors import ConfigError, DataError
from genet5.genome.codes import genetic_code
from genet5.genome.extract import cds_records, protein_records
from genet5.genome.gene import Gene
from genet5.genome.io.fasta import Contig, read_fasta, write_fasta
from genet5.genome.io.formats import format_of_name
from genet5.genome.io.write import write_annotation
from genet5.genome.sequence import Bases, reverse_complement
from genet5.model.files import CONFIG_FILE, WEIGHTS_FILE
from genet5.model.network import GeneT5
from genet5.model.resize import require_fit
from genet5.outputs import atomic_writer, is_stream
from genet5.progress import BaseProgress
from genet5.tokens.grammar import GrammarOptions
from genet5.tokens.tokenizer_file import Tokenizer, load_tokenizer

log = logging.getLogger(__name__)

_POOL_BATCHES = 8
"""Batches' worth of windows that are sorted by length together."""
_SHORT_FACTOR = 4
"""A batch of short windows may hold this many times more of them."""


@dataclass(frozen=True, kw_only=True)
class Annotator:
    """A model with all it needs to know to decode windows."""

    model: GeneT5
    tokenizer: Tokenizer
    settings: AnnotateSettings
    options: GrammarOptions
    code: int
    batch_size: int
    readings: int = 1

    def start(self, index: int, contig: Contig, circular: bool) -> ContigRun:
        """Lay windows over a contig."""
        axis = plan_axis(
            len(contig.bases), self.settings.window_bp, self.settings.overlap_bp, circular=circular
        )
        return ContigRun(index, contig, axis, self.readings, self.options.introns)

    def decode(self, tasks: Sequence[Task]) -> None:
        """Decode some windows in one batch and give the pieces to their contigs."""
        decoded = decode_windows(
            self.model,
            self.tokenizer,
            [task.bases() for task in tasks],
            [self.code] * len(tasks),
            self.options,
            taxon=self.settings.taxon,
            cores=[task.core() for task in tasks],
            overlooked=self.settings.overlooked,
        )
        for task, found in zip(tasks, decoded, strict=True):
            task.run.put((task.reading, task.window.index), task.pieces(found))


@dataclass(frozen=True)
class Task:
    """One reading of one window."""

    run: ContigRun
    reading: int
    window: Window

    @property
    def length_bp(self) -> int:
        """Length of the window."""
        return self.window.end - self.window.start

    def bases(self) -> Bases:
        """Bases as the model reads them."""
        bases = self.run.bases(self.window)
        return reverse_complement(bases) if self.reading else bases

    def core(self) -> tuple[int, int]:
        """The window's core, in its own coordinates as it is read."""
        low = self.window.core_start - self.window.start
        high = self.window.core_end - self.window.start
        return (self.length_bp - high, self.length_bp - low) if self.reading else (low, high)

    def pieces(self, found: DecodedWindow) -> list[Piece]:
        """Put the decoded genes on the contig."""
        pieces = [
            piece_of(gene, self.window, evidence, starts)
            for gene, evidence, starts in zip(
                found.genes, found.evidence, found.starts, strict=True
            )
        ]
        pieces += [
            piece_of(gene, self.window, evidence, decoded=False)
            for gene, evidence in found.overlooked
        ]
        return [mirror(piece, self.window) for piece in pieces] if self.reading else pieces


def decode_contigs(
    annotator: Annotator,
    contigs: Iterable[Contig],
    progress: BaseProgress,
    *,
    circular: Sequence[str] = (),
    journal: Journal | None = None,
) -> Iterator[ContigRun]:
    """Decode all windows of all contigs; yield the contigs in order, each when its last window is done."""
    open_runs: deque[ContigRun] = deque()
    pool: list[Task] = []
    for index, contig in enumerate(contigs):
        run = annotator.start(index, contig, is_circular(contig, circular))
        open_runs.append(run)
        tasks = _recalled(run, journal)
        progress.add(len(contig.bases) if not tasks else 0)
        for task in tasks:
            pool.append(task)
            if len(pool) >= _POOL_BATCHES * annotator.batch_size:
                _drain(annotator, pool, progress, journal)
        while open_runs and not open_runs[0].waiting:
            yield open_runs.popleft()
    _drain(annotator, pool, progress, journal)
    yield from open_runs


def _recalled(run: ContigRun, journal: Journal | None) -> list[Task]:
    """Give a contig what a former run found; return the tasks that are left."""
    tasks = []
    for reading, index in run.places:
        known = None if journal is None else journal.pieces((run.index, reading, index))
        if known is None:
            tasks.append(Task(run, reading, run.axis.windows[index]))
        else:
            run.put((reading, index), known)
    return tasks


def _drain(
    annotator: Annotator, pool: list[Task], progress: BaseProgress, journal: Journal | None
) -> None:
    """Decode the whole pool, longest windows first."""
    pool.sort(key=lambda task: (-task.length_bp, task.run.index, task.window.index, task.reading))
    for batch in plan_batches(pool, annotator.batch_size, annotator.settings.window_bp):
        annotator.decode(batch)
        for task in batch:
            if journal is not None:
                place = (task.reading, task.window.index)
                journal.add((task.run.index, *place), task.run.pieces_of(place))
            progress.add(_new_bp(task))
        if journal is not None:
            journal.flush()
    pool.clear()


def _new_bp(task: Task) -> int:
    """Bases of the contig that a task stands for: its core's, each base counted once."""
    window, limit = task.window, task.run.axis.contig_bp
    share = min(window.core_end, limit) - min(window.core_start, limit)
    return share if task.reading == task.run.readings - 1 else 0


def plan_batches(tasks: Sequence[Task], batch_size: int, window_bp: int) -> Iterator[list[Task]]:
    """Cut sorted tasks into batches of `batch_size` whole windows, or some more of short ones."""
    batch: list[Task] = []
    for task in tasks:
        full = (len(batch) + 1) * batch[0].length_bp > batch_size * window_bp if batch else False
        if full or len(batch) >= _SHORT_FACTOR * batch_size:
            yield batch
            batch = []
        batch.append(task)
    if batch:
        yield batch


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


@dataclass(frozen=True)
class Plan:
    """A run before it starts."""

    lengths: dict[str, int]
    num_windows: int
    model: Path
    device: str
    batch_size: int
    settings: AnnotateSettings
    code: int
    readings: int

    def __str__(self) -> str:
        s = self.settings
        return (
            f"{len(self.lengths)} contigs, {sum(self.lengths.values()):,} bp; {self.num_windows:,} windows of"
            f" {s.window_bp:,} bp, overlap {s.overlap_bp:,} bp, read {self.readings}x; model {self.model}; genetic"
            f" code {self.code}; grammar {s.grammar.level}, introns {'yes' if s.grammar.introns else 'no'}; {self.device},"
            f" {self.batch_size} windows in a batch"
        )


def plan_genome(config: AnnotateConfig) -> Plan:
    """Read the genome once and settle everything that the flags leave open.

    Raises:
        ConfigError: A flag does not fit the genome or the model.
        DataError: The genome cannot be read.
    """
    folder = find_model(config.model)
    path = folder / CONFIG_FILE
    shape = config_from_dict(ModelConfig, load_json(path), path)
    settings = effective_settings(config, load_settings(folder, shape.max_window_bp))
    code = settings.genetic_code if config.genetic_code is None else config.genetic_code
    genetic_code(code)
    lengths = {contig.name: len(contig.bases) for contig in read_fasta(config.genome)}
    unknown = [name for name in config.circular if name not in WORDS and name not in lengths]
    if unknown:
        raise ConfigError(
            "circular", unknown[0], "must be the name of a contig of the genome, all, auto or none"
        )
    if not sum(lengths.values()):
        raise DataError("no bases in any contig", expected="DNA", path=config.genome)
    readings = 2 if config.both_strands else 1
    windows = sum(
        len(plan_axis(n, settings.window_bp, settings.overlap_bp).windows) for n in lengths.values()
    )
    device = pick_device(config.device)
    size = config.batch_size if isinstance(config.batch_size, int) else auto_batch_size(device)
    return Plan(lengths, windows, folder, device, size, settings, code, readings)


def effective_settings(config: AnnotateConfig, settings: AnnotateSettings) -> AnnotateSettings:
    """Lay the user's flags over the model's settings."""
    grammar = settings.grammar
    if config.introns != "auto":
        grammar = replace(grammar, introns=config.introns == "yes")
    if config.start_codons:
        grammar = replace(grammar, start_codons=tuple(c.upper() for c in config.start_codons))
    if config.grammar is not None:
        grammar = replace(grammar, level=config.grammar)
    overlap_bp, taxon, min_score = config.window_overlap, config.taxon, config.min_score
    return replace(
        settings,
        grammar=grammar,
        overlap_bp=settings.overlap_bp if overlap_bp is None else overlap_bp,
        taxon=settings.taxon if taxon is None else taxon,
        min_score=settings.min_score if min_score is None else min_score,
    )


def pick_device(wanted: str) -> str:
    """Return "cpu" or "cuda".

    Raises:
        ConfigError: cuda is wanted and there is none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device", wanted, "is not available here; use cpu or auto")
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return wanted


def auto_batch_size(device: str) -> int:
    """Windows in a batch: few on CPU (its caches), many on a GPU (its memory decides)."""
    if device == "cpu":
        return 16
    free_bytes, _ = torch.cuda.mem_get_info()
    return int(min(256, max(8, free_bytes // (256 << 20))))


def load_annotator(plan: Plan) -> Annotator:
    """Load the plan's model."""
    require_fit(plan.model)
    model = GeneT5.from_pretrained(plan.model, device=plan.device).eval().requires_grad_(False)
    return Annotator(
        model=model,
        tokenizer=load_tokenizer(plan.model),
        settings=plan.settings,
        options=plan.settings.grammar.options(),
        code=plan.code,
        batch_size=plan.batch_size,
        readings=plan.readings,
    )


def annotate_genome(config: AnnotateConfig) -> Summary:
    """Do everything `genet5 annotate` does."""
    plan = plan_genome(config)
    log.info("%s", plan)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    annotator = load_annotator(plan)
    journal = open_journal(config, plan)
    finished = False
    try:
        with BaseProgress(sum(plan.lengths.values())) as progress:
            contigs = read_fasta(config.genome)
            runs = decode_contigs(
                annotator, contigs, progress, circular=config.circular, journal=journal
            )
            num_genes = _write_all(config, plan, annotator, runs)
        finished = True
    finally:
        if journal is not None:
            journal.close(remove=finished)
    return Summary(
        contigs=len(plan.lengths),
        bases=sum(plan.lengths.values()),
        genes=num_genes,
        seconds=progress.elapsed_s,
        output=config.output,
    )


def _write_all(
    config: AnnotateConfig, plan: Plan, annotator: Annotator, runs: Iterable[ContigRun]
) -> int:
    """Write the genes and the FASTA files that were asked for; return the number of genes."""
    how = Selection(
        settings=plan.settings,
        options=annotator.options,
        code=plan.code,
        min_score=plan.settings.min_score,
        keep_partial=config.partial_genes == "keep",
    )
    genes: list[Gene] = []
    circular: list[str] = []
    with ExitStack() as stack:
        out: TextIO = stack.enter_context(atomic_writer(config.output))
        proteins = stack.enter_context(atomic_writer(config.proteins)) if config.proteins else None
        coding = stack.enter_context(atomic_writer(config.cds)) if config.cds else None
        for run in runs:
            found = _genes(run, how, first_number=len(genes) + 1)
            if proteins is not None:
                write_fasta(proteins, protein_records(run.contig.bases, found, plan.code))
            if coding is not None:
                write_fasta(coding, cds_records(run.contig.bases, found))
            genes += found
            circular += [run.contig.name] if run.axis.circular else []
        write_annotation(
            out,
            format_of_name(config.output) or "gff3",
            genes,
            plan.lengths,
            read_fasta(config.genome),
            default_code=plan.code,
            prokaryote=not plan.settings.grammar.introns,
            circular=circular,
        )
    return len(genes)


def _genes(run: ContigRun, how: Selection, first_number: int) -> list[Gene]:
    selected = select_calls(legal_calls(run, how), how, run.axis)
    return [
        gene_of(call, run.contig.name, f"gene_{first_number + i:06d}", score, how.code)
        for i, (call, score) in enumerate(selected)
    ]


def open_journal(config: AnnotateConfig, plan: Plan) -> Journal | None:
    """The journal beside the output; none for standard output, devices and pipes."""
    if is_stream(config.output):
        return None
    config.output.parent.mkdir(parents=True, exist_ok=True)
    key = run_key(
        genome=file_stamp(config.genome),
        contigs=plan.lengths,
        circular=sorted(config.circular),
        weights=file_stamp(plan.model / WEIGHTS_FILE),
        shape=file_stamp(plan.model / CONFIG_FILE),
        window=[plan.settings.window_bp, plan.settings.overlap_bp],
        grammar=config_to_dict(plan.settings.grammar),
        code=plan.code,
        taxon=plan.settings.taxon,
        overlooked=plan.settings.overlooked,
        readings=plan.readings,
    )
    path = config.output.with_name(config.output.name + ".progress")
    return Journal(path, key, restart=config.restart)
