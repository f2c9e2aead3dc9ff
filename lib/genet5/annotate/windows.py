"""The windows of a run, listed lazily: contigs in, batches of windows out.

Windows that follow each other in one strand pass of a contig are read together, as a segment
(`decode.segments`): the contig's first few, its next few and so on, without windows that have no
known base. Segments of many contigs are pooled, sorted by length and cut into batches. What a batch
holds depends on the genome, the windows and the batch size alone, not on what an earlier run found
nor on the number of processes: so that a resumed run, and one of several processes, compute the
same. What a segment holds does not even depend on the batch size.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from genet5.annotate.block import Block
from genet5.annotate.contig import ContigWork
from genet5.annotate.hint_evidence import HintEvidence
from genet5.decode.window_found import WindowFound
from genet5.genome.evidence import Channels, mirrored_channels
from genet5.genome.io.fasta import AnyContig
from genet5.genome.sequence import Bases, reverse_complement
from genet5.genome.tiling import ContigTiling, Tile

_POOL_BATCHES = 8
"""Batches' worth of windows that are sorted by length together."""
_SHORT_FACTOR = 4
"""A batch of short windows may hold this many times more of them."""
_MOST_OPEN = 4096
"""Contigs that may be open at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class WindowPass:
    """One strand pass of one window."""

    number: int
    """In the order of the run; windows without any known base have none."""
    work: ContigWork
    strand_pass: int
    """0 forward, 1 reverse complement."""
    tile: Tile
    forward_bases: Bases

    @property
    def length_bp(self) -> int:
        """Length of the window."""
        return self.tile.end - self.tile.start

    @property
    def bases(self) -> Bases:
        """Bases as the model gets them."""
        return reverse_complement(self.forward_bases) if self.strand_pass else self.forward_bases

    @property
    def evidence(self) -> Channels | None:
        """Channels of hints as the model gets them; None = it reads the sequence alone."""
        work, tile = self.work, self.tile
        if work.evidence is None:
            return None
        where = tile.start, tile.end, work.tiling.contig_bp
        channels = work.evidence.channels(work.index, *where)
        return mirrored_channels(channels) if self.strand_pass else channels

    @property
    def code(self) -> int:
        """NCBI number of the genetic code."""
        return self.work.code

    @property
    def core(self) -> tuple[int, int]:
        """The window's core, in the coordinates of the pass."""
        low = self.tile.core_start - self.tile.start
        high = self.tile.core_end - self.tile.start
        return (self.length_bp - high, self.length_bp - low) if self.strand_pass else (low, high)

    def place_after(self, first: WindowPass) -> int:
        """Where the pass begins, counted from where the first of its segment does."""
        if self.strand_pass:
            return first.tile.end - self.tile.end
        return self.tile.start - first.tile.start

    def placed(self, found: WindowFound) -> WindowFound:
        """Return what was found in the window in coordinates of the contig."""
        return found.placed(self.tile.start, self.tile.end, reverse=bool(self.strand_pass))

    def new_bp(self) -> int:
        """Bases of the contig that this pass finishes: its core's, each base counted once."""
        tile, limit = self.tile, self.work.tiling.contig_bp
        share = min(tile.core_end, limit) - min(tile.core_start, limit)
        return share if self.strand_pass == self.work.strand_passes - 1 else 0


def evidence_of(passes: Sequence[WindowPass]) -> list[Channels]:
    """Return the channels of hints of each window; none at all without hints."""
    return [channels for each in passes if (channels := each.evidence) is not None]


Segment = Sequence[WindowPass]
"""Windows that follow each other in one strand pass, in its reading direction."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Windows that are decoded together."""

    segments: Sequence[Segment]
    pool: list[WindowPass]
    """All windows of the batch's pool, in the order of the run."""
    is_last: bool
    """Whether it is the pool's last."""

    @property
    def passes(self) -> list[WindowPass]:
        """Its windows, segment by segment."""
        return [window_pass for segment in self.segments for window_pass in segment]

    @property
    def places(self) -> list[int]:
        """Where each of its windows begins on its segment."""
        return [each.place_after(segment[0]) for segment in self.segments for each in segment]

    @property
    def numbers(self) -> list[int]:
        """Numbers of its windows."""
        return [window_pass.number for window_pass in self.passes]


@dataclass(frozen=True, kw_only=True)
class WindowRules:
    """How windows are laid over contigs and put into batches."""

    window_bp: int
    overlap_bp: int
    strand_passes: int
    spliced: bool
    batch_size: int
    segment_windows: int
    """Windows that are read together, if they follow each other."""


