"""Join the fragments of neighbouring windows into candidate genes.

A gene continues in the next window where both windows have a fragment that reaches over the meeting
point of their cores, on one strand and in the same state there: in a part or in an intron, at the
same position of the codon. Both are cut at the edge towards the other; of the one that holds the 3'
end this is not asked, since a window that begins inside a long gene sometimes takes a codon near
its edge for the start (a false stop cannot happen: stops are in the DNA). Pairs whose boundaries
agree in the whole overlap are joined first, then what is left. The joined gene takes from each
window what lies on its core's side, so genes longer than a window chain through many.

Windows must come in order; only the chains that are still open are kept. The result does not depend
on how windows were batched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce

from genet5.annotate.candidate import GeneCandidate
from genet5.decode.evidence import Evidence
from genet5.decode.fragment import GeneFragment, clip, merge_touching
from genet5.genome.frames import five_three
from genet5.genome.tiling import ContigTiling, Tile

_MAX_CHAINS = 4
"""Chains that are followed through one fragment, the longest first."""
_ANYWHERE = 1 << 62


@dataclass(frozen=True, slots=True)
class Link:
    """One window's share of a gene: its fragment from `start` to the next link's start."""

    fragment: GeneFragment
    tile: int
    """Index of the window."""
    start: int


Chain = tuple[Link, ...]
"""A gene through neighbouring windows, left to right."""


@dataclass
class Joiner:
    """Takes the fragments of a tiling window by window; gives whole candidates.

    Windows without any known base may be left out: a gene with an intron there continues after
    them.
    """

    tiling: ContigTiling
    _open: list[Chain] = field(default_factory=list)
    _last: Tile | None = None

    def add(self, tile: Tile, fragments: Sequence[GeneFragment]) -> list[GeneCandidate]:
        """Take the next window; return the candidates that it completes."""
        heads = [(self._head(tile, f),) for f in fragments if self._is_head(tile, f)]
        chains = self._continued(tile, fragments) + heads
        self._last, self._open = tile, chains
        at_end = tile.end == self.tiling.length_bp and not self.tiling.circular
        whole = [c for c in chains if not c[-1].fragment.cut_right]
        if at_end:
            whole += [c for c in chains if c[-1].fragment.cut_right]
        candidates = [candidate_of(chain) for chain in whole]
        return [candidate for candidate in candidates if candidate.parts]

    def horizon(self, next_bp: int) -> int:
        """Return the leftmost base that later candidates may have.

        Args:
            next_bp: First base of the windows that are still to come.
        """
        waiting = (c for c in self._open if c[-1].fragment.cut_right or _extent(c)[1] > next_bp)
        return min((_extent(chain)[0] for chain in waiting), default=next_bp)

    def _is_head(self, tile: Tile, fragment: GeneFragment) -> bool:
        """Whether nothing of the gene lies left of the window."""
        return not fragment.cut_left or (tile.start == 0 and not self.tiling.circular)

    def _head(self, tile: Tile, fragment: GeneFragment) -> Link:
        return Link(fragment, tile.index, tile.start)

    def _continued(self, tile: Tile, fragments: Sequence[GeneFragment]) -> list[Chain]:
        last = self._last
        if last is None:
            return []
        chains = self._open
        if last.index + 1 != tile.index:
            # blank windows lie between: only an intron continues after them
            chains = [c for c in chains if not c[-1].fragment.is_in_part(last.end - 1)]
            fragments = [f for f in fragments if not f.is_in_part(tile.start)]
        pairs = self.pairs(chains, fragments, last, tile)
        return [(*chain, Link(f, tile.index, tile.core_start)) for chain, f in pairs]

    def pairs(
        self, chains: Sequence[Chain], fragments: Sequence[GeneFragment], left: Tile, right: Tile
    ) -> list[tuple[Chain, GeneFragment]]:
        """Pair the chains that leave one window with what continues them in the next."""
        earlier = list({id(c[-1].fragment): c[-1].fragment for c in chains}.values())
        paired = []
        for former, fragment in match_fragments(earlier, fragments, left, right):
            through = [chain for chain in chains if chain[-1].fragment is former]
            paired += [(chain, fragment) for chain in through[:_MAX_CHAINS]]
        return paired


def _extent(chain: Chain) -> tuple[int, int]:
    """First base of a chain, its possible 5' ends included, and one past its last base."""
    bases = [chain[0].start] if not chain[0].fragment.parts else []
    for fragment in (link.fragment for link in chain):
        bases += [base for part in fragment.parts for base in (part.start, part.end - 1)]
        bases += [base for base, _ in fragment.starts]
    return min(bases), max(bases) + 1


