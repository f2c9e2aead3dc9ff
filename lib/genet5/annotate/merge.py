"""Merge what all windows say of one gene into one call.

Candidates with one 3' end on one strand are the same gene. Their windows, and those that show the gene only in part, vote
for its structure: each window that shows the 5' end splits its vote over the 5' ends it thought possible, with more weight
the farther that end lies from the window's edges; a window that shows only the 3' end votes for the structures that go on
beyond its edge. The share of windows that saw the 3' end, among those that could have, is evidence of its own.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from genet5.annotate.pieces import Piece, Stretch, coding_bases
from genet5.annotate.stitch import Candidate
from genet5.annotate.windows import Axis, Window
from genet5.decode.evidence import Evidence

FULL_WEIGHT_BP = 1000
"""A window counts fully for what is this far from its edges."""
_LEAST_WEIGHT = 0.05
_MOST_STRUCTURES = 3
_CHAIN_WEIGHT = 1e-3
"""A joined gene only proposes its structure: the windows it was joined from vote by themselves."""

Parts = tuple[Stretch, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """What all windows together say of one gene."""

    type: str
    strand: int
    parts: tuple[Stretch, ...]
    frame: int
    partial_left: bool
    partial_right: bool
    evidence: Evidence
    """Weighted mean over the windows that saw the gene whole; sums stay sums of one gene."""
    support: float
    """Share (0..1, weighted) of the windows that could show the 3' end and do."""
    structure_share: float
    """Share of the votes that this structure got."""
    path_share: float = 0.0
    """Share (0..1, weighted) of the windows that could show the 3' end whose best path is this very structure."""
    margin: float = 0.0
    """How much more the boundary head says for it than for the best other call on its bases; 0 if there is none."""

    @property
    def start(self) -> int:
        """First base."""
        return self.parts[0].start

    @property
    def end(self) -> int:
        """One past the last base."""
        return self.parts[-1].end

    @property
    def coding_bp(self) -> int:
        """Coding bases."""
        return coding_bases(self.parts)


GeneKey = tuple[str, int, int, int]
"""Type, strand, base of the 3' end, and codon position there (other than the last only where the contig ends)."""


def candidate_key(candidate: Candidate, axis: Axis) -> GeneKey:
    """Name the gene that a candidate shows: candidates with one key are the same gene."""
    if candidate.strand > 0:
        is_cut, coding = candidate.partial_right, coding_bases(candidate.parts)
        frame = (candidate.frame + coding - 1) % 3 if is_cut else 2
    else:
        frame = candidate.frame if candidate.partial_left else 2
    return (candidate.type, candidate.strand, candidate.stop_base % axis.contig_bp, frame)


