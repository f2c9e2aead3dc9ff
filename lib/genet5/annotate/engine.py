"""The engine: contigs in, gene candidates out.

Windows of many contigs are pooled, sorted by length and decoded in batches; results go back to
their contigs, which are finished in the order they came. Memory holds the contigs of one pool and
the fragments found on them; nothing grows with the length of a genome. The result does not depend
on the batch size, up to the rounding of matrix products.

Example:
    engine = load_engine(plan_model(config), choose_machine(config))
    for work in engine.run(contigs, code=11):
        print(work.contig.name, len(work.candidates()))
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from genet5.annotate.calling_config import CallingConfig
from genet5.annotate.contig import ContigWork
from genet5.annotate.journal import Journal
from genet5.annotate.plan import Machine, ModelPlan
from genet5.decode.fragment import GeneFragment
from genet5.decode.greedy import decode_windows
from genet5.genome.io.fasta import Contig
from genet5.genome.sequence import Bases, reverse_complement
from genet5.genome.tiling import ContigTiling, Tile
from genet5.model.network import GeneT5
from genet5.model.resize import require_fit
from genet5.tokens.tokenizer_file import Tokenizer, load_tokenizer

_POOL_BATCHES = 8
"""Batches' worth of windows that are sorted by length together."""
_SHORT_FACTOR = 4
"""A batch of short windows may hold this many times more of them."""


@dataclass(frozen=True)
class WindowPass:
    """One strand pass of one window."""

    work: ContigWork
    strand_pass: int
    """0 forward, 1 reverse complement."""
    tile: Tile

    @property
    def length_bp(self) -> int:
        """Length of the window."""
        return self.tile.end - self.tile.start

    def bases(self) -> Bases:
        """Bases as the model gets them."""
        bases = self.work.bases(self.tile)
        return reverse_complement(bases) if self.strand_pass else bases

    def core(self) -> tuple[int, int]:
        """The window's core, in the coordinates of the pass."""
        low = self.tile.core_start - self.tile.start
        high = self.tile.core_end - self.tile.start
        return (self.length_bp - high, self.length_bp - low) if self.strand_pass else (low, high)

    def placed(self, found: Sequence[GeneFragment]) -> list[GeneFragment]:
        """Return the window's fragments in coordinates of the contig."""
        start, end, reverse = self.tile.start, self.tile.end, bool(self.strand_pass)
        return [fragment.placed(start, end, reverse=reverse) for fragment in found]

    def new_bp(self) -> int:
        """Bases of the contig that this pass finishes: its core's, each base counted once."""
        tile, limit = self.tile, self.work.tiling.contig_bp
        share = min(tile.core_end, limit) - min(tile.core_start, limit)
        return share if self.strand_pass == self.work.strand_passes - 1 else 0


