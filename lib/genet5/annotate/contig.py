"""One contig on its way from decoded windows to genes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from genet5.annotate.calling_config import CallingConfig
from genet5.annotate.gene_score import feature_table, gene_log_odds, probability
from genet5.annotate.merge import Call, Merger
from genet5.annotate.pieces import Piece
from genet5.annotate.select import are_compatible, choose_calls
from genet5.annotate.stitch import Joiner
from genet5.annotate.windows import Axis, Window, is_blank
from genet5.genome.frames import (
    five_three,
    in_reading_order,
    leftmost_frame,
    phase_from_left,
    phases,
)
from genet5.genome.gene import Cds, Exon, Gene, Transcript
from genet5.genome.io.fasta import Contig
from genet5.genome.sequence import Bases
from genet5.tokens.grammar import GrammarOptions
from genet5.tokens.legality import Violation, violations

Place = tuple[int, int]
"""Strand pass (0 forward, 1 reverse complement) and index of the window."""


@dataclass
class ContigWork:
    """Takes pieces of the contig's windows in any order; gives its genes once all are there."""

    index: int
    contig: Contig
    axis: Axis
    code: int
    """NCBI number of its genetic code."""
    strand_passes: int = 1
    spliced: bool = False
    """Whether genes may have introns."""
    waiting: set[Place] = field(default_factory=set)
    """Windows whose pieces are not there yet."""

    def __post_init__(self) -> None:
        self._pieces: dict[Place, Sequence[Piece]] = {}
        for window in self.axis.windows:
            if not is_blank(self.bases(window)):
                self.waiting |= {
                    (strand_pass, window.index) for strand_pass in range(self.strand_passes)
                }
        self._places = sorted(self.waiting, key=lambda place: (place[1], place[0]))

    @property
    def places(self) -> list[Place]:
        """Windows to decode, left to right; those without any known base are left out."""
        return list(self._places)

    def bases(self, window: Window) -> Bases:
        """Return the window's bases."""
        return self.axis.bases(self.contig.bases, window)

    def put(self, place: Place, pieces: Sequence[Piece]) -> None:
        """Take a window's pieces."""
        self._pieces[place] = pieces
        self.waiting.discard(place)

    def pieces_of(self, place: Place) -> Sequence[Piece]:
        """Return the pieces of a window that is done."""
        return self._pieces[place]

    def calls(self) -> list[Call]:
        """Stitch all pieces; sorted by start."""
        merger = Merger(self.axis, spliced=self.spliced)
        joiners = [(Joiner(self.axis), Joiner(self.axis)) for _ in range(self.strand_passes)]
        for strand_pass, index in self._places:
            window, pieces = self.axis.windows[index], self._pieces[strand_pass, index]
            written = [p for p in pieces if p.decoded or not self.spliced]
            on_path = [p for p in pieces if not p.decoded and self.spliced]
            merger.add_sightings(window, pieces, strand_pass)
            merger.add_candidates(joiners[strand_pass][0].add(window, written))
            merger.add_candidates(joiners[strand_pass][1].add(window, on_path), on_paths=True)
        return merger.calls()


@dataclass(frozen=True, kw_only=True)
class Selection:
    """How calls become genes."""

    calling: CallingConfig
    code: int
    keep_partial: bool = True


def legal_calls(work: ContigWork, how: Selection) -> list[Call]:
    """Return the contig's calls that keep all rules, whatever their score."""
    least = how.calling.min_coding_bp
    return [
        call
        for call in work.calls()
        if (how.keep_partial or not (call.partial_left or call.partial_right))
        and (call.coding_bp == 0 or call.coding_bp >= least)
        and call.end - call.start <= work.axis.contig_bp
        and not call_violations(call, work.contig.bases, how.code, how.calling.grammar)
    ]


def call_violations(
    call: Call, contig_bases: Bases, code: int, options: GrammarOptions
) -> tuple[Violation, ...]:
    """Return what a call violates: one joined from several windows could, where each fragment is legal."""
    return violations(
        call.parts, call.strand, contig_bases, code, options,
        open_left=call.partial_left, open_right=call.partial_right, frame=call.frame,
    )  # fmt: skip


def select_calls(calls: Sequence[Call], how: Selection, axis: Axis) -> list[tuple[Call, float]]:
    """Return the best compatible set of calls with their probabilities."""
    odds = gene_log_odds(how.calling.scoring, feature_table(calls))
    worths = (odds - _logit(how.calling.min_score)).tolist()
    chosen = choose_calls(calls, worths, how.calling.overlaps)
    kept = _without_rivals_over_origin(calls, worths, chosen, how, axis)
    return [(calls[i], float(probability(odds[i]))) for i in kept]


def _without_rivals_over_origin(
    calls: Sequence[Call], worths: Sequence[float], chosen: list[int], how: Selection, axis: Axis
) -> list[int]:
    """Drop, of genes over a circular contig's origin and genes at its start that contradict each other, the worse."""
    dropped: set[int] = set()
    for i in (i for i in chosen if calls[i].end > axis.contig_bp):
        over = shifted(calls[i], -axis.contig_bp)
        for j in (j for j in chosen if j != i and calls[j].start < over.end):
            first, second = sorted((over, calls[j]), key=lambda call: call.start)
            if not are_compatible(first, second, how.calling.overlaps):
                dropped.add(i if worths[i] < worths[j] else j)
    return [i for i in chosen if i not in dropped]


def shifted(call: Call, by: int) -> Call:
    """Return the call moved along its contig."""
    parts = tuple(p._replace(start=p.start + by, end=p.end + by) for p in call.parts)
    return replace(call, parts=parts)


def gene_of(call: Call, contig: str, name: str, score: float, code: int) -> Gene:
    """Make a gene of a call."""
    open_5, open_3 = call.partial_left, call.partial_right
    if call.strand < 0:
        open_5, open_3 = open_3, open_5
    exons: list[Exon] = []
    for part in call.parts:
        if exons and exons[-1].end == part.start:
            exons[-1] = Exon(exons[-1].start, part.end)
        else:
            exons.append(Exon(part.start, part.end))
    transcript = Transcript(
        id=f"{name}.1",
        exons=tuple(exons),
        cds=_cds(call),
        type="mRNA" if call.coding_bp else call.type,
        partial_5=open_5,
        partial_3=open_3,
    )
    return Gene(
        id=name,
        contig=contig,
        strand=call.strand,
        transcripts=(transcript,),
        type=call.type,
        pseudo=call.type == "pseudogene",
        genetic_code=code if call.coding_bp else None,
        score=round(score, 4),
    )


def _cds(call: Call) -> tuple[Cds, ...]:
    """Coding pieces with GFF3 phases."""
    blocks = [part for part in call.parts if part.kind == "cds"]
    open_5, _ = five_three(call.partial_left, call.partial_right, call.strand)
    frame = call.frame if call.partial_left else leftmost_frame(call.strand)
    phase = phase_from_left(frame, call.coding_bp, call.strand) if open_5 and blocks else 0
    reading = in_reading_order(blocks, call.strand)
    found = phases([block.end - block.start for block in reading], phase)
    pieces = [Cds(b.start, b.end, p) for b, p in zip(reading, found, strict=True)]
    return tuple(in_reading_order(pieces, call.strand))


def _logit(probability: float) -> float:
    p = min(max(probability, 1e-6), 1 - 1e-6)
    return math.log(p / (1 - p))