class Merger:
    """Collects candidates and sightings of an axis; merges them into calls.

    Args:
        axis: Where they lie.
        spliced: Genes may have introns: the structures with most votes become calls of their own, of which one is chosen
            later.
    """

    def __init__(self, axis: Axis, *, spliced: bool = False) -> None:
        self._axis = axis
        self._spliced = spliced
        self._paths: dict[tuple[int, Parts], float] = defaultdict(float)
        self._groups: dict[GeneKey, list[tuple[Candidate, float]]] = defaultdict(list)
        self._seen: dict[tuple[int, int], dict[tuple[int, int], float]] = defaultdict(dict)
        self._starts: dict[tuple[int, int], float] = defaultdict(float)
        self._longer: dict[tuple[int, int], list[tuple[int, float]]] = defaultdict(list)
        self._passes: list[Window] = []

    def add_candidates(self, candidates: Iterable[Candidate], *, on_paths: bool = False) -> None:
        """Take whole candidates that decoders wrote, or that only the per-base heads see.

        Args:
            candidates: From windows or chains of windows.
            on_paths: They lie on best paths, and vote for their 5' ends as the windows of decoded ones do.
        """
        size = self._axis.contig_bp
        for candidate in candidates:
            window = self._axis.windows[candidate.window]
            weight = view_weight(window, candidate.stop_base, self._axis)
            kept = candidate.moved(-size) if candidate.start >= size else candidate
            self._groups[candidate_key(kept, self._axis)].append((kept, weight))
            if on_paths:
                self._paths[kept.strand, kept.parts] += weight
                self._starts[kept.strand, _five(kept.parts, kept.strand) % size] += weight

    def add_sightings(self, window: Window, pieces: Iterable[Piece], reading: int = 0) -> None:
        """Note which ends a window shows, of whole genes and of cut ones; every window must be told of.

        Args:
            window: The window.
            pieces: Its pieces.
            reading: 0, or 1 for a second reading of the same window on its other strand.
        """
        self._passes.append(window)
        for piece in (piece for piece in pieces if piece.parts and piece.decoded):
            left, right = piece.parts[0].start, piece.parts[-1].end - 1
            start, stop = (left, right) if piece.strand > 0 else (right, left)
            if piece.shows_stop:
                key = (piece.strand, stop % self._axis.contig_bp)
                weight = view_weight(window, stop, self._axis)
                self._seen[key][(reading, window.index)] = weight
                if not piece.shows_start:
                    edge = window.start if piece.strand > 0 else window.end - 1
                    self._longer[key].append((abs(stop - edge), weight))
            if piece.shows_start:
                for base, share in piece.starts or ((start, 1.0),):
                    key = (piece.strand, base % self._axis.contig_bp)
                    self._starts[key] += share * view_weight(window, start, self._axis)

    def calls(self) -> list[Call]:
        """Merge; sorted by start, end, strand."""
        weights = _StopWeights(self._passes, self._axis)
        calls = [c for key, group in self._groups.items() for c in self._merge(key, group, weights)]
        calls.sort(key=lambda c: (c.start, c.end, c.strand, c.type, c.parts))
        return with_margins(calls) if self._spliced else calls

    def _merge(
        self, key: GeneKey, members: list[tuple[Candidate, float]], weights: _StopWeights
    ) -> list[Call]:
        seen = self._seen.get((key[1], key[2]), {})
        possible = weights.at(key[2])
        support = min(sum(seen.values()) / possible, 1.0) if possible else 1.0
        calls = []
        for parts, share in self._elect(key, members)[: _MOST_STRUCTURES if self._spliced else 1]:
            alike = [(c, w) for c, w in members if c.parts == parts] or members
            model = alike[0][0]
            told = alike if self._spliced else members
            path = self._paths.get((key[1], parts), 0.0)
            calls.append(
                Call(
                    key[0], key[1], parts, model.frame, model.partial_left, model.partial_right,
                    mean_evidence([c.evidence for c, _ in told], [w for _, w in told]), support, share,
                    min(path / possible, 1.0) if possible else 0.0,
                )
            )  # fmt: skip
        return calls

    def _elect(
        self, key: GeneKey, members: list[tuple[Candidate, float]]
    ) -> list[tuple[Parts, float]]:
        """Rank the structures by votes; return each with its share of them."""
        strand, stop = key[1], key[2]
        # how sure the windows are of all but the 5' end
        shapes: dict[Parts, float] = defaultdict(float)
        for candidate, weight in members:
            for parts in _structures(candidate):
                shapes[parts] += _CHAIN_WEIGHT if candidate.chained else weight
        votes = {}
        for parts, weight in shapes.items():
            five = _five(parts, strand)
            alike = sum(w for other, w in shapes.items() if _five(other, strand) == five)
            start_votes = self._starts.get((strand, five % self._axis.contig_bp), 0.0)
            votes[parts] = (start_votes + _CHAIN_WEIGHT) * weight / alike
        for reach, weight in self._longer.get((strand, stop), ()):
            longer = [p for p in votes if p[-1].end - p[0].start - 1 > reach]
            total = sum(votes[p] for p in longer)
            for parts in longer:
                votes[parts] += weight * votes[parts] / total
        ranked = sorted(votes, key=lambda p: (votes[p], coding_bases(p), p), reverse=True)
        total = sum(votes.values())
        return [(parts, votes[parts] / total) for parts in ranked]


