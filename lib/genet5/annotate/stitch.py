"""Join the pieces of neighbouring windows into candidate genes.

A gene continues in the next window where both windows have a piece that reaches over the meeting point of their cores, on
one strand and in the same state there: in a part or in an intron, at the same position of the codon. Both are cut at the
edge towards the other; of the one that holds the 3' end this is not asked, since a window that begins inside a long gene
sometimes takes a codon near its edge for the start (a false stop cannot happen: stops are read off the DNA).
Pairs whose boundaries agree in the whole overlap are joined first, then what is left. The joined gene takes from
each window what lies on its core's side, so genes longer than a window chain through many.

Windows must come in order; only the chains that are still open are kept. The result does not depend on how windows were
batched.

`restitch` takes windows at their word, as those that are cut from known genes: it is the inverse of cutting.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from genet5.annotate.pieces import Piece, Stretch, clip, merge_touching, piece_of
from genet5.annotate.windows import Axis, Window
from genet5.decode.evidence import Evidence
from genet5.tokens.window import WindowGene

_MAX_CHAINS = 4
"""Chains that are followed through one piece, the longest first."""


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
    chained: bool = False
    """Whether no window shows it whole."""

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

    def moved(self, by_bp: int) -> Candidate:
        """Return the candidate moved along the axis."""
        return replace(
            self,
            parts=tuple(p._replace(start=p.start + by_bp, end=p.end + by_bp) for p in self.parts),
            starts=tuple((base + by_bp, probability) for base, probability in self.starts),
        )


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

    def last_before(self, position: int) -> int:
        """One past the last base left of `position`; 0 if there is none."""
        return piece_end(self.piece, position) or max((part.end for part in self.parts), default=0)


@dataclass
class Joiner:
    """Takes the pieces of an axis window by window; gives whole candidates.

    Windows without any known base may be left out: a gene with an intron there goes on behind them.
    """

    axis: Axis
    exact: bool = False
    """Whether pieces are taken at their word: only those that agree in the whole overlap join, each with one."""
    _open: list[_Chain] = field(default_factory=list)
    _last: Window | None = None

    def add(self, window: Window, pieces: Sequence[Piece]) -> list[Candidate]:
        """Take the next window; return the candidates that it completes."""
        heads = [c for piece in pieces if (c := self._head(window, piece)) is not None]
        chains = self._continued(window, pieces) + heads
        self._last, self._open = window, chains
        whole = [self._candidate(c, False) for c in chains if not c.piece.cut_right]
        if window.end == self.axis.length_bp and not self.axis.circular:
            whole += [self._candidate(c, True) for c in chains if c.piece.cut_right]
        return [candidate for candidate in whole if candidate.parts]

    def _head(self, window: Window, piece: Piece) -> _Chain | None:
        """A chain that begins with this piece, when nothing of the gene lies left of it."""
        if not piece.cut_left:
            return _Chain(piece, frame=piece.first_frame, left_bp=window.start)
        if window.start == 0 and not self.axis.circular:
            return _Chain(piece, frame=piece.first_frame, partial_left=True)
        return None

    def _continued(self, window: Window, pieces: Sequence[Piece]) -> list[_Chain]:
        last = self._last
        if last is None:
            return []
        open_chains, meet = self._open, window.core_start
        if (
            last.index + 1 != window.index
        ):  # blank windows lie between: only an intron goes on behind them
            open_chains = [c for c in open_chains if not c.piece.is_in_part(last.end - 1)]
            pieces = [piece for piece in pieces if not piece.is_in_part(window.start)]
        if self.exact:
            exact_pairs = match_exactly(open_chains, pieces, last, window)
            return [_extend(chain, piece, meet) for chain, piece in exact_pairs]
        earlier = list({id(c.piece): c.piece for c in open_chains}.values())
        pairs = match_pieces(earlier, pieces, last, window, meet)
        longer = []
        for former, piece in pairs:
            chains = [chain for chain in open_chains if chain.piece is former]
            longer += [_extend(chain, piece, meet) for chain in chains[:_MAX_CHAINS]]
        return longer

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
            extended,
        )


def piece_end(piece: Piece, position: int = 1 << 62) -> int:
    """One past the piece's last base left of `position`; 0 if there is none."""
    return max(
        (min(part.end, position) for part in piece.parts if part.start < position), default=0
    )


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


