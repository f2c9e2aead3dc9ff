"""Join the pieces of neighbouring windows into candidate genes, and merge what several windows say of one gene.

A gene cut at a window's right edge continues in the next window where that one has a piece that is cut at its left,
lies on the same strand, and at the meeting point of the two cores is in the same state: in a part or in an intron, at
the same position of the codon. Pairs whose boundaries agree in the whole overlap are joined first, then what is left.
The joined gene takes from each window what lies in its core side, so genes longer than a window chain through many.

Whole candidates of one gene (same strand, same 3' end) then merge into one call: each window votes for the structure
it saw, with more weight the farther the gene's 3' end lies from the window's edge; the share of the windows that saw
the gene among those that could have is evidence of its own. Windows must come in order; only the chains that are still
open are kept. The result does not depend on how windows were batched.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from genet5.annotate.pieces import Evidence, Piece, Stretch, clip, coding_bases, merge_touching
from genet5.annotate.windows import Axis, Window

FULL_WEIGHT_BP = 1000
"""A window counts fully for a gene whose 3' end is this far from its edges."""
_LEAST_WEIGHT = 0.05


@dataclass(frozen=True, slots=True)
class Candidate:
    """A gene from one window or from a chain of windows; it is whole, or ends at the contig's ends."""

    window: int
    """The window (or the first of the chain) that shows the 3' end."""
    type: str
    strand: int
    parts: tuple[Stretch, ...]
    evidence: Evidence
    frame: int
    """Codon position of the leftmost coding base."""
    partial_left: bool = False
    partial_right: bool = False
    starts: tuple[tuple[int, float], ...] = ()

    @property
    def start(self) -> int:
        """First base."""
        return self.parts[0].start

    @property
    def end(self) -> int:
        """One past the last base."""
        return self.parts[-1].end

    @property
    def stop_base(self) -> int:
        """The base of the 3' end."""
        return self.end - 1 if self.strand > 0 else self.start


@dataclass(frozen=True, slots=True)
class _Chain:
    """A gene that goes on in the next window: what stands left of the last piece's share, and that piece."""

    piece: Piece
    parts: tuple[Stretch, ...] = ()
    evidence: Evidence | None = None
    frame: int = 0
    left_bp: int = 0
    partial_left: bool = False
    starts: tuple[tuple[int, float], ...] = ()
    first_window: int = 0


@dataclass
class Joiner:
    """Takes the pieces of an axis window by window; gives whole candidates.

    Windows without any known base may be left out.
    """

    axis: Axis
    _open: list[_Chain] = field(default_factory=list)
    _last: Window | None = None

    def add(self, window: Window, pieces: Sequence[Piece]) -> list[Candidate]:
        """Take the next window; return the candidates that it completes."""
        heads = [c for piece in pieces if (c := self._head(window, piece)) is not None]
        chains = heads + self._continued(window, pieces)
        self._last = window
        self._open = [chain for chain in chains if chain.piece.cut_right]
        whole = [self._candidate(c, False) for c in chains if not c.piece.cut_right]
        if window.end == self.axis.length_bp and not self.axis.circular:
            whole += [self._candidate(chain, True) for chain in self._open]
        return [candidate for candidate in whole if candidate.parts]

    def _head(self, window: Window, piece: Piece) -> _Chain | None:
        """A chain that begins with this piece, when nothing of the gene lies left of it."""
        if not piece.cut_left:
            return _Chain(piece, frame=piece.first_frame, left_bp=window.start)
        if window.start == 0 and not self.axis.circular:
            return _Chain(piece, frame=piece.first_frame, partial_left=True)
        return None

    def _continued(self, window: Window, pieces: Sequence[Piece]) -> list[_Chain]:
        if self._last is None or self._last.end < window.start or not self._open:
            return []
        meet = window.core_start if self._last.index + 1 == window.index else None
        if meet is None:  # a blank window lies between
            return []
        later = [p for p in pieces if p.cut_left and p.reaches_over(meet, window)]
        pairs = match_pieces(self._open, later, self._last, window, meet)
        return [_extend(chain, piece, meet) for chain, piece in pairs]

    def _candidate(self, chain: _Chain, partial_right: bool) -> Candidate:
        piece = chain.piece
        parts = merge_touching((*chain.parts, *clip(piece.parts, chain.left_bp, piece_end(piece))))
        evidence = (
            piece.evidence if chain.evidence is None else chain.evidence.joined(piece.evidence)
        )
        extended = chain.evidence is not None
        return Candidate(
            chain.first_window if extended and piece.strand < 0 else piece.window,
            piece.type,
            piece.strand,
            parts,
            evidence,
            chain.frame,
            chain.partial_left,
            partial_right,
            chain.starts if extended and piece.strand > 0 else piece.starts,
        )


def piece_end(piece: Piece) -> int:
    """One past the piece's last base, 0 without parts."""
    return piece.parts[-1].end if piece.parts else 0


def _extend(chain: _Chain, piece: Piece, meet: int) -> _Chain:
    former = chain.piece
    evidence = former.evidence if chain.evidence is None else chain.evidence.joined(former.evidence)
    return replace(
        chain,
        piece=piece,
        parts=(*chain.parts, *clip(former.parts, chain.left_bp, meet)),
        evidence=evidence,
        left_bp=meet,
        starts=chain.starts if chain.evidence is not None else former.starts,
        first_window=chain.first_window if chain.evidence is not None else former.window,
    )