def _five(parts: Parts, strand: int) -> int:
    """Base of the 5' end."""
    return parts[0].start if strand > 0 else parts[-1].end - 1


class _StopWeights:
    """Sum of the weights of the windows that show a base."""

    def __init__(self, passes: Sequence[Window], axis: Axis) -> None:
        self._axis = axis
        self._by_window: dict[int, int] = defaultdict(int)
        for window in passes:
            self._by_window[window.index] += 1
        self._starts = [window.start for window in axis.windows]

    def at(self, base: int) -> float:
        total = 0.0
        places = [base, base + self._axis.contig_bp] if self._axis.circular else [base]
        for place in places:
            i = bisect_right(self._starts, place) - 1
            while i >= 0 and self._axis.windows[i].end > place:
                weight = view_weight(self._axis.windows[i], place, self._axis)
                total += self._by_window.get(i, 0) * weight
                i -= 1
        return total


def view_weight(window: Window, base: int, axis: Axis) -> float:
    """How well a window sees what is at `base`: 1 far from its edges, little at them; the contig's ends are no edges."""
    left = base - window.start if window.start > 0 or axis.circular else FULL_WEIGHT_BP
    right = (
        window.end - 1 - base if window.end < axis.length_bp or axis.circular else FULL_WEIGHT_BP
    )
    return max(_LEAST_WEIGHT, min(1.0, min(left, right) / FULL_WEIGHT_BP))


def _structures(candidate: Candidate) -> list[Parts]:
    """The candidate's structure with each 5' end that was thought possible."""
    forward = candidate.strand > 0
    outer = candidate.parts[0] if forward else candidate.parts[-1]
    structures = []
    for base, _ in candidate.starts:
        moved = outer._replace(start=base) if forward else outer._replace(end=base + 1)
        if moved.start < moved.end:
            rest = candidate.parts[1:] if forward else candidate.parts[:-1]
            structures.append((moved, *rest) if forward else (*rest, moved))
    return structures or [candidate.parts]


def with_margins(calls: Sequence[Call]) -> list[Call]:
    """Tell each call how it compares with those that overlap it on its strand.

    Args:
        calls: Sorted by start.
    """
    totals = [boundary_total(call.evidence) for call in calls]
    best_other = [-math.inf] * len(calls)
    for strand in (1, -1):
        active: list[int] = []
        for i in (i for i, call in enumerate(calls) if call.strand == strand):
            active = [j for j in active if calls[j].end > calls[i].start]
            for j in active:
                best_other[i] = max(best_other[i], totals[j])
                best_other[j] = max(best_other[j], totals[i])
            active.append(i)
    return [
        call if math.isinf(other) else replace(call, margin=total - other)
        for call, total, other in zip(calls, totals, best_other, strict=True)
    ]


def boundary_total(evidence: Evidence) -> float:
    """Sum of the boundary logits of a gene's ends and splice sites."""
    ends = (evidence.start_boundary, evidence.stop_boundary)
    return evidence.splice_boundary + sum(x for x in ends if not math.isnan(x))


def mean_evidence(evidence: Sequence[Evidence], weights: Sequence[float]) -> Evidence:
    """Weighted mean of several windows' evidence, field by field; NaN counts as not told."""
    values: dict[str, float] = {}
    for name in Evidence.__dataclass_fields__:
        told = [
            (getattr(e, name), w)
            for e, w in zip(evidence, weights, strict=True)
            if not math.isnan(getattr(e, name))
        ]
        total = sum(w for _, w in told)
        values[name] = sum(x * w for x, w in told) / total if total else math.nan
    values["splices"], values["coding"] = round(values["splices"]), round(values["coding"])
    return Evidence(**values)  # type: ignore[arg-type]
