"""From candidates to genes, with what the genome's own genes teach.

Contigs that teach together are held, as calls (`adapt.calls`), until the last one is decoded; then
their genes are re-scored contig by contig. `auto` takes genomes up to `MOST_AUTO_BP` and
`MOST_AUTO_CONTIGS` together; of larger input (a metagenome) each contig teaches itself alone and is
not held, and longer contigs stay as the network has them: memory does not grow with the input. So
do those with less than `LEAST_GENES` confident genes.

Example:
    adaptation = Adaptation(rules, "genome")
    for block in adaptation.chosen(engine.run(contigs, code_of=lambda contig: 11)):
        print(block.contig.name, len(block.genes))
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby

import numpy as np
from numpy.typing import NDArray

from genet5.annotate.adapt.calls import ContigCalls, contig_calls
from genet5.annotate.adapt.model import GenomeModel, Tally, no_hexamers
from genet5.annotate.adapt.propose import propose
from genet5.annotate.adapt.ragged import Ints, row_softmax
from genet5.annotate.adapt.record import Learned
from genet5.annotate.adapt.rescore import StartWeights, placed, rescored
from genet5.annotate.adapt.spans import Spans
from genet5.annotate.adapt.strand import ContigReader
from genet5.annotate.block import Block
from genet5.annotate.candidate import GeneCandidate
from genet5.annotate.freed_memory import release_freed_memory
from genet5.annotate.select import (
    SelectionRules,
    legal_candidates,
    select_candidates,
    select_indices,
)
from genet5.config.annotate import AdaptName
from genet5.genome.io.fasta import AnyContig

log = logging.getLogger(__name__)

MOST_AUTO_BP = 20_000_000
"""Longer than any bacterial genome."""
MOST_AUTO_CONTIGS = 1_000
"""More than a usable assembly of a genome has; each takes some 40 kB of memory."""
LEAST_GENES = 50
"""Confident genes that it takes to learn from them."""
LONG_BP = 100_000
"""Where a contig of this length is decoded, memory that decoding freed goes back to the system: it
takes a thousandth of the time."""
CONFIDENT = 0.8
"""Genes with a higher probability are learned from."""

Chosen = list[tuple[GeneCandidate, float]]
"""Genes with the probabilities of their 3' ends."""


@dataclass(frozen=True, slots=True)
class ChosenBlock:
    """The genes of an interval of a contig; every contig has one block at least."""

    index: int
    """Number of the contig in the run."""
    contig: AnyContig
    genes: Chosen
    is_last: bool
    """Whether it is the contig's last."""
    code: int
    """NCBI number of the contig's genetic code."""


@dataclass(frozen=True, slots=True)
class Held:
    """A finished contig that waits for the others."""

    index: int
    """Number of the contig in the run."""
    contig: AnyContig
    reader: ContigReader
    calls: ContigCalls
    genes: Ints
    """Indices of the calls that the network alone would choose."""
    confident: NDArray[np.bool_]
    """(len(genes),) Which of them are learned from."""

    @property
    def upstream(self) -> Spans:
        """The genes that the network alone would choose."""
        return self.calls.spans.take(self.genes)


class Adaptation:
    """Chooses the genes among the candidates of a run.

    Args:
        rules: How candidates become genes; their calling has `adapt` unless `mode` is off. The
            genetic code is that of each block.
        mode: Which contigs teach together.
        on_learned: Gets what was learned, once, or once a contig.
    """

    def __init__(
        self,
        rules: SelectionRules,
        mode: AdaptName,
        on_learned: Callable[[Learned], None] = lambda _: None,
    ) -> None:
        self._rules, self._on_learned = rules, on_learned
        self._mode: AdaptName = mode
        self._num_learned = 0

    def chosen(self, blocks: Iterable[Block]) -> Iterator[ChosenBlock]:
        """Yield the genes of contigs, in order."""
        if self._mode == "off":
            for block in blocks:
                yield self._unadapted(block)
            return
        most_bp = {"genome": math.inf, "auto": MOST_AUTO_BP, "contig": 0}[self._mode]
        held: list[Held] = []
        bases = number = 0
        for _, group in groupby(blocks, key=lambda block: block.index):
            first = next(group)
            own = chain([first], group)  # noqa: B031 - all of the group, once
            size = len(first.contig.bases)
            bases, number = bases + size, number + 1
            is_apart = bases > most_bp or (self._mode == "auto" and number > MOST_AUTO_CONTIGS)
            if is_apart:
                yield from self._apart(held)
                held = []
            if is_apart and not self._may_teach(size):
                yield from map(self._unadapted, own)
            elif is_apart:
                yield from self._together([self._held(first, own)])
            else:
                held.append(self._held(first, own))
        if held:
            yield from self._together(held)
        elif self._num_learned > 1:
            log.info("learned from each of %d contigs by itself", self._num_learned)

    def _may_teach(self, size_bp: int) -> bool:
        """Whether a contig alone may have enough genes, and may be held."""
        least = LEAST_GENES * self._rules.calling.min_coding_bp
        return size_bp >= least and not (self._mode == "auto" and size_bp > MOST_AUTO_BP)

    def _unadapted(self, block: Block) -> ChosenBlock:
        """Choose among a block's candidates as the network has them."""
        rules = self._rules_of(block)
        legal = legal_candidates(block, rules)
        genes = select_candidates(legal, rules, len(block.contig.bases))
        return ChosenBlock(block.index, block.contig, genes, block.is_last, block.code)

    def _held(self, first: Block, blocks: Iterable[Block]) -> Held:
        """Keep what is needed of a contig's blocks, the first among them."""
        rules = self._rules_of(first)
        legal = [one for block in blocks for one in legal_candidates(block, rules)]
        if len(first.contig.bases) >= LONG_BP:
            release_freed_memory()
        return hold(first.index, first.contig, legal, rules, circular=first.circular)

    def _rules_of(self, block: Block) -> SelectionRules:
        return replace(self._rules, code=block.code, part=block.index)

    def _apart(self, held: Sequence[Held]) -> Iterator[ChosenBlock]:
        """Let each contig teach itself."""
        for one in held:
            yield from self._together([one])

    def _together(self, held: Sequence[Held]) -> Iterator[ChosenBlock]:
        """Learn from contigs together, and choose their genes."""
        adapt = self._rules.calling.adapt
        genome = learn(held, None if adapt is None else adapt.starts)
        if genome is not None:
            names = [one.contig.name for one in held]
            learned = Learned.of(genome, names, spliced=self._rules.calling.grammar.introns)
            self._num_learned += 1
            self._on_learned(learned)
            log.log(logging.INFO if self._num_learned == 1 else logging.DEBUG, "%s", learned)
        for one in held:
            rules = replace(self._rules, part=one.index)
            genes = choose(one, genome, rules)
            yield ChosenBlock(one.index, one.contig, genes, True, one.reader.code)