def match_pieces(
    chains: Sequence[_Chain], later: Sequence[Piece], left: Window, right: Window, meet: int
) -> list[tuple[_Chain, Piece]]:
    """Pair the open chains of one window with the pieces that continue them in the next.

    Args:
        chains: Chains whose last piece is cut at the right edge of `left`.
        later: Pieces of `right` that are cut at its left edge and reach over `meet`.
        left: The window before.
        right: The window at hand.
        meet: Where the two cores meet.
    """
    earlier = [chain for chain in chains if chain.piece.reaches_over(meet, left)]
    pairs: list[tuple[_Chain, Piece]] = []
    used_chains: set[int] = set()
    used_pieces: set[int] = set()
    for exact in (True, False):
        for i, chain in enumerate(earlier):
            for j, piece in enumerate(later):
                free = i not in used_chains and j not in used_pieces
                if free and _agree(chain.piece, piece, left, right, meet, exact):
                    pairs.append((chain, piece))
                    used_chains.add(i)
                    used_pieces.add(j)
    return pairs


def _agree(a: Piece, b: Piece, left: Window, right: Window, meet: int, exact: bool) -> bool:
    if a.strand != b.strand or a.type != b.type or a.frame_at(meet) != b.frame_at(meet):
        return False
    if right.start < left.end and a.is_in_part(meet) != b.is_in_part(meet):
        return False
    if not exact:
        return True
    spans = a.reaches_over(right.start, left) and b.reaches_over(left.end, right)
    return spans and clip(a.parts, right.start, left.end) == clip(b.parts, right.start, left.end)


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
    """Share of the votes that the chosen structure got."""

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
    """Collects candidates and sightings of an axis; merges them into calls."""

    def __init__(self, axis: Axis) -> None:
        self._axis = axis
        self._groups: dict[GeneKey, list[tuple[Candidate, float]]] = defaultdict(list)
        self._seen: dict[tuple[int, int], dict[tuple[int, int], float]] = defaultdict(dict)
        self._passes: list[tuple[int, Window]] = []

    def add_candidates(self, candidates: Iterable[Candidate]) -> None:
        """Take whole candidates."""
        for candidate in candidates:
            window = self._axis.windows[candidate.window]
            weight = view_weight(window, candidate.stop_base, self._axis)
            past_origin = candidate.start >= self._axis.contig_bp
            kept = _moved(candidate, -self._axis.contig_bp) if past_origin else candidate
            self._groups[candidate_key(kept, self._axis)].append((kept, weight))

    def add_sightings(self, window: Window, pieces: Iterable[Piece], reading: int = 0) -> None:
        """Note which 3' ends a window shows, whole genes and cut ones; every window must be told of.

        Args:
            window: The window.
            pieces: Its pieces.
            reading: 0, or 1 for a second reading of the same window on its other strand.
        """
        self._passes.append((reading, window))
        for piece in pieces:
            if piece.parts and piece.shows_stop:
                stop = piece_end(piece) - 1 if piece.strand > 0 else piece.parts[0].start
                key = (piece.strand, stop % self._axis.contig_bp)
                self._seen[key][(reading, window.index)] = view_weight(window, stop, self._axis)

    def calls(self) -> list[Call]:
        """Merge; sorted by start, end, strand."""
        weights = _StopWeights(self._passes, self._axis)
        calls = [self._merge(key, group, weights) for key, group in self._groups.items()]
        return sorted(calls, key=lambda c: (c.start, c.end, c.strand, c.type))

    def _merge(
        self, key: GeneKey, members: list[tuple[Candidate, float]], weights: _StopWeights
    ) -> Call:
        group, shares = [c for c, _ in members], [w for _, w in members]
        parts, share = elect(group, shares)
        model = next((c for c in group if c.parts == parts), group[0])
        seen = self._seen.get((key[1], key[2]), {})
        possible = weights.at(key[2])
        support = min(sum(seen.values()) / possible, 1.0) if possible else 1.0
        return Call(
            key[0], key[1], parts, model.frame, model.partial_left, model.partial_right,
            mean_evidence([c.evidence for c in group], shares), support, share,
        )  # fmt: skip


class _StopWeights:
    """Sum of the weights of the windows that show a base."""

    def __init__(self, passes: Sequence[tuple[int, Window]], axis: Axis) -> None:
        self._axis = axis
        self._by_window: dict[int, int] = defaultdict(int)
        for _, window in passes:
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


def elect(
    group: Sequence[Candidate], weights: Sequence[float]
) -> tuple[tuple[Stretch, ...], float]:
    """Choose the structure with most votes and return it with its share of the votes.

    A candidate's vote is split over the 5' ends that its window thought possible.
    """
    votes: dict[tuple[Stretch, ...], float] = defaultdict(float)
    for candidate, weight in zip(group, weights, strict=True):
        for parts, probability in _structures(candidate):
            votes[parts] += weight * probability
    total = sum(votes.values())
    best = max(votes, key=lambda parts: (votes[parts], coding_bases(parts), parts))
    return best, votes[best] / total if total > 0 else 0.0


def _structures(candidate: Candidate) -> list[tuple[tuple[Stretch, ...], float]]:
    """The candidate's structure with each 5' end that was thought possible, and its probability."""
    forward = candidate.strand > 0
    outer = candidate.parts[0] if forward else candidate.parts[-1]
    structures = []
    for base, probability in candidate.starts:
        moved = outer._replace(start=base) if forward else outer._replace(end=base + 1)
        if moved.start < moved.end:
            rest = candidate.parts[1:] if forward else candidate.parts[:-1]
            structures.append(((moved, *rest) if forward else (*rest, moved), probability))
    return structures or [(candidate.parts, 1.0)]


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


def _moved(candidate: Candidate, by: int) -> Candidate:
    return replace(
        candidate,
        parts=tuple(Stretch(p.kind, p.start + by, p.end + by) for p in candidate.parts),
        starts=tuple((base + by, probability) for base, probability in candidate.starts),
    )
