"""From candidates to genes: those that are legal, probable enough, and compatible with each other.

Example:
    rules = SelectionRules(calling=config, code=11)
    for candidate, score in select_candidates(legal_candidates(block, rules), rules, contig_bp):
        gene = gene_of(candidate, "chr1", "gene_000001", score, code=11)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genet5.annotate.block import Block
from genet5.annotate.calling_config import CallingConfig
from genet5.annotate.candidate import GeneCandidate
from genet5.annotate.gene_score import feature_table, gene_log_odds, probability
from genet5.annotate.hint_score import HintIndex
from genet5.annotate.overlaps import are_compatible, choose_compatible
from genet5.decode.fragment import merge_touching
from genet5.genome.frames import (
    five_three,
    in_reading_order,
    leftmost_frame,
    phase_from_left,
    phases,
)
from genet5.genome.gene import Cds, Exon, Gene, Transcript
from genet5.genome.sequence import AnyBases
from genet5.tokens.grammar import GrammarOptions
from genet5.tokens.legality import Violation, violations


@dataclass(frozen=True, kw_only=True)
class SelectionRules:
    """How candidates become genes."""

    calling: CallingConfig
    code: int
    """NCBI number of the genetic code."""
    keep_partial: bool = True
    """Whether genes that run over the end of a contig are kept."""
    hints: HintIndex | None = None
    """What adds to the odds of candidates that agree with it."""
    part: int = 0
    """Number of the contig in the run, by which hints know its place."""


def legal_candidates(block: Block, rules: SelectionRules) -> list[GeneCandidate]:
    """Return the block's candidates that keep all rules, whatever their score."""
    least, bases = rules.calling.min_coding_bp, block.contig.bases
    return [
        candidate
        for candidate in block.candidates
        if (rules.keep_partial or not candidate.is_partial)
        and (candidate.coding_bp == 0 or candidate.coding_bp >= least)
        and candidate.end - candidate.start <= len(bases)
        and not candidate_violations(candidate, bases, rules.code, rules.calling.grammar)
    ]


def candidate_violations(
    candidate: GeneCandidate, contig_bases: AnyBases, code: int, options: GrammarOptions
) -> tuple[Violation, ...]:
    """Return what a candidate violates: one that was joined of legal fragments could."""
    return violations(
        candidate.parts,
        candidate.strand,
        contig_bases,
        code,
        options,
        open_left=candidate.partial_left,
        open_right=candidate.partial_right,
        frame=candidate.frame,
    )


def select_candidates(
    candidates: Sequence[GeneCandidate], rules: SelectionRules, contig_bp: int
) -> list[tuple[GeneCandidate, float]]:
    """Return the best compatible set of candidates with their probabilities.

    Args:
        candidates: Of one contig, sorted by start.
        rules: Scores, threshold and overlaps.
        contig_bp: Length of the contig.
    """
    kept, p = select_indices(candidates, rules, contig_bp)
    return [(candidates[i], float(p[i])) for i in kept]


def select_indices(
    candidates: Sequence[GeneCandidate], rules: SelectionRules, contig_bp: int
) -> tuple[list[int], NDArray[np.float64]]:
    """Return the indices of the best compatible set, ascending, and the probability of every one.

    Args:
        candidates: Of one contig, sorted by start.
        rules: Scores, threshold and overlaps.
        contig_bp: Length of the contig.
    """
    odds = gene_log_odds(rules.calling.scoring, feature_table(candidates))
    if rules.hints is not None:
        odds = odds + rules.hints.log_odds(rules.part, candidates)
    scores = (odds - _logit(rules.calling.min_score)).tolist()
    chosen = choose_compatible(candidates, scores, rules.calling.overlaps)
    kept = _without_rivals_over_origin(candidates, scores, chosen, rules, contig_bp)
    return kept, probability(odds)


