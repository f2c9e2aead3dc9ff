"""An oracle of the grammar: written genes checked one by one, base by base, against the arrays of
`signals`.

The rules of `automaton` once more, asked of one gene at a time instead of as masks. The limit on
the number of labels is not checked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genet5.config.clades import CLADES
from genet5.errors import DataError
from genet5.genome.sequence import Bases
from genet5.tokens.automaton import Grammar
from genet5.tokens.legality import Violation, violations
from genet5.tokens.rules import (
    AFTER,
    BEFORE,
    CDS,
    EXON,
    INSIDE,
    NO_FRAME,
    UNCUT,
    UTR,
    UTR_SLOTS,
    GrammarOptions,
    whole_slots,
)
from genet5.tokens.signals import OPENING, Codon, build_signals, cut_codon
from genet5.tokens.vocabulary import StructureVocabulary
from genet5.tokens.window import WindowGene


def legal_weights(
    labels: ArrayLike,
    bases: Bases,
    genetic_code: int,
    options: GrammarOptions,
    vocabulary: StructureVocabulary,
) -> NDArray[np.float32]:
    """Weights of a window's labels in a loss under the grammar's mask.

    A refused gene leaves no trace: the genes after it are checked as if it were not there.

    Returns:
        (T,) float32: 0 on all labels of a gene that the grammar refuses and on <pad>, else 1.
    """
    row = np.asarray(labels).tolist()
    weights = np.ones(len(row), dtype=np.float32)
    spans = _gene_spans(row, vocabulary)
    weights[[label == vocabulary.pad for label in row]] = 0
    if spans:
        replay = Replay(bases, genetic_code, options, vocabulary)
        for start, end in spans:
            if not replay.accepts(row[start:end]):
                weights[start:end] = 0
    return weights


def first_illegal(
    labels: ArrayLike,
    bases: Bases,
    genetic_code: int,
    options: GrammarOptions,
    vocabulary: StructureVocabulary,
) -> int | None:
    """Index of the first label that the grammar would not have offered; None if the row is legal up
    to its end.

    <pad> may follow <eos>; a row that ends before <eos> is illegal at its end. Legal rows are
    quick; for the others the automaton is run to the spot.
    """
    row = np.asarray(labels).tolist()
    if _is_legal(row, bases, genetic_code, options, vocabulary):
        return None
    prompt = [vocabulary.bos, vocabulary.code(genetic_code)]
    clade = row[2] - vocabulary.first_clade if len(row) > 2 else -1
    name = [*CLADES][clade] if 0 <= clade < len(CLADES) else None
    if row[:2] != prompt:
        return 0 if row[:1] != prompt[:1] else 1
    roomy = replace(options, max_labels=len(row) + options.max_labels)
    grammar = Grammar([bases], [genetic_code], roomy, vocabulary, clades=[name])
    for index in range(len(grammar.prompt[0]), len(row)):
        if grammar.finished[0]:
            if row[index] != vocabulary.pad:
                return index
            continue
        try:
            grammar.advance([row[index]])
        except DataError:
            return index
    return None if grammar.finished[0] else len(row)


def automaton_accepts(
    labels: ArrayLike, bases: Bases, genetic_code: int, options: GrammarOptions
) -> bool:
    """Whether the automaton takes all labels after the prompt, one after the other."""
    roomy = replace(options, max_labels=1 << 16)
    grammar = Grammar([bases], [genetic_code], roomy, StructureVocabulary())
    for label in np.asarray(labels).tolist()[len(grammar.prompt[0]) :]:
        try:
            grammar.advance([label])
        except DataError:
            return False
    return bool(grammar.finished[0])


def view_violations(
    gene: WindowGene, bases: Bases, genetic_code: int, options: GrammarOptions
) -> tuple[Violation, ...]:
    """What a gene violates as far as a window shows it."""
    return tuple(
        violation
        for transcript in gene.transcripts
        for violation in violations(
            [(part.kind, part.first, part.last + 1) for part in transcript.parts],
            gene.strand,
            bases,
            genetic_code,
            options,
            open_left=transcript.cut_left,
            open_right=transcript.cut_right,
            frame=transcript.frame,
        )
    )


def _gene_spans(row: list[int], vocabulary: StructureVocabulary) -> list[tuple[int, int]]:
    """Where each gene's labels lie: from its type to the next type, <eos>, <pad> or the end."""
    marks = [
        index
        for index, label in enumerate(row)
        if label >= vocabulary.first_type or label in (vocabulary.eos, vocabulary.pad)
    ]
    ends = [*marks[1:], len(row)]
    return [(i, j) for i, j in zip(marks, ends, strict=False) if row[i] >= vocabulary.first_type]