def ignore(_: int) -> None:
    """Count nothing."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A model with all that it takes to find gene candidates."""

    model: GeneT5
    tokenizer: Tokenizer
    calling: CallingConfig
    machine: Machine
    strand_passes: int = 1

    def run(
        self,
        contigs: Iterable[Contig],
        *,
        code: int,
        is_circular: Callable[[Contig], bool] = lambda _: False,
        journal: Journal | None = None,
        on_bases: Callable[[int], None] = ignore,
    ) -> Iterator[ContigWork]:
        """Decode all windows; yield the contigs in order, each when its last window is done.

        Args:
            contigs: Read as they are needed.
            code: NCBI number of their genetic code.
            is_circular: Whether genes may lie over a contig's origin.
            journal: Gets the decoded windows, and has those of an interrupted run.
            on_bases: Called with the number of bases that were just finished.
        """
        open_work: deque[ContigWork] = deque()
        pool: list[WindowPass] = []
        for index, contig in enumerate(contigs):
            work = self._start(index, contig, code, is_circular(contig))
            open_work.append(work)
            passes = _recalled(work, journal)
            on_bases(len(contig.bases) if not passes else 0)
            for window_pass in passes:
                pool.append(window_pass)
                if len(pool) >= _POOL_BATCHES * self.machine.batch_size:
                    self._drain(pool, journal, on_bases)
            while open_work and not open_work[0].waiting:
                yield open_work.popleft()
        self._drain(pool, journal, on_bases)
        yield from open_work

    def _start(self, index: int, contig: Contig, code: int, circular: bool) -> ContigWork:
        """Lay windows over a contig."""
        size = self.calling.window_bp, self.calling.overlap_bp
        tiling = ContigTiling.even(len(contig.bases), *size, circular=circular)
        spliced = self.calling.grammar.introns
        return ContigWork(index, contig, tiling, code, self.strand_passes, spliced)

    def _drain(
        self, pool: list[WindowPass], journal: Journal | None, on_bases: Callable[[int], None]
    ) -> None:
        """Decode the whole pool, longest windows first."""
        pool.sort(key=lambda p: (-p.length_bp, p.work.index, p.tile.index, p.strand_pass))
        for batch in plan_batches(pool, self.machine.batch_size, self.calling.window_bp):
            self.decode(batch)
            for window_pass in batch:
                if journal is not None:
                    place = (window_pass.strand_pass, window_pass.tile.index)
                    fragments = window_pass.work.fragments(place)
                    journal.add((window_pass.work.index, *place), fragments)
                on_bases(window_pass.new_bp())
            if journal is not None:
                journal.flush()
        pool.clear()

    def decode(self, batch: Sequence[WindowPass]) -> None:
        """Decode some windows in one batch and give the fragments to their contigs."""
        with _threads(self.machine.threads):
            decoded = decode_windows(
                self.model,
                self.tokenizer,
                [window_pass.bases() for window_pass in batch],
                [window_pass.work.code for window_pass in batch],
                self.calling.grammar,
                clade=self.calling.clade,
                cores=[window_pass.core() for window_pass in batch],
                head_only=self.calling.head_only,
                use_bf16=self.machine.use_bf16,
            )
        for window_pass, found in zip(batch, decoded, strict=True):
            place = (window_pass.strand_pass, window_pass.tile.index)
            window_pass.work.put(place, window_pass.placed(found.fragments))


def load_engine(plan: ModelPlan, machine: Machine) -> Engine:
    """Load the plan's model onto the machine's device.

    Raises:
        CheckpointError: The weights are damaged, or do not fit the tokenizer.
    """
    require_fit(plan.folder)
    model = GeneT5.from_pretrained(plan.folder, device=machine.device)
    return Engine(
        model=model.eval().requires_grad_(False),
        tokenizer=load_tokenizer(plan.folder),
        calling=plan.calling,
        machine=machine,
        strand_passes=plan.strand_passes,
    )


def plan_batches(
    passes: Sequence[WindowPass], batch_size: int, window_bp: int
) -> Iterator[list[WindowPass]]:
    """Cut sorted passes into batches of `batch_size` whole windows, or some more of short ones."""
    batch: list[WindowPass] = []
    for window_pass in passes:
        full = (len(batch) + 1) * batch[0].length_bp > batch_size * window_bp if batch else False
        if full or len(batch) >= _SHORT_FACTOR * batch_size:
            yield batch
            batch = []
        batch.append(window_pass)
    if batch:
        yield batch


def _recalled(work: ContigWork, journal: Journal | None) -> list[WindowPass]:
    """Give a contig what an earlier run found; return the passes that are left."""
    passes = []
    for strand_pass, index in work.places:
        known = None if journal is None else journal.fragments((work.index, strand_pass, index))
        if known is None:
            passes.append(WindowPass(work, strand_pass, work.tiling.tiles[index]))
        else:
            work.put((strand_pass, index), known)
    return passes


@contextmanager
def _threads(wanted: int | None) -> Iterator[None]:
    """Let PyTorch use this many CPU threads for a while; the caller's own setting comes back."""
    if wanted is None:
        yield
        return
    former = torch.get_num_threads()
    torch.set_num_threads(wanted)
    try:
        yield
    finally:
        torch.set_num_threads(former)