def _without_rivals_over_origin(
    candidates: Sequence[GeneCandidate],
    scores: Sequence[float],
    chosen: list[int],
    rules: SelectionRules,
    contig_bp: int,
) -> list[int]:
    """Drop the worse of genes over a circular contig's origin and rivals at its start."""
    dropped: set[int] = set()
    for i in (i for i in chosen if candidates[i].end > contig_bp):
        over = candidates[i].moved(-contig_bp)
        for j in (j for j in chosen if j != i and candidates[j].start < over.end):
            first, second = sorted((over, candidates[j]), key=lambda c: c.start)
            if not are_compatible(first, second, rules.calling.overlaps):
                dropped.add(i if scores[i] < scores[j] else j)
    return [i for i in chosen if i not in dropped]


def gene_of(
    candidate: GeneCandidate,
    contig: str,
    name: str,
    score: float,
    code: int,
    *,
    start_alternatives: int = 0,
) -> Gene:
    """Make a gene of a candidate.

    Its score is the probability that it is right: that of its 3' end, times that of its start where
    starts have probabilities.

    Args:
        candidate: The gene's structure.
        contig: Name of its contig.
        name: The gene's ID.
        score: Probability that there is a gene with this 3' end (without introns) or structure.
        code: NCBI number of its genetic code.
        start_alternatives: How many other starts are named at most.
    """
    start_score = None if math.isnan(candidate.start_score) else candidate.start_score
    partial_5, partial_3 = five_three(
        candidate.partial_left, candidate.partial_right, candidate.strand
    )
    is_coding = candidate.coding_bp > 0
    transcript = Transcript(
        id=f"{name}.1",
        exons=_exons(candidate),
        cds=_cds(candidate),
        type="mRNA" if is_coding else candidate.type,
        partial_5=partial_5,
        partial_3=partial_3,
    )
    return Gene(
        id=name,
        contig=contig,
        strand=candidate.strand,
        transcripts=(transcript,),
        type=candidate.type,
        pseudo=candidate.type == "pseudogene",
        genetic_code=code if is_coding else None,
        score=round(score if start_score is None else score * start_score, 4),
        start_score=None if start_score is None else round(start_score, 4),
        start_alternatives=_other_starts(candidate, start_alternatives),
    )


def _other_starts(candidate: GeneCandidate, most: int) -> tuple[tuple[int, float], ...]:
    """The most probable other starts: bases downstream of the chosen one, and probability."""
    if math.isnan(candidate.start_score):
        return ()
    own = candidate.start_base
    others = [(candidate.strand * (base - own), p) for base, p in candidate.starts if base != own]
    others.sort(key=lambda other: -other[1])
    return tuple((offset, round(p, 4)) for offset, p in others[:most] if round(p, 4) > 0)


def _exons(candidate: GeneCandidate) -> tuple[Exon, ...]:
    """Parts that touch, of whatever kind, are one exon."""
    same_kind = [part._replace(kind="exon") for part in candidate.parts]
    return tuple(Exon(part.start, part.end) for part in merge_touching(same_kind))


def _cds(candidate: GeneCandidate) -> tuple[Cds, ...]:
    """Coding intervals with GFF3 phases."""
    strand = candidate.strand
    blocks = [part for part in candidate.parts if part.kind == "cds"]
    partial_5, _ = five_three(candidate.partial_left, candidate.partial_right, strand)
    frame = candidate.frame if candidate.partial_left else leftmost_frame(strand)
    phase = phase_from_left(frame, candidate.coding_bp, strand) if partial_5 and blocks else 0
    ordered = in_reading_order(blocks, strand)
    found = phases([block.end - block.start for block in ordered], phase)
    cds = [Cds(b.start, b.end, p) for b, p in zip(ordered, found, strict=True)]
    return tuple(in_reading_order(cds, strand))


def _logit(probability: float) -> float:
    p = min(max(probability, 1e-6), 1 - 1e-6)
    return math.log(p / (1 - p))
