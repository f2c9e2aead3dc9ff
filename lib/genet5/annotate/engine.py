"""The engine: contigs in, gene candidates out.

Windows are listed as batches (`windows`), decoded, and given back to their contigs in order
(`contig`), which are passed on block by block. Memory holds one pool of windows and what later
windows may still change; nothing grows with the length or the number of contigs. The result does
not depend on the batch size, up to the rounding of matrix products: windows that are read together
(`decode.segments`) are so whatever the batch.

Example:
    engine = load_engine(plan_model(config), choose_machine(config))
    for block in engine.run(contigs, code_of=lambda contig: 11):
        print(block.contig.name, len(block.candidates))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from genet5.annotate.batch_limit import BatchLimit
from genet5.annotate.block import Block
from genet5.annotate.calling_config import CallingConfig
from genet5.annotate.hint_evidence import HintEvidence
from genet5.annotate.journal import Journal
from genet5.annotate.plan import Machine, ModelPlan
from genet5.annotate.windows import Batch, WindowList, WindowPass, WindowRules, evidence_of
from genet5.annotate.workers import Workers
from genet5.decode.greedy import decode_windows
from genet5.decode.likelihood import log_likelihoods
from genet5.decode.segments import encode_windows, segments_at, windows_of_segment
from genet5.decode.window_found import Percents, WindowFound
from genet5.genome.evidence import Channels
from genet5.genome.io.fasta import AnyContig
from genet5.genome.sequence import Bases
from genet5.model.network import GeneT5
from genet5.model.resize import require_fit
from genet5.model.results import Encoded
from genet5.tokens.tokenizer_file import Tokenizer, load_tokenizer

Found = Sequence[WindowFound]
"""Each window of a batch, in coordinates of the contig."""


def ignore(*_: object) -> None:
    """Note nothing."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A model with all that it takes to find gene candidates."""

    model: GeneT5
    tokenizer: Tokenizer
    calling: CallingConfig
    machine: Machine
    strand_passes: int = 1
    segment_windows: int = 1
    """Windows that are read together, if they follow each other."""
    workers: Workers | None = None
    """Other processes that decode, too."""
    keeps_percents: bool = False
    """Whether windows keep the per-base heads' probabilities."""
    limit: BatchLimit = field(default_factory=BatchLimit)
    """What the device's memory takes."""

    def run(
        self,
        contigs: Iterable[AnyContig],
        *,
        code_of: Callable[[AnyContig], int],
        is_circular: Callable[[AnyContig], bool] = lambda _: False,
        journal: Journal | None = None,
        on_bases: Callable[[int], None] = ignore,
        on_percents: Callable[[WindowPass, Percents], None] = ignore,
        evidence: HintEvidence | None = None,
    ) -> Iterator[Block]:
        """Decode all windows; yield candidates as they become final, contig by contig.

        Args:
            contigs: Read as they are needed.
            code_of: NCBI number of a contig's genetic code.
            is_circular: Whether genes may lie over a contig's origin.
            journal: Gets the decoded windows, and has those of an interrupted run.
            on_bases: Called with the number of bases that were just finished.
            on_percents: Called with the per-base heads' probabilities of each window pass, in the
                order of the run, if they are kept.
            evidence: Hints, for a model that has channels for them; None = it reads the sequence
                alone.
        """
        rules = self.window_rules
        windows = WindowList(contigs, rules, code_of, is_circular, on_bases, evidence)
        found: dict[int, WindowFound] = {}
        for batch, some in self._decoded(windows.batches(), journal):
            found |= some
            if batch.is_last:
                for window_pass in batch.pool:
                    percents = found[window_pass.number].percents
                    if percents is not None:
                        on_percents(window_pass, percents)
                windows.put(batch.pool, found)
                yield from windows.blocks()
        yield from windows.blocks()

    @property
    def window_rules(self) -> WindowRules:
        """How windows are laid over contigs and put into batches."""
        return WindowRules(
            window_bp=self.calling.window_bp,
            overlap_bp=self.calling.overlap_bp,
            strand_passes=self.strand_passes,
            spliced=self.calling.grammar.introns,
            batch_size=self.machine.batch_size,
            segment_windows=self.segment_windows,
        )

    def _decoded(
        self, batches: Iterator[Batch], journal: Journal | None
    ) -> Iterator[tuple[Batch, dict[int, WindowFound]]]:
        if self.workers is not None:
            yield from self.workers.decoded(self, batches, journal)
            return
        for batch in batches:
            yield batch, self.found(batch, journal, partial(self.decode, batch))

    def found(
        self, batch: Batch, journal: Journal | None, decode: Callable[[], Found]
    ) -> dict[int, WindowFound]:
        """Return what is in a batch's windows: the journal's, or as they are decoded now.

        Args:
            batch: It is decoded whole, if any of its windows is not known.
            journal: Gets the windows that it does not know.
            decode: Decodes the batch.
        """
        known: dict[int, WindowFound] = {}
        if journal is not None:
            known.update({n: journal.found(n) for n in batch.numbers if journal.knows(n)})
        if len(known) == len(batch.numbers):
            return known
        found = dict(zip(batch.numbers, decode(), strict=True)) | known
        if journal is not None:
            for number in batch.numbers:
                if number not in known:
                    journal.add(number, found[number])
            journal.flush()
        return found

    def decode(self, batch: Batch) -> Found:
        """Decode the windows of a batch."""
        passes = batch.passes
        cores, codes = [p.core for p in passes], [p.code for p in passes]
        bases, evidence = [p.bases for p in passes], evidence_of(passes)
        found = self.decode_bases(bases, cores, codes, batch.places, evidence)
        return [p.placed(some) for p, some in zip(passes, found, strict=True)]

    def decode_bases(
        self,
        windows: Sequence[Bases],
        cores: Sequence[tuple[int, int]],
        codes: Sequence[int],
        places: Sequence[int],
        evidence: Sequence[Channels] = (),
    ) -> Found:
        """Decode the bases of windows; what is found is in coordinates of each window."""
        decode = partial(self._decode_together, windows, cores, codes, places, evidence)
        if self.machine.deterministic:
            return decode(slice(len(windows)))
        segments = segments_at(places)

        def decode_segments(some: slice) -> Found:
            return decode(slice(segments[some][0].first, segments[some][-1].last))

        return self.limit.decode(len(segments), decode_segments)

    def encoded(self, bases: Bases, code: int, evidence: Sequence[Channels] = ()) -> Encoded:
        """Encode one window by itself."""
        with _threads(self.machine.threads):
            return encode_windows(
                self.model, self.tokenizer.sequence, [bases], [code],
                evidence=evidence, use_bf16=self.machine.use_bf16,
            )  # fmt: skip

    def log_likelihoods(
        self, encoded: Encoded, rows: Sequence[NDArray[np.int32]]
    ) -> NDArray[np.float64]:
        """Return the log-likelihood of each row of labels of an encoded window."""
        with _threads(self.machine.threads):
            return log_likelihoods(self.model, encoded, rows, self.tokenizer.structure.pad)

    def _decode_together(
        self,
        windows: Sequence[Bases],
        cores: Sequence[tuple[int, int]],
        codes: Sequence[int],
        places: Sequence[int],
        evidence: Sequence[Channels],
        some: slice,
    ) -> Found:
        """Decode some of the windows in one pass."""
        with _threads(self.machine.threads):
            decoded = decode_windows(
                self.model,
                self.tokenizer,
                windows[some],
                codes[some],
                self.calling.grammar,
                places=places[some],
                clade=self.calling.clade,
                cores=cores[some],
                evidence=evidence[some],
                head_only=self.calling.head_only,
                path=self.calling.path,
                use_bf16=self.machine.use_bf16,
                keep_percents=self.keeps_percents,
            )
        return [WindowFound(window.fragments, window.percents) for window in decoded]


def load_engine(plan: ModelPlan, machine: Machine) -> Engine:
    """Load the plan's model onto the machine's device.

    Raises:
        CheckpointError: The weights are damaged, or do not fit the tokenizer.
    """
    require_fit(plan.folder)
    model = GeneT5.from_pretrained(plan.folder, device=machine.device)
    model.eval().requires_grad_(False)
    if machine.use_bf16:
        model.encoder_to_bf16()
    elif machine.device == "cpu":
        model.interleave()
    return Engine(
        model=model,
        tokenizer=load_tokenizer(plan.folder),
        calling=plan.calling,
        machine=machine,
        strand_passes=plan.strand_passes,
        segment_windows=windows_of_segment(model.config, plan.calling.segment_windows),
    )


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
