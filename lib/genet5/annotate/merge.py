"""Merge the candidates of all windows that are the same gene.

Candidates with one 3' end on one strand are the same gene. Their windows, and those that show the
gene only in part, vote for its structure: each window that shows the 5' end splits its vote over
the 5' ends it held possible, with more weight the farther that end lies from the window's edges; a
window that shows only the 3' end votes for the structures that continue beyond its edge. The share
of windows that show the 3' end, among those that could, is evidence of its own.

Windows come left to right, and genes leave as soon as no later window can change them (`retire`):
memory holds what lies right of the last finished base, however long the contig is. A circular
contig leaves at its end.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from genet5.annotate.candidate import GeneCandidate, Parts
from genet5.decode.evidence import Evidence
from genet5.decode.fragment import GeneFragment, coding_bases
from genet5.genome.frames import five_prime_base, five_three, frame_to_right
from genet5.genome.tiling import ContigTiling, Tile

FULL_WEIGHT_BP = 1000
"""A window counts fully for what is this far from its edges."""
_LEAST_WEIGHT = 0.05
_MOST_STRUCTURES = 3
_CHAIN_WEIGHT = 1e-3
"""A joined gene only proposes its structure: the windows it was joined from vote by themselves."""
_ANYWHERE = 1 << 62
"""Right of every base."""

GeneKey = tuple[str, int, int, int]
"""Type, strand, base of the 3' end, and codon position there (other than the last only where the
contig ends)."""


def gene_key(candidate: GeneCandidate, tiling: ContigTiling) -> GeneKey:
    """Identify the gene that a candidate shows: candidates with one key are the same gene."""
    if candidate.strand < 0:
        frame = candidate.frame if candidate.partial_left else 2
    elif candidate.partial_right:
        frame = frame_to_right(candidate.frame, candidate.coding_bp - 1, 1)
    else:
        frame = 2
    return (candidate.type, candidate.strand, candidate.stop_base % tiling.contig_bp, frame)


class Merger:
    """Collects a contig's candidates and the ends that its windows show; merges equal candidates.

    Args:
        tiling: The contig's windows.
        spliced: Genes may have introns: the structures with most votes become candidates of their
            own, of which one is chosen later.
    """

    def __init__(self, tiling: ContigTiling, *, spliced: bool = False) -> None:
        self._tiling = tiling
        self._spliced = spliced
        self._paths: dict[tuple[int, Parts], float] = defaultdict(float)
        self._groups: dict[GeneKey, _Group] = {}
        self._seen: dict[tuple[int, int], dict[tuple[int, int], float]] = defaultdict(dict)
        self._starts: dict[tuple[int, int], float] = defaultdict(float)
        self._longer: dict[tuple[int, int], list[tuple[int, float]]] = defaultdict(list)
        self._passes: Counter[int] = Counter()
        self._merged: list[GeneCandidate] = []

    def add_candidates(
        self, candidates: Iterable[GeneCandidate], *, on_paths: bool = False
    ) -> None:
        """Take whole candidates that decoders wrote, or that only the per-base heads support.

        Args:
            candidates: From windows or chains of windows.
            on_paths: They lie on best paths, and vote for their 5' ends as the windows of decoded
                ones do.
        """
        size = self._tiling.contig_bp
        for candidate in candidates:
            tile = self._tiling.tiles[candidate.tile]
            weight = view_weight(tile, candidate.stop_base, self._tiling)
            kept = candidate.moved(-size) if candidate.start >= size else candidate
            group = self._groups.setdefault(gene_key(kept, self._tiling), _Group())
            group.add(kept, weight)
            if on_paths:
                self._paths[kept.strand, kept.parts] += weight
                self._starts[kept.strand, kept.start_base % size] += weight

    def add_window(
        self, tile: Tile, fragments: Iterable[GeneFragment], strand_pass: int = 0
    ) -> None:
        """Count which ends of genes a window shows; every window must be added.

        Args:
            tile: The window.
            fragments: What was found in it.
            strand_pass: 0, or 1 for the pass of the same window's reverse complement.
        """
        self._passes[tile.index] += 1
        for fragment in (f for f in fragments if f.parts and not f.head_only):
            ends = (fragment.parts[0].start, fragment.parts[-1].end - 1)
            start, stop = five_three(*ends, fragment.strand)
            if fragment.shows_stop:
                key = (fragment.strand, stop % self._tiling.contig_bp)
                weight = view_weight(tile, stop, self._tiling)
                self._seen[key][(strand_pass, tile.index)] = weight
                if not fragment.shows_start:
                    edge = five_prime_base(tile.start, tile.end, fragment.strand)
                    self._longer[key].append((abs(stop - edge), weight))
            if fragment.shows_start:
                for base, share in fragment.starts or ((start, 1.0),):
                    key = (fragment.strand, base % self._tiling.contig_bp)
                    self._starts[key] += share * view_weight(tile, start, self._tiling)

    def retire(self, horizon: int) -> list[GeneCandidate]:
        """Return the merged candidates that nothing can change any more, and forget them.

        They are sorted by start, end, strand; none overlaps one of another call.

        Args:
            horizon: No window or candidate that is still to come has a base left of it.
        """
        if self._tiling.circular and horizon < self._tiling.length_bp:
            return []
        done = [key for key, group in self._groups.items() if group.end <= horizon]
        for key in done:
            self._merged += self._merge(key, self._groups.pop(key).members)
        bound = min([horizon, *(group.start for group in self._groups.values())])
        self._forget(bound)
        self._merged.sort(key=lambda c: (c.start, c.end, c.strand, c.type, c.parts))
        count = _closed(self._merged, bound)
        found, self._merged = self._merged[:count], self._merged[count:]
        return with_margins(found) if self._spliced else found

    def finish(self) -> list[GeneCandidate]:
        """Return the merged candidates that are left, all windows being there."""
        return self.retire(_ANYWHERE)

    def _forget(self, bound: int) -> None:
        """Drop the votes for bases left of `bound`."""
        votes: dict[tuple[int, int], Any]
        for votes in (self._seen, self._starts, self._longer):
            for key in [key for key in votes if key[1] < bound]:
                del votes[key]
        for path in [path for path in self._paths if path[1][0].start < bound]:
            del self._paths[path]
        tiles = self._tiling.tiles
        for index in [index for index in self._passes if tiles[index].end <= bound]:
            del self._passes[index]

    def _merge(
        self, key: GeneKey, members: list[tuple[GeneCandidate, float]]
    ) -> list[GeneCandidate]:
        _, strand, stop, _ = key
        possible = self._possible(stop)
        support = (
            min(sum(self._seen.get((strand, stop), {}).values()) / possible, 1.0)
            if possible
            else 1.0
        )
        ranked = self._elect(key, members)
        votes: dict[int, float] = defaultdict(float)
        for parts, share in ranked:
            votes[_start_base(parts, strand)] += share
        merged = []
        for parts, share in ranked[: _MOST_STRUCTURES if self._spliced else 1]:
            alike = [(c, w) for c, w in members if c.parts == parts] or members
            shown = alike if self._spliced else members
            path = self._paths.get((strand, parts), 0.0)
            merged.append(
                replace(
                    alike[0][0],
                    parts=parts,
                    starts=tuple(votes.items()),
                    evidence=mean_evidence([c.evidence for c, _ in shown], [w for _, w in shown]),
                    support=support,
                    structure_share=share,
                    path_share=min(path / possible, 1.0) if possible else 0.0,
                )
            )
        return merged

    def _elect(
        self, key: GeneKey, members: list[tuple[GeneCandidate, float]]
    ) -> list[tuple[Parts, float]]:
        """Rank the structures by votes; return each with its share of them."""
        _, strand, stop, _ = key
        # how sure the windows are of all but the 5' end
        shapes: dict[Parts, float] = defaultdict(float)
        for candidate, weight in members:
            for parts in _structures(candidate):
                shapes[parts] += _CHAIN_WEIGHT if candidate.is_joined else weight
        votes = {}
        for parts, weight in shapes.items():
            five = _start_base(parts, strand)
            alike = sum(w for other, w in shapes.items() if _start_base(other, strand) == five)
            start_votes = self._starts.get((strand, five % self._tiling.contig_bp), 0.0)
            votes[parts] = (start_votes + _CHAIN_WEIGHT) * weight / alike
        for reach, weight in self._longer.get((strand, stop), ()):
            longer = [p for p in votes if p[-1].end - p[0].start - 1 > reach]
            total = sum(votes[p] for p in longer)
            for parts in longer:
                votes[parts] += weight * votes[parts] / total
        ranked = sorted(votes, key=lambda p: (votes[p], coding_bases(p), p), reverse=True)
        total = sum(votes.values())
        return [(parts, votes[parts] / total) for parts in ranked]

    def _possible(self, base: int) -> float:
        """Sum of the weights of the windows that show a base."""
        total, tiles = 0.0, self._tiling.tiles
        places = [base, base + self._tiling.contig_bp] if self._tiling.circular else [base]
        for place in places:
            i = tiles.last_from(place)
            while i >= 0 and tiles[i].end > place:
                total += self._passes[i] * view_weight(tiles[i], place, self._tiling)
                i -= 1
        return total


@dataclass(slots=True)
class _Group:
    """The candidates of one gene, each with its weight."""

    members: list[tuple[GeneCandidate, float]] = field(default_factory=list)
    start: int = _ANYWHERE
    """First base of the gene, wherever its 5' end lies."""
    end: int = 0
    """One past its last base."""

    def add(self, candidate: GeneCandidate, weight: float) -> None:
        self.members.append((candidate, weight))
        bases = [base for base, _ in candidate.starts]
        self.start = min(self.start, candidate.start, *bases)
        self.end = max(self.end, candidate.end, *(base + 1 for base in bases))


