"""Alternative transcripts of spliced genes, with probabilities.

The grammar's legal structures that differ from a gene by one step are its alternatives: an exon
left out, an intron kept, another donor or acceptor, as far as the per-base heads hold that site
likely. The decoder reads the window's row of labels with each of them in the gene's place; their
likelihoods and the gene's own are brought to a sum of 1. So the share of a transcript is the
probability that it is the gene's annotated structure, if it is one of those that were tried. It
says how unsure the network is of the structure; how much of which transcript a cell makes is not in
a genome. An alternative lies within the gene, so that genes stay sorted and apart.

Cost: one more window for each spliced gene.

Example:
    isoforms = Isoforms(engine, most=3)
    genes = isoforms.added(0, contig, genes)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from genet5.annotate.engine import Engine
from genet5.annotate.hint_evidence import HintEvidence
from genet5.dataset.per_base import ACCEPTOR, DONOR
from genet5.genome.frames import five_three, in_reading_order, phases, strand_index
from genet5.genome.gene import Cds, Exon, Gene, Transcript
from genet5.genome.io.fasta import AnyContig
from genet5.tokens.cut import GeneIndex
from genet5.tokens.legality import violations
from genet5.tokens.structure import encode_window, order_key
from genet5.tokens.window import Part, WindowGene, WindowStructure, WindowTranscript

LEAST_SHARE = 0.05
"""Alternatives that are less probable are not named."""
MOST_TRIED = 24
_SITES = 4
"""Other sites tried for each donor and acceptor, those that the heads hold likeliest."""
_NEAR_BP = 150
"""They lie so near."""

Intervals: TypeAlias = tuple[tuple[int, int], ...]
"""Coding intervals of a transcript, ascending."""
Edges: TypeAlias = NDArray[np.float32]
"""(L, 8) boundary logits of a window."""


class Isoforms:
    """Adds alternatives to genes.

    Args:
        engine: The model.
        most: Transcripts of a gene, its own included.
        evidence: Hints that the network reads.
    """

    def __init__(self, engine: Engine, most: int, evidence: HintEvidence | None = None) -> None:
        self._engine, self._most, self._evidence = engine, most, evidence

    def added(self, part: int, contig: AnyContig, genes: Sequence[Gene]) -> list[Gene]:
        """Return the genes with their alternatives.

        Args:
            part: Number of the contig in the run.
            contig: What they lie on.
            genes: Sorted by start; those that are whole, spliced and shorter than a window are
                looked at.
        """
        index = GeneIndex(genes)
        return [self._with_alternatives(part, contig, index, gene) for gene in genes]

    def _with_alternatives(
        self, part: int, contig: AnyContig, index: GeneIndex, gene: Gene
    ) -> Gene:
        size, window_bp = len(contig.bases), self._engine.calling.window_bp
        own, code = gene.transcripts[0], gene.genetic_code
        fits = gene.end - gene.start <= window_bp and gene.end <= size
        if code is None or not fits or not _is_simple(own):
            return gene
        start = max(0, min((gene.start + gene.end - window_bp) // 2, size - window_bp))
        end = min(size, start + window_bp)
        bases = contig.bases[start:end]
        hints, where = self._evidence, (part, start, end, size)
        channels = [] if hints is None else [hints.channels(*where)]
        encoded = self._engine.encoded(bases, code, channels)
        parts = tuple((cds.start - start, cds.end - start) for cds in own.cds)
        edges = encoded.boundary_logits[0].float().cpu().numpy()
        options = self._engine.calling.grammar
        others = [
            other
            for other in alternatives(parts, gene.strand, edges)
            if not violations([("cds", *p) for p in other], gene.strand, bases, code, options)
        ][:MOST_TRIED]
        rows = list(self._rows([parts, *others], gene, code, index.cut(start, end)))
        shares = _shares(self._engine.log_likelihoods(encoded, rows))
        best = sorted(zip(shares[1:].tolist(), others, strict=True), reverse=True)
        chosen = [(share, other) for share, other in best if share >= LEAST_SHARE]
        return _gene_with(gene, float(shares[0]), chosen[: self._most - 1], start)

    def _rows(
        self, structures: Sequence[Intervals], gene: Gene, code: int, shown: Sequence[WindowGene]
    ) -> Iterator[NDArray[np.int32]]:
        """Labels of the window with each structure in the place of the first."""
        made = [_window_gene(gene, parts) for parts in structures]
        rest = [other for other in shown if other != made[0]]
        for one in made:
            ordered = tuple(sorted([*rest, one], key=order_key))
            window = WindowStructure(code, self._engine.calling.clade, ordered)
            yield encode_window(window, self._engine.tokenizer.structure)


def alternatives(parts: Intervals, strand: int, edges: Edges) -> list[Intervals]:
    """Return structures one step away, legal or not, each once; by the heads the likeliest first.

    Args:
        parts: Of the gene, in the window.
        strand: +1 or -1.
        edges: The heads' boundary logits.
    """
    kinds = five_three(DONOR, ACCEPTOR, strand)
    left, right = (edges[:, 2 * kind + strand_index(strand)] for kind in kinds)

    def total(structure: Intervals) -> float:
        sites = pairwise(structure)
        return sum(float(left[end - 1] + right[start]) for (_, end), (start, _) in sites)

    return sorted(_steps(parts, left, right), key=total, reverse=True)


def _steps(
    parts: Intervals, left: NDArray[np.float32], right: NDArray[np.float32]
) -> Iterator[Intervals]:
    """Yield structures with an exon left out, an intron kept, or another site.

    Args:
        parts: Of the gene, in the window.
        left: Logits of bases as the last before an intron.
        right: Logits of bases as the first after one.
    """
    for k in range(1, len(parts) - 1):
        yield (*parts[:k], *parts[k + 1 :])
    for k in range(len(parts) - 1):
        yield (*parts[:k], (parts[k][0], parts[k + 1][1]), *parts[k + 2 :])
    for k in range(len(parts) - 1):
        (start, last), (first, end) = parts[k], parts[k + 1]
        for base in _likeliest(left, last - 1, max(start, last - _NEAR_BP), first - 1):
            yield (*parts[:k], (start, base + 1), (first, end), *parts[k + 2 :])
        for base in _likeliest(right, first, last + 1, min(end, first + _NEAR_BP)):
            yield (*parts[:k], (start, last), (base, end), *parts[k + 2 :])


def _likeliest(logits: NDArray[np.float32], own: int, low: int, high: int) -> list[int]:
    """The bases of [low, high) near a site with the highest logits, but for the site itself."""
    low, high = max(low, own - _NEAR_BP), min(high, own + _NEAR_BP)
    order = np.argsort(-logits[low:high], kind="stable") + low
    return [base for base in order[: _SITES + 1].tolist() if base != own][:_SITES]


def _is_simple(transcript: Transcript) -> bool:
    """Whether a transcript is whole, spliced, and coding in all of its exons."""
    exons = tuple(Exon(cds.start, cds.end) for cds in transcript.cds)
    cut = transcript.partial_5 or transcript.partial_3
    return not cut and len(exons) > 1 and exons == transcript.exons


def _window_gene(gene: Gene, parts: Intervals) -> WindowGene:
    written = tuple(Part("cds", start, end - 1) for start, end in parts)
    return WindowGene(gene.type, gene.strand, (WindowTranscript(written),))


def _shares(log_likelihoods: NDArray[np.float64]) -> NDArray[np.float64]:
    weights: NDArray[np.float64] = np.exp(log_likelihoods - log_likelihoods.max())
    weights /= weights.sum()
    return weights


def _gene_with(
    gene: Gene, own_share: float, others: Sequence[tuple[float, Intervals]], offset: int
) -> Gene:
    """The gene with further transcripts, whose scores are shares of its own."""
    if not others:
        return gene
    score = 1.0 if gene.score is None else gene.score
    own = replace(gene.transcripts[0], score=round(own_share * score, 4))
    made = [own]
    for number, (share, parts) in enumerate(others, 2):
        placed = [(start + offset, end + offset) for start, end in parts]
        made.append(
            replace(
                own,
                id=f"{gene.id}.{number}",
                exons=tuple(Exon(start, end) for start, end in placed),
                cds=_with_phases(placed, gene.strand),
                score=round(share * score, 4),
            )
        )
    return replace(gene, transcripts=tuple(made))


def _with_phases(intervals: Sequence[tuple[int, int]], strand: int) -> tuple[Cds, ...]:
    ordered = in_reading_order(intervals, strand)
    found = phases([end - start for start, end in ordered], 0)
    cds = [Cds(start, end, phase) for (start, end), phase in zip(ordered, found, strict=True)]
    return tuple(in_reading_order(cds, strand))