def match_exactly(
    chains: Sequence[_Chain], later: Sequence[Piece], left: Window, right: Window
) -> list[tuple[_Chain, Piece]]:
    """Pair the chains that leave one window with the pieces that are the same genes in the next.

    Where several genes look alike in the overlap (or there is none, and they are in one frame), one is taken to lie in an
    intron of the other: what ends last goes on first.
    """
    leaving: dict[tuple[object, ...], list[_Chain]] = defaultdict(list)
    entering: dict[tuple[object, ...], list[Piece]] = defaultdict(list)
    for chain in chains:
        a = chain.piece
        if a.cut_right and (a.cut_left or a.parts[0].start < right.start):
            overlap = clip(a.parts, right.start, left.end)
            leaving[a.type, a.strand, a.frame_at(right.start), overlap].append(chain)
    for b in later:
        if b.cut_left and (b.cut_right or b.parts[-1].end > left.end):
            overlap = clip(b.parts, right.start, left.end)
            entering[b.type, b.strand, b.first_frame, overlap].append(b)
    pairs: list[tuple[_Chain, Piece]] = []
    for key, alike in leaving.items():
        alike.sort(key=lambda chain: -chain.last_before(right.start))
        entries = sorted(entering[key], key=lambda piece: _next_base(piece, left.end, right.end))
        pairs += zip(alike, entries, strict=False)
    return pairs


def _next_base(piece: Piece, position: int, otherwise: int) -> int:
    """First base at or right of `position`."""
    return min((max(p.start, position) for p in piece.parts if p.end > position), default=otherwise)


def restitch(axis: Axis, shown: Iterable[Sequence[WindowGene]]) -> list[Candidate]:
    """Put together the genes that windows show: the inverse of cutting genes into windows.

    Args:
        axis: Where the windows lie.
        shown: The genes of each window of the axis, left to right; their first transcripts count.

    Returns:
        Each gene once, sorted; on a circular contig those that begin past the origin are moved to the contig's start.
    """
    joiner = Joiner(axis, exact=True)
    found: dict[tuple[object, ...], Candidate] = {}
    for window, genes in zip(axis.windows, shown, strict=True):
        for candidate in joiner.add(window, [piece_of(gene, window) for gene in genes]):
            past_origin = candidate.start >= axis.contig_bp
            gene = candidate.moved(-axis.contig_bp) if past_origin else candidate
            key = (gene.start, gene.end, -gene.strand, gene.type, gene.parts, gene.frame)
            found.setdefault((*key, gene.partial_left, gene.partial_right), gene)
    return [found[key] for key in sorted(found)]


def match_pieces(
    earlier: Sequence[Piece], later: Sequence[Piece], left: Window, right: Window, meet: int
) -> list[tuple[Piece, Piece]]:
    """Pair the pieces of one window with those that continue them in the next.

    Args:
        earlier: Pieces of `left`.
        later: Pieces of `right`.
        left: The window before.
        right: The window at hand.
        meet: Where the two cores meet.
    """
    over_left = [piece for piece in earlier if piece.reaches_over(meet, left)]
    over_right = [piece for piece in later if piece.reaches_over(meet, right)]
    over_left.sort(
        key=lambda piece: -piece_end(piece, meet)
    )  # of genes that look alike, one lies in
    over_right.sort(key=lambda piece: _next_base(piece, meet, right.end))  # an intron of the other
    pairs: list[tuple[Piece, Piece]] = []
    used_left: set[int] = set()
    used_right: set[int] = set()
    for exact in (True, False):
        for i, a in enumerate(over_left):
            for j, b in enumerate(over_right):
                free = i not in used_left and j not in used_right
                if free and _agree(a, b, left, right, meet, exact):
                    pairs.append((a, b))
                    used_left.add(i)
                    used_right.add(j)
    return pairs


def _five_prime(piece: Piece) -> int:
    """Base of the 5' end, or where the window cuts it."""
    if not piece.parts:
        return -1
    return piece.parts[0].start if piece.strand > 0 else piece.parts[-1].end


def _agree(a: Piece, b: Piece, left: Window, right: Window, meet: int, exact: bool) -> bool:
    five, three = (a.cut_right, b.cut_left) if a.strand > 0 else (b.cut_left, a.cut_right)
    if not five or not (three or _five_prime(a) != _five_prime(b)):
        return False
    if a.strand != b.strand or a.type != b.type or a.frame_at(meet) != b.frame_at(meet):
        return False
    if right.start < left.end and a.is_in_part(meet) != b.is_in_part(meet):
        return False
    if not exact:
        return True
    if not three:
        return False
    spans = a.reaches_over(right.start, left) and b.reaches_over(left.end, right)
    return spans and clip(a.parts, right.start, left.end) == clip(b.parts, right.start, left.end)