def candidate_of(chain: Chain) -> GeneCandidate:
    """Make a candidate of a chain that is complete."""
    first, last = chain[0], chain[-1]
    ends = [link.start for link in chain[1:]] + [_ANYWHERE]
    shares = [
        clip(link.fragment.parts, link.start, end) for link, end in zip(chain, ends, strict=True)
    ]
    five, three = five_three(first, last, first.fragment.strand)
    return GeneCandidate(
        type=last.fragment.type,
        strand=last.fragment.strand,
        parts=merge_touching([part for share in shares for part in share]),
        frame=first.fragment.first_frame,
        partial_left=first.fragment.cut_left,
        partial_right=last.fragment.cut_right,
        evidence=reduce(Evidence.joined, [link.fragment.evidence for link in chain]),
        starts=five.fragment.starts,
        tile=three.tile,
        is_joined=len(chain) > 1,
    )


def match_fragments(
    earlier: Sequence[GeneFragment], later: Sequence[GeneFragment], left: Tile, right: Tile
) -> list[tuple[GeneFragment, GeneFragment]]:
    """Pair the fragments of window `left` with what continues them in the next, `right`."""
    meet = right.core_start
    over_left = [f for f in earlier if reaches_over(f, meet, left)]
    over_right = [f for f in later if reaches_over(f, meet, right)]
    # of genes that look alike, one lies in an intron of the other
    over_left.sort(key=lambda f: -f.last_before(meet))
    over_right.sort(key=lambda f: next_base(f, meet, right.end))
    pairs: list[tuple[GeneFragment, GeneFragment]] = []
    used_left: set[int] = set()
    used_right: set[int] = set()
    for exact in (True, False):
        for i, a in enumerate(over_left):
            for j, b in enumerate(over_right):
                free = i not in used_left and j not in used_right
                if free and _agree(a, b, left, right, exact=exact):
                    pairs.append((a, b))
                    used_left.add(i)
                    used_right.add(j)
    return pairs


def reaches_over(fragment: GeneFragment, position: int, tile: Tile) -> bool:
    """Whether the gene has bases both before `position` and from it on."""
    left = tile.start if fragment.cut_left else fragment.parts[0].start
    right = tile.end if fragment.cut_right else fragment.parts[-1].end
    return (left < position or fragment.cut_left) and (right > position or fragment.cut_right)


def next_base(fragment: GeneFragment, position: int, otherwise: int) -> int:
    """First base at or right of `position`."""
    bases = [max(p.start, position) for p in fragment.parts if p.end > position]
    return min(bases, default=otherwise)


def _five_prime(fragment: GeneFragment) -> int:
    """Base of the 5' end, or where the window cuts it."""
    if not fragment.parts:
        return -1
    return five_three(fragment.parts[0].start, fragment.parts[-1].end, fragment.strand)[0]


def _agree(a: GeneFragment, b: GeneFragment, left: Tile, right: Tile, *, exact: bool) -> bool:
    """Whether `b` continues `a`; `exact`: with the same boundaries in the whole overlap."""
    meet = right.core_start
    five, three = five_three(a.cut_right, b.cut_left, a.strand)
    if not five or not (three or _five_prime(a) != _five_prime(b)):
        return False
    if a.strand != b.strand or a.type != b.type or a.frame_at(meet) != b.frame_at(meet):
        return False
    if right.start < left.end and a.is_in_part(meet) != b.is_in_part(meet):
        return False
    if not exact:
        return True
    spans = reaches_over(a, right.start, left) and reaches_over(b, left.end, right)
    overlap = (right.start, left.end)
    return three and spans and clip(a.parts, *overlap) == clip(b.parts, *overlap)
