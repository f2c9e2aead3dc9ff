"""Placement of a genome's windows: over whole contigs, or around genes.

*Whole genome*: every contig is tiled, in each pass with another phase. *Gene-centric*: a window of
the clade's size lies at a random offset around each chosen gene; a gene that is longer than the
window is tiled with windows that cut it; and gene-free windows come from between the genes. Chosen
validation genes get gene-centric windows in both modes, and training windows that share a base with
one of these are left out.

All choices depend on the seed and on names alone; the cost is some microseconds a window.

Example:
    >>> around(100, 160, window_bp=80, length_bp=1000, rng=np.random.default_rng(0))
    [(97, 177)]
    >>> around(100, 160, window_bp=40, length_bp=1000, rng=np.random.default_rng(0))
    [(97, 137), (137, 177)]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from genet5.dataset.genome_task import SPLITS, GenomeResult, GenomeTask
from genet5.dataset.sources import Split
from genet5.dataset.targets import ContigGenes, written_span
from genet5.genome.gene import Gene
from genet5.genome.tiling import ContigTiling

_SHORTEST_GAP = 4  # a gap between genes is a gene-free window if it holds a fourth of one


@dataclass(frozen=True, slots=True)
class WindowPlace:
    """Place of a window: a half-open interval of a contig, and a strand."""

    start: int
    end: int
    strand: int
    split: Split
    recoded: bool = False


WindowPlaces = dict[str, list[WindowPlace]]
"""Contig -> its windows in the order in which they are made."""


def place_windows(
    task: GenomeTask,
    genes: Mapping[str, ContigGenes],
    result: GenomeResult,
    chosen: Sequence[Gene] = (),
) -> WindowPlaces:
    """Place the windows of a genome.

    Args:
        task: What is baked.
        genes: The genes of each contig.
        result: Counts what is left out.
        chosen: Genes of training contigs that get validation windows.
    """
    planner = _Planner(task, genes, result)
    if task.gene_quota is None:
        spans = {name: planner.tiling(name) for name in task.splits}
    else:
        spans = planner.round_genes(task.gene_quota, chosen)
    if chosen:
        planner.set_apart(spans, chosen)
    if task.config.negatives is not None and task.gene_quota is None:
        for split in SPLITS:
            planner.limit_negatives(spans, split)
    if task.config.negatives and task.gene_quota is not None:
        for split in SPLITS:
            planner.add_negatives(spans, split, chosen)
    return spans


def around(
    start: int,
    end: int,
    *,
    window_bp: int,
    length_bp: int,
    rng: np.random.Generator,
    overlap_bp: int = 0,
) -> list[tuple[int, int]]:
    """Return windows with a gene: one at a random offset around it, or several that tile it.

    Args:
        start: First base of the gene.
        end: One past its last base.
        window_bp: Bases of a window.
        length_bp: Bases of the contig; a window is shorter only where the contig is.
        rng: Decides the place.
        overlap_bp: Bases that the windows over a long gene share.
    """
    step = window_bp - overlap_bp
    number = max(1, -(-(end - start - overlap_bp) // step))
    whole_bp = number * step + overlap_bp
    first = int(rng.integers(end - whole_bp, start, endpoint=True))
    first = max(min(first, length_bp - whole_bp), 0)
    stops = [min(first + i * step + window_bp, length_bp) for i in range(number)]
    return [(first + i * step, stop) for i, stop in enumerate(stops)]


def gene_free(
    taken: Sequence[tuple[int, int]], *, window_bp: int, length_bp: int, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """Windows that share no base with what is taken: as many as fit side by side, at random places.

    Args:
        taken: Intervals in any order; they may overlap.
        window_bp: Bases of a window; a gap that holds a fourth of it is one shorter window.
        length_bp: Bases of the contig.
        rng: Decides the places.
    """
    found, before = [], 0
    for start, end in [*sorted(taken), (length_bp, length_bp)]:
        gap = min(start, length_bp) - before
        if window_bp > gap >= window_bp / _SHORTEST_GAP:
            found.append((before, before + gap))
        elif gap >= window_bp:
            number = gap // window_bp
            first = before + int(rng.integers(0, gap - number * window_bp, endpoint=True))
            found += [(first + i * window_bp, first + (i + 1) * window_bp) for i in range(number)]
        before = max(before, end)
    return found


def share_evenly(numbers: Sequence[int], limit: int) -> list[int]:
    """Divide a limit among genomes as evenly as their numbers of genes allow.

    Example:
        >>> share_evenly([100, 10, 100], 90)
        [40, 10, 40]
    """
    shares, left = [0] * len(numbers), limit
    order = sorted(range(len(numbers)), key=lambda index: numbers[index])
    for position, index in enumerate(order):
        shares[index] = min(numbers[index], left // (len(order) - position))
        left -= shares[index]
    return shares


class _Planner:
    def __init__(
        self, task: GenomeTask, genes: Mapping[str, ContigGenes], result: GenomeResult
    ) -> None:
        self.task, self.genes, self.result = task, genes, result
        self.config = task.config
        self.window_bp = task.config.window_bp(task.source.clade)

    def tiling(self, contig: str) -> list[WindowPlace]:
        """All windows of a contig: passes, strands."""
        rng, split = self.task.rng("windows", contig), self.task.splits[contig]
        step = self.window_bp - self.config.window_overlap
        spans = []
        for number in range(self._passes(split)):
            phase = int(step * (number + rng.random()) / self._passes(split)) if number else 0
            tiling = ContigTiling.stepped(
                self.task.lengths[contig],
                self.window_bp,
                overlap_bp=self.config.window_overlap,
                phase_bp=phase,
            )
            for tile in tiling.tiles:
                spans += self._stranded(tile.start, tile.end, split, rng)
        return spans

    def round_genes(self, quota: int, chosen: Sequence[Gene]) -> WindowPlaces:
        """Place windows around genes drawn from the whole genome, except the chosen ones."""
        apart = {id(gene) for gene in chosen}
        genes = [
            (name, gene)
            for name in self.task.splits
            for gene in self.genes[name].whole
            if id(gene) not in apart
        ]
        drawn = self.task.rng("genes", "").permutation(len(genes))[:quota]
        self.result.count("centre genes", "got windows", len(drawn))
        self.result.count("centre genes", "beyond the clade's limit", len(genes) - len(drawn))
        spans: WindowPlaces = {name: [] for name in self.task.splits}
        rngs = {name: self.task.rng("round genes", name) for name in spans}
        for index in sorted(drawn.tolist()):
            name, gene = genes[index]
            split = self.task.splits[name]
            for _ in range(self._passes(split)):
                spans[name] += self._round(gene, name, split, rngs[name])
        return spans

    def set_apart(self, spans: WindowPlaces, chosen: Sequence[Gene]) -> None:
        """Add validation windows around the chosen genes; drop overlapping training windows."""
        for name in spans:
            rng = self.task.rng("validation genes", name)
            held = [
                span
                for gene in chosen
                if gene.contig == name
                for span in self._round(gene, name, "validation", rng)
            ]
            kept = [s for s in spans[name] if s.split != "training" or not _meets(s, held)]
            dropped = len(spans[name]) - len(kept)
            self.result.count("windows", "left out: overlap a validation gene's window", dropped)
            spans[name] = kept + held

    def limit_negatives(self, spans: WindowPlaces, split: Split) -> None:
        """Leave out gene-free windows by chance until they are at most the wanted share."""
        shows = self._shows(spans, split)
        empty = [(name, i) for name in shows for i, shown in shows[name].items() if not shown]
        with_gene = sum(sum(shown.values()) for shown in shows.values())
        keep = min(len(empty), self._wanted(with_gene))
        order = self.task.rng("negatives", split).permutation(len(empty))
        dropped = {empty[index] for index in order[keep:].tolist()}
        self.result.count("windows", "left out: surplus without a gene", len(dropped))
        for name in shows:
            spans[name] = [s for i, s in enumerate(spans[name]) if (name, i) not in dropped]

    def add_negatives(self, spans: WindowPlaces, split: Split, chosen: Sequence[Gene]) -> None:
        """Add windows between genes up to the wanted share, or until there is no room."""
        rng = self.task.rng("negatives", split)
        free = [
            (name, interval)
            for name in spans
            if self.task.splits[name] == split
            for interval in self._free(name, spans[name] if chosen else (), rng)
        ]
        wanted = self._wanted(sum(s.split == split for own in spans.values() for s in own))
        used = sorted(rng.permutation(len(free))[:wanted].tolist())
        self.result.count("windows", "gene-free, added", len(used))
        self.result.count("windows", "gene-free, wanted but no room", wanted - len(used))
        for index in used:
            name, (start, end) = free[index]
            spans[name] += self._stranded(start, end, split, rng)

    def _free(
        self, name: str, spans: Sequence[WindowPlace], rng: np.random.Generator
    ) -> list[tuple[int, int]]:
        genes = [(max(gene.start, 0), gene.end) for gene in self.genes[name].targets]
        held = [(span.start, span.end) for span in spans if span.split == "validation"]
        return gene_free(
            genes + held, window_bp=self.window_bp, length_bp=self.task.lengths[name], rng=rng
        )

    def _round(
        self, gene: Gene, name: str, split: Split, rng: np.random.Generator
    ) -> Iterator[WindowPlace]:
        start, end = written_span(gene, self.config)
        intervals = around(
            start,
            end,
            window_bp=self.window_bp,
            length_bp=self.task.lengths[name],
            rng=rng,
            overlap_bp=self.config.window_overlap,
        )
        self.result.count("windows", "over genes longer than a window", _more_than_one(intervals))
        for interval in intervals:
            yield from self._stranded(*interval, split, rng)

    def _stranded(
        self, start: int, end: int, split: Split, rng: np.random.Generator
    ) -> list[WindowPlace]:
        """The window on a strand by chance, on both or on the forward one."""
        strand = 1 if self.config.strands != "random" or rng.random() < 0.5 else -1
        span = WindowPlace(start, end, strand, split)
        return [span, replace(span, strand=-1)] if self.config.strands == "both" else [span]

    def _passes(self, split: Split) -> int:
        return self.config.passes if split == "training" else 1

    def _wanted(self, with_gene: int) -> int:
        share = self.config.negatives or 0.0
        return round(with_gene * share / (1 - share))

    def _shows(self, spans: WindowPlaces, split: Split) -> dict[str, dict[int, bool]]:
        """For each contig: windows of a split by index, and whether they show a target."""
        shows = {}
        for name, own in spans.items():
            at = [i for i, span in enumerate(own) if span.split == split]
            if at:
                intervals = np.array([(own[i].start, own[i].end) for i in at])
                shown = self.genes[name].has_gene(intervals).tolist()
                shows[name] = dict(zip(at, shown, strict=True))
        return shows


def _more_than_one(intervals: Sequence[tuple[int, int]]) -> int:
    return len(intervals) if len(intervals) > 1 else 0


def _meets(span: WindowPlace, held: Sequence[WindowPlace]) -> bool:
    return any(other.start < span.end and span.start < other.end for other in held)
