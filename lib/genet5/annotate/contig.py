"""One contig on its way from decoded windows to gene candidates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from genet5.annotate.block import Block
from genet5.annotate.candidate import GeneCandidate
from genet5.annotate.hint_evidence import HintEvidence
from genet5.annotate.merge import Merger
from genet5.annotate.stitch import Joiner
from genet5.decode.fragment import GeneFragment
from genet5.genome.io.fasta import AnyContig
from genet5.genome.sequence import Bases
from genet5.genome.tiling import ContigTiling, Tile, is_blank


class ContigWork:
    """Takes the fragments of a contig's windows from left to right; gives candidates when final.

    Each strand pass is stitched by itself, and so are the genes of best paths where genes may have
    introns.

    Args:
        index: Number of the contig in the run.
        contig: Its bases are read window by window.
        tiling: Its windows.
        code: NCBI number of its genetic code.
        strand_passes: 1, or 2: windows also pass as their reverse complements.
        spliced: Genes may have introns.
        evidence: Hints that the network reads; None = it reads the sequence alone.
    """

    def __init__(
        self,
        index: int,
        contig: AnyContig,
        tiling: ContigTiling,
        code: int,
        strand_passes: int = 1,
        *,
        spliced: bool = False,
        evidence: HintEvidence | None = None,
    ) -> None:
        self.index, self.contig, self.tiling, self.code = index, contig, tiling, code
        self.strand_passes, self._spliced, self.evidence = strand_passes, spliced, evidence
        self.waiting = 0
        """Windows that were listed and are not there yet."""
        self.is_listed = False
        """Whether all windows were listed."""
        self.counted_bp = 0
        """Bases that were reported as finished."""
        self._next_bp = 0
        self._merger = Merger(tiling, spliced=spliced)
        self._joiners = [(Joiner(tiling), Joiner(tiling)) for _ in range(strand_passes)]

    def windows(self) -> Iterator[tuple[Tile, int, Bases]]:
        """List the windows in the order in which they must come back, with strand pass and bases.

        Those without any known base are left out.
        """
        for tile in self.tiling.tiles:
            bases = self.tiling.bases(self.contig.bases, tile)
            if is_blank(bases):
                continue
            for strand_pass in range(self.strand_passes):
                self.waiting += 1
                yield tile, strand_pass, bases
        self.is_listed = True

    @property
    def is_done(self) -> bool:
        """Whether all windows are there."""
        return self.is_listed and not self.waiting

    def put(self, tile: Tile, strand_pass: int, fragments: Sequence[GeneFragment]) -> None:
        """Take the next window's fragments, in coordinates of the contig."""
        written = [f for f in fragments if not (f.head_only and self._spliced)]
        on_path = [f for f in fragments if f.head_only and self._spliced]
        of_decoder, of_paths = self._joiners[strand_pass]
        self._merger.add_window(tile, fragments, strand_pass)
        self._merger.add_candidates(of_decoder.add(tile, written))
        self._merger.add_candidates(of_paths.add(tile, on_path), on_paths=True)
        self.waiting -= 1
        is_last = tile.index + 1 == len(self.tiling.tiles)
        if strand_pass + 1 < self.strand_passes:
            self._next_bp = tile.start
        elif not is_last:
            self._next_bp = self.tiling.tiles[tile.index + 1].start

    def block(self) -> Block:
        """Return the candidates that have become final since the last call."""
        candidates = self._merger.finish() if self.is_done else self._final()
        place = self.index, self.contig, self.tiling.circular
        return Block(*place, candidates, self.is_done, self.code)

    def _final(self) -> list[GeneCandidate]:
        joiners = (joiner for pair in self._joiners for joiner in pair)
        horizon = min(joiner.horizon(self._next_bp) for joiner in joiners)
        return self._merger.retire(horizon)
