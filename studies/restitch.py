"""Put genes together from windows that were cut from them: the inverse of cutting.

`annotate` forgives decoders their errors; `restitch` takes windows at their word. It measures what
the gene-structure language loses, and tests hold the stitcher against it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

from genet5.annotate.candidate import GeneCandidate
from genet5.annotate.stitch import Chain, Joiner, next_base
from genet5.decode.fragment import GeneFragment, clip
from genet5.genome.tiling import ContigTiling, Tile
from genet5.tokens.window import WindowGene


class ExactJoiner(Joiner):
    """Joins only fragments that agree in the whole overlap, each with one."""

    def pairs(
        self, chains: Sequence[Chain], fragments: Sequence[GeneFragment], left: Tile, right: Tile
    ) -> list[tuple[Chain, GeneFragment]]:
        """Pair the chains that leave one window with the same genes in the next.

        Where several genes look alike in the overlap (or there is none, and they are in one frame),
        one is taken to lie in an intron of the other: what ends last continues first.
        """
        leaving: dict[tuple[object, ...], list[Chain]] = defaultdict(list)
        entering: dict[tuple[object, ...], list[GeneFragment]] = defaultdict(list)
        for chain in chains:
            a = chain[-1].fragment
            if a.cut_right and (a.cut_left or a.parts[0].start < right.start):
                overlap = clip(a.parts, right.start, left.end)
                leaving[a.type, a.strand, a.frame_at(right.start), overlap].append(chain)
        for b in fragments:
            if b.cut_left and (b.cut_right or b.parts[-1].end > left.end):
                overlap = clip(b.parts, right.start, left.end)
                entering[b.type, b.strand, b.first_frame, overlap].append(b)
        pairs: list[tuple[Chain, GeneFragment]] = []
        for key, alike in leaving.items():
            alike.sort(key=lambda chain: -_last_before(chain, right.start))
            entries = sorted(entering[key], key=lambda b: next_base(b, left.end, right.end))
            pairs += zip(alike, entries, strict=False)
        return pairs


def _last_before(chain: Chain, position: int) -> int:
    """One past a chain's last base left of `position`; 0 if there is none."""
    last = chain[-1].fragment.last_before(position)
    earlier = (
        part.end
        for link, after in pairwise(chain)
        for part in clip(link.fragment.parts, link.start, after.start)
    )
    return last or max(earlier, default=0)


def restitch(tiling: ContigTiling, shown: Iterable[Sequence[WindowGene]]) -> list[GeneCandidate]:
    """Put together the genes that windows show.

    Args:
        tiling: Where the windows lie.
        shown: The genes of each window, left to right; their first transcripts count.

    Returns:
        Each gene once, sorted; on a circular contig those that begin past the origin are moved to
            the contig's start.
    """
    joiner = ExactJoiner(tiling)
    found: dict[tuple[object, ...], GeneCandidate] = {}
    for tile, genes in zip(tiling.tiles, shown, strict=True):
        fragments = [GeneFragment.of(gene).placed(tile.start, tile.end) for gene in genes]
        for candidate in joiner.add(tile, fragments):
            past_origin = candidate.start >= tiling.contig_bp
            gene = candidate.moved(-tiling.contig_bp) if past_origin else candidate
            key = (gene.start, gene.end, -gene.strand, gene.type, gene.parts, gene.frame)
            found.setdefault((*key, gene.partial_left, gene.partial_right), gene)
    return [found[key] for key in sorted(found)]