def hold(
    index: int,
    contig: AnyContig,
    legal: Sequence[GeneCandidate],
    rules: SelectionRules,
    *,
    circular: bool,
) -> Held:
    """Keep what is needed of a contig with these legal candidates, sorted by start."""
    reader = ContigReader(
        contig.bases, rules.code, rules.calling.grammar.start_codons, circular=circular
    )
    kept, p = select_indices(legal, rules, len(contig.bases))
    genes = np.array(kept, dtype=np.int64)
    calls = contig_calls(contig.name, legal, reader)
    return Held(index, contig, reader, calls, genes, p[genes] > CONFIDENT)


def learn(held: Sequence[Held], starts: StartWeights | None) -> GenomeModel | None:
    """Learn from contigs together; None if they have too few confident genes.

    Args:
        held: The contigs.
        starts: With what starts weigh, a second round learns from starts as the first has them;
            None: one round, from the votes.
    """
    if sum(int(one.confident.sum()) for one in held) < LEAST_GENES:
        return None
    background = sum((one.reader.background() for one in held), start=no_hexamers())
    first = _tallied(held, background, None, None)
    return first if first is None or starts is None else _tallied(held, background, first, starts)


def _tallied(
    held: Sequence[Held],
    background: Ints,
    former: GenomeModel | None,
    starts: StartWeights | None,
) -> GenomeModel | None:
    """Learn in one round."""
    tally = Tally(background)
    for one in held:
        posterior = None
        if former is not None and starts is not None:
            scores = starts.scores(former.start_features(one.calls, one.upstream))
            posterior = row_softmax(scores, one.calls.firsts)
        tally.add(one.calls, one.genes, one.confident, posterior)
    return tally.learned() if tally.num_genes >= LEAST_GENES else None


def choose(one: Held, genome: GenomeModel | None, rules: SelectionRules) -> Chosen:
    """Choose a contig's genes by what was learned, or without."""
    size, adapt = len(one.contig.bases), rules.calling.adapt
    if genome is None or adapt is None:
        return select_candidates(one.calls.candidates, rules, size)
    moved = reconsidered(one, genome, adapt.starts, rules)
    calling = replace(rules.calling, scoring=adapt.scoring, min_score=adapt.min_score)
    return select_candidates(moved, replace(rules, calling=calling), size)


def reconsidered(
    one: Held, genome: GenomeModel, starts: StartWeights, rules: SelectionRules
) -> list[GeneCandidate]:
    """Return a contig's candidates at their most probable starts, with those that are proposed.

    Where genes have introns nothing is proposed: an open reading frame may be an exon.
    """
    size = len(one.contig.bases)
    written = placed(one.calls, one.upstream, genome, starts)
    sure = written.spans.take(one.genes[one.confident])
    found = rescored(written, genome, sure)
    if not rules.calling.grammar.introns:
        known = {(c.strand, c.stop_base % size) for c in one.calls.candidates}
        gene_type = rules.calling.grammar.coding_types[0]
        more = propose(one.reader, genome, starts, known, gene_type)
        calls = contig_calls(one.contig.name, more, one.reader)
        found += rescored(placed(calls, one.upstream, genome, starts), genome, sure)
    found.sort(key=lambda c: (c.start, c.end, c.strand, c.type, c.parts))
    return found