class WindowList:
    """Lists the windows of contigs as batches; hands out blocks when their windows are back.

    Args:
        contigs: Read as they are needed.
        rules: Windows and batches.
        code_of: NCBI number of a contig's genetic code.
        is_circular: Whether genes may lie over a contig's origin.
        on_bases: Called with the number of bases that were just finished.
        evidence: Hints that the network reads; None = it reads the sequence alone.
    """

    def __init__(
        self,
        contigs: Iterable[AnyContig],
        rules: WindowRules,
        code_of: Callable[[AnyContig], int],
        is_circular: Callable[[AnyContig], bool],
        on_bases: Callable[[int], None],
        evidence: HintEvidence | None = None,
    ) -> None:
        self._contigs, self._rules, self._evidence = contigs, rules, evidence
        self._code_of, self._is_circular, self._on_bases = code_of, is_circular, on_bases
        self._open: deque[ContigWork] = deque()

    def batches(self) -> Iterator[Batch]:
        """List all windows, pool by pool."""
        pool: list[WindowPass] = []
        number, size = 0, self._rules.segment_windows
        most = _POOL_BATCHES * self._rules.batch_size
        for index, contig in enumerate(self._contigs):
            work, segment = self._begin(index, contig), -1
            for tile, strand_pass, bases in work.windows():
                is_first = tile.index // size != segment
                if is_first and len(pool) >= most:
                    yield from self._cut(pool)
                    pool = []
                segment = tile.index // size
                pool.append(WindowPass(number, work, strand_pass, tile, bases))
                number += 1
            if len(pool) >= most or (len(self._open) > _MOST_OPEN and pool):
                yield from self._cut(pool)
                pool = []
        yield from self._cut(pool)

    def put(self, pool: Sequence[WindowPass], found: dict[int, WindowFound]) -> None:
        """Take what was found in a pool's windows, which are named by number."""
        for window_pass in pool:
            place = window_pass.tile, window_pass.strand_pass
            window_pass.work.put(*place, found.pop(window_pass.number).fragments)
            self._count(window_pass.work, window_pass.new_bp())

    def blocks(self) -> Iterator[Block]:
        """Yield what has become final since the last call."""
        while self._open and self._open[0].is_done:
            work = self._open.popleft()
            yield work.block()
            self._count(work, len(work.contig.bases) - work.counted_bp)
        if self._open:
            block = self._open[0].block()
            if block.candidates:
                yield block

    def _begin(self, index: int, contig: AnyContig) -> ContigWork:
        rules, circular = self._rules, self._is_circular(contig)
        size = rules.window_bp, rules.overlap_bp
        tiling = ContigTiling.even(len(contig.bases), *size, circular=circular)
        work = ContigWork(
            index, contig, tiling, self._code_of(contig), rules.strand_passes,
            spliced=rules.spliced, evidence=self._evidence,
        )  # fmt: skip
        self._open.append(work)
        return work

    def _cut(self, pool: list[WindowPass]) -> Iterator[Batch]:
        """Cut a pool into batches, longest windows first."""
        size, window_bp = self._rules.batch_size, self._rules.window_bp
        segments = segments_of(pool, self._rules.segment_windows)
        batches = list(plan_batches(segments, size, window_bp))
        for number, some in enumerate(batches, 1):
            yield Batch(some, pool, number == len(batches))

    def _count(self, work: ContigWork, bases: int) -> None:
        work.counted_bp += bases
        self._on_bases(bases)


def segments_of(passes: Iterable[WindowPass], most: int) -> list[Segment]:
    """Put windows into segments.

    Args:
        passes: In the order of the run.
        most: Windows of a segment.

    Returns:
        Those of long windows first, then long ones, then those that come first.
    """
    open_segments: dict[tuple[int, int], list[WindowPass]] = {}
    segments: list[list[WindowPass]] = []
    for each in passes:
        key = each.work.index, each.strand_pass
        last, index = open_segments.get(key), each.tile.index
        if last and index == last[-1].tile.index + 1 and index % most:
            last.append(each)
        else:
            segments.append([each])
            open_segments[key] = segments[-1]
    longest_first = sorted(segments, key=lambda s: (-s[0].length_bp, -len(s), s[0].number))
    return [segment[::-1] if segment[0].strand_pass else segment for segment in longest_first]


def plan_batches(
    segments: Sequence[Segment], batch_size: int, window_bp: int
) -> Iterator[list[Segment]]:
    """Cut sorted segments into batches of `batch_size` whole windows, or some more of short ones.

    A batch has one segment at least.
    """
    batch: list[Segment] = []
    count = 0
    for segment in segments:
        count += len(segment)
        full = count * batch[0][0].length_bp > batch_size * window_bp if batch else False
        if full or (batch and count > _SHORT_FACTOR * batch_size):
            yield batch
            batch, count = [], len(segment)
        batch.append(segment)
    if batch:
        yield batch