def _closed(candidates: Sequence[GeneCandidate], bound: int) -> int:
    """How many of the sorted candidates overlap none of the others and end at or left of `bound`.

    What is still to come begins at or right of `bound`.
    """
    count = end = 0
    for number, candidate in enumerate(candidates):
        if candidate.start >= end and end <= bound:
            count = number
        end = max(end, candidate.end)
    return len(candidates) if end <= bound else count


def _start_base(parts: Parts, strand: int) -> int:
    """Base of the 5' end."""
    return five_prime_base(parts[0].start, parts[-1].end, strand)


def view_weight(tile: Tile, base: int, tiling: ContigTiling) -> float:
    """How reliable a window is at `base`: 1 far from its edges, little at them.

    The contig's ends are no edges.
    """
    at_left, at_right = tile.start == 0, tile.end == tiling.length_bp
    left = FULL_WEIGHT_BP if at_left and not tiling.circular else base - tile.start
    right = FULL_WEIGHT_BP if at_right and not tiling.circular else tile.end - 1 - base
    return max(_LEAST_WEIGHT, min(1.0, min(left, right) / FULL_WEIGHT_BP))


def _structures(candidate: GeneCandidate) -> list[Parts]:
    """The candidate's structure with each 5' end that was held possible."""
    forward = candidate.strand > 0
    outer = candidate.parts[0] if forward else candidate.parts[-1]
    structures = []
    for base, _ in candidate.starts:
        moved = outer._replace(start=base) if forward else outer._replace(end=base + 1)
        if moved.start < moved.end:
            rest = candidate.parts[1:] if forward else candidate.parts[:-1]
            structures.append((moved, *rest) if forward else (*rest, moved))
    return structures or [candidate.parts]