def _is_legal(
    row: list[int],
    bases: Bases,
    genetic_code: int,
    options: GrammarOptions,
    vocabulary: StructureVocabulary,
) -> bool:
    if row[:2] != [vocabulary.bos, vocabulary.code(genetic_code)] or vocabulary.eos not in row:
        return False
    first_clade = vocabulary.first_clade
    begin = 3 if first_clade <= row[2] < first_clade + len(CLADES) else 2
    end = row.index(vocabulary.eos)
    if any(label != vocabulary.pad for label in row[end + 1 :]):
        return False
    spans = _gene_spans(row, vocabulary)
    if (spans[0][0] if spans else end) != begin or (spans and spans[-1][1] != end):
        return False
    replay = Replay(bases, genetic_code, options, vocabulary)
    return all(replay.accepts(row[start:stop]) for start, stop in spans)


@dataclass
class _Transcript:
    """A transcript as far as it is read."""

    slot: int
    first_of_gene: bool
    stage: int = BEFORE
    codon: Codon = OPENING
    kind: int = -1
    last: int = -1
    splice: int = 0
    complete: bool = False


class Replay:
    """The genes of one window, given one after the other in the language's order."""

    def __init__(
        self,
        bases: Bases,
        genetic_code: int,
        options: GrammarOptions,
        vocabulary: StructureVocabulary,
    ) -> None:
        self.options, self.vocabulary = options, vocabulary
        self.signals = build_signals([bases], [genetic_code], options)
        self.length = len(bases)
        self._types = {vocabulary.gene_type(name): name for name in options.gene_types}
        self._kinds = {vocabulary.cds: CDS, vocabulary.utr: UTR, vocabulary.exon: EXON}
        self._floor, self._type, self._strand, self._coding = -1, 0, 0, False
        self._used: set[tuple[int, int, int]] = set()

    def restart(self) -> None:
        """Forget the genes so far."""
        self._floor, self._used = -1, set()

    def accepts(self, labels: list[int]) -> bool:
        """Whether the gene with these labels (TYPE first) may come next; if so it does."""
        v = self.vocabulary
        head = labels[:2]
        if len(labels) < 3 or head[0] not in self._types or head[1] not in (v.plus, v.minus):
            return False
        self._type, self._strand = head[0], int(head[1] == v.minus)
        self._coding = self._types[head[0]] in self.options.coding_types
        index, isoform, key = 2, 0, None
        while index < len(labels):
            if isoform == self.options.isoforms:
                return False
            end, begins = self._read(labels, index, first_of_gene=isoform == 0)
            if end < 0:
                return False
            key = begins if isoform == 0 else key
            index, isoform = end, isoform + 1
        assert key is not None
        position, slot = key
        if position > self._floor:
            self._floor, self._used = position, set()
        self._used.add((self._strand, slot, self._type))
        return True

    def _read(
        self, labels: list[int], index: int, *, first_of_gene: bool
    ) -> tuple[int, tuple[int, int]]:
        """Read a transcript from <tx> on.

        Returns:
            The index after it, -1 if it is illegal; its first position (-1: none) and slot.
        """
        v = self.vocabulary
        refused = (-1, (-1, UNCUT))
        padded = [*labels, v.eos, v.eos, v.eos]
        if padded[index] != v.tx:
            return refused
        index += 1
        slot = UNCUT
        if padded[index] == v.cut_left:
            slot = padded[index + 1] - v.frame_0
            if not 0 <= slot <= NO_FRAME:
                return refused
            index += 2
        state = _Transcript(slot, first_of_gene)
        if self._coding and slot == NO_FRAME:
            state.stage = AFTER
        position = -1
        while padded[index] in self._kinds:
            first, last = -1 - padded[index + 1], -1 - padded[index + 2]
            if not 0 <= first <= last < self.length:
                return refused
            position = first if state.last < 0 else position
            if not self._take_part(state, self._kinds[padded[index]], first, last):
                return refused
            index += 3
        if padded[index] == v.cut_right:
            legal = state.splice > 0 if state.last >= 0 else self._may_be_empty(state)
            index += 1
        else:
            legal = state.complete
        if not legal or padded[index] not in (v.tx, v.eos):
            return refused
        return index, (position, slot)

    def _is_new(self, state: _Transcript, position: int) -> bool:
        """The order of genes allows one that begins at `position`."""
        if not state.first_of_gene:
            return True
        key = (self._strand, state.slot, self._type)
        return position > self._floor or (position == self._floor and key not in self._used)

    def _may_be_empty(self, state: _Transcript) -> bool:
        whole = whole_slots(self.options.utr)[int(self._coding), state.slot]
        return self.options.introns and bool(whole) and self._is_new(state, -1)

    def _take_part(self, state: _Transcript, kind: int, first: int, last: int) -> bool:
        """Move `state` over a part; False if the part is illegal."""
        if (kind == EXON) == self._coding or (kind == UTR and not self.options.utr):
            return False
        begins = self._begins if state.last < 0 else self._continues
        if not begins(state, kind, first):
            return False
        if kind == CDS:
            state.stage = INSIDE
            legal = self._take_coding(state, first, last)
        else:
            legal = self._take_other(state, kind, last)
        state.kind, state.last = kind, last
        return legal

    def _begins(self, state: _Transcript, kind: int, first: int) -> bool:
        """A transcript's first part may start at `first`; sets the codon."""
        slot, strand, signals = state.slot, self._strand, self.signals
        allowed = {CDS: slot != NO_FRAME, UTR: UTR_SLOTS[strand, slot], EXON: slot >= NO_FRAME}
        if not allowed[kind] or not self._is_new(state, first):
            return False
        if slot != UNCUT:
            if not (signals.starts[0, strand, first] if self.options.introns else first == 0):
                return False
            if kind == CDS:
                state.codon = cut_codon(strand, slot, self.options.utr)
        return kind != CDS or bool(signals.part_starts(0, strand, state.codon, first, first + 1)[0])

    def _continues(self, state: _Transcript, kind: int, first: int) -> bool:
        """A further part may start at `first`; sets stage and codon."""
        strand, signals = self._strand, self.signals
        adjacent = kind != state.kind
        if kind == CDS:
            if state.stage == AFTER:
                return False
            if state.stage == BEFORE:
                state.codon = OPENING
        elif kind == UTR and state.stage == INSIDE:
            if not state.complete:
                return False
            state.stage = AFTER
        if first == state.last + 1 and adjacent:
            return kind != CDS or bool(signals.opens[0, strand, first])
        gap = first - state.last - 1
        if not self.options.introns or gap < (1 if signals.free else self.options.min_intron):
            return False
        if not signals.starts[0, strand, first] & state.splice:
            return False
        return kind != CDS or bool(signals.part_starts(0, strand, state.codon, first, first + 1)[0])

    def _take_other(self, state: _Transcript, kind: int, last: int) -> bool:
        signals, strand = self.signals, self._strand
        state.splice = int(signals.ends[0, strand, last])
        before = kind == UTR and state.stage == BEFORE
        state.complete = not before or signals.free
        return not before or state.splice > 0 or bool(signals.opens[0, strand, last + 1])

    def _take_coding(self, state: _Transcript, first: int, last: int) -> bool:
        signals, strand, codon = self.signals, self._strand, state.codon
        state.splice = int(signals.ends[0, strand, last])
        if signals.free:
            state.complete = True
            return True
        reach = signals.reach(0, strand, codon, first)
        at_first = last == reach.frame - 1
        in_frame = last >= reach.frame + 2 and (last - reach.frame) % 3 == 2
        closes = in_frame and bool(signals.closes[0, strand, last])
        must = strand == 0 and (closes or (at_first and reach.stops))
        state.complete = closes or (at_first and reach.closes)
        state.codon = self._moved(codon, first, last, is_past=last >= reach.frame - 1)
        legal = last <= reach.limit and (state.complete or state.splice > 0)
        if must:
            state.stage = AFTER
            state.splice = state.splice if self.options.utr else 0
        return legal

    def _moved(self, codon: Codon, first: int, last: int, *, is_past: bool) -> Codon:
        """The codon in progress after the part."""
        size = codon.count + last - first + 1
        tail = self.signals.symbols[0, max(first, last - 1) : last + 1].tolist()
        known = [codon.x, codon.y][: codon.count] + tail
        count = size % 3
        x, y = [*known[len(known) - count :], 0, 0][:2]
        return Codon(0 if is_past else codon.mode, count, x, y)
