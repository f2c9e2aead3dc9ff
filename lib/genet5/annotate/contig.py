"""One contig on its way from decoded windows to gene candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from genet5.annotate.candidate import GeneCandidate
from genet5.annotate.merge import Merger
from genet5.annotate.stitch import Joiner
from genet5.decode.fragment import GeneFragment
from genet5.genome.io.fasta import Contig
from genet5.genome.sequence import Bases
from genet5.genome.tiling import ContigTiling, Tile, is_blank

Place = tuple[int, int]
"""Strand pass (0 forward, 1 reverse complement) and index of the window."""


@dataclass
class ContigWork:
    """Takes the fragments of a contig's windows in any order; makes candidates of all of them."""

    index: int
    contig: Contig
    tiling: ContigTiling
    code: int
    """NCBI number of its genetic code."""
    strand_passes: int = 1
    spliced: bool = False
    """Whether genes may have introns."""
    waiting: set[Place] = field(default_factory=set)
    """Windows whose fragments are not there yet."""

    def __post_init__(self) -> None:
        self._fragments: dict[Place, Sequence[GeneFragment]] = {}
        for tile in self.tiling.tiles:
            if not is_blank(self.bases(tile)):
                self.waiting |= {(i, tile.index) for i in range(self.strand_passes)}
        self._places = sorted(self.waiting, key=lambda place: (place[1], place[0]))

    @property
    def places(self) -> list[Place]:
        """Windows to decode, left to right; those without any known base are left out."""
        return list(self._places)

    def bases(self, tile: Tile) -> Bases:
        """Return a window's bases."""
        return self.tiling.bases(self.contig.bases, tile)

    def put(self, place: Place, fragments: Sequence[GeneFragment]) -> None:
        """Take a window's fragments, in coordinates of the contig."""
        self._fragments[place] = fragments
        self.waiting.discard(place)

    def fragments(self, place: Place) -> Sequence[GeneFragment]:
        """Return the fragments of a window that is done."""
        return self._fragments[place]

    def candidates(self) -> list[GeneCandidate]:
        """Stitch and merge all fragments; sorted by start.

        Each strand pass is stitched by itself, and so are the genes of best paths where genes may
        have introns.
        """
        merger = Merger(self.tiling, spliced=self.spliced)
        joiners = [(Joiner(self.tiling), Joiner(self.tiling)) for _ in range(self.strand_passes)]
        for strand_pass, index in self._places:
            tile, fragments = self.tiling.tiles[index], self._fragments[strand_pass, index]
            written = [f for f in fragments if not (f.head_only and self.spliced)]
            on_path = [f for f in fragments if f.head_only and self.spliced]
            merger.add_window(tile, fragments, strand_pass)
            merger.add_candidates(joiners[strand_pass][0].add(tile, written))
            merger.add_candidates(joiners[strand_pass][1].add(tile, on_path), on_paths=True)
        return merger.merged()