def with_margins(candidates: Sequence[GeneCandidate]) -> list[GeneCandidate]:
    """Compare each candidate with those that overlap it on its strand.

    Args:
        candidates: Sorted by start.
    """
    totals = [boundary_total(candidate.evidence) for candidate in candidates]
    best_other = [-math.inf] * len(candidates)
    for strand in (1, -1):
        active: list[int] = []
        for i in (i for i, candidate in enumerate(candidates) if candidate.strand == strand):
            active = [j for j in active if candidates[j].end > candidates[i].start]
            for j in active:
                best_other[i] = max(best_other[i], totals[j])
                best_other[j] = max(best_other[j], totals[i])
            active.append(i)
    return [
        candidate if math.isinf(other) else replace(candidate, margin=total - other)
        for candidate, total, other in zip(candidates, totals, best_other, strict=True)
    ]


def boundary_total(evidence: Evidence) -> float:
    """Sum of the boundary logits of a gene's ends and splice sites."""
    ends = (evidence.start_boundary, evidence.stop_boundary)
    return evidence.splice_boundary + sum(x for x in ends if not math.isnan(x))


def mean_evidence(evidence: Sequence[Evidence], weights: Sequence[float]) -> Evidence:
    """Weighted mean of several windows' evidence, field by field; NaN counts as unknown."""
    values: dict[str, float] = {}
    for name in Evidence.__dataclass_fields__:
        known = [
            (getattr(e, name), w)
            for e, w in zip(evidence, weights, strict=True)
            if not math.isnan(getattr(e, name))
        ]
        total = sum(w for _, w in known)
        values[name] = sum(x * w for x, w in known) / total if total else math.nan
    values["splices"], values["coding"] = round(values["splices"]), round(values["coding"])
    return Evidence(**values)  # type: ignore[arg-type]
