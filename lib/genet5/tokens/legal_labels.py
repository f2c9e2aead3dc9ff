"""Which label may come next in each window of a batch: the half of the grammar that asks.

`LegalLabels` holds what was read off the DNA (`signals`), where each row stands (`grammar_state`),
and masks of what is legal there, computed when they are first asked for. It takes no label: that is
`automaton`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from genet5.errors import DataError
from genet5.genome.sequence import Bases
from genet5.tokens.grammar_state import Phase, State
from genet5.tokens.rules import (
    BEFORE,
    CDS,
    EXON,
    INSIDE,
    NO_FRAME,
    NON_CODING_SLOTS,
    UNCUT,
    UTR,
    UTR_SLOTS,
    Bool,
    GrammarOptions,
    whole_slots,
)
from genet5.tokens.signals import OPENING, Codon, Signals, build_signals, cut_codon
from genet5.tokens.vocabulary import StructureVocabulary

NOWHERE = -2
"""A first position that does not exist, and the floor of further isoforms, which begin anywhere."""

# Labels still needed, the label itself and <eos> included, so that the row can always be ended.
_GENE_LABELS = 10  # TYPE STRAND <tx> <cut_left> FRAME KIND POS POS <cut_right> <eos>
_ISOFORM_LABELS = 8
_PART_LABELS = 5  # KIND POS POS <cut_right> <eos>


class LegalLabels:
    """What may come next in a batch of windows.

    Args:
        windows: Bases of each window, at least one each.
        genetic_codes: NCBI number of each window's genetic code.
        options: What counts as a gene.
        vocabulary: The tokens' ids.
        clades: Clade that each window's prompt names; None: no prompt names one.
    """

    def __init__(
        self,
        windows: Sequence[Bases],
        genetic_codes: Sequence[int],
        options: GrammarOptions,
        vocabulary: StructureVocabulary,
        *,
        clades: Sequence[str | None] | None = None,
    ) -> None:
        if len(genetic_codes) != len(windows):
            raise DataError(f"{len(genetic_codes)} genetic codes", expected=f"{len(windows)}")
        self.options, self.vocabulary = options, vocabulary
        self._prompt = _prompts(genetic_codes, clades, vocabulary)
        self._type_tokens = np.array([vocabulary.gene_type(t) for t in options.gene_types])
        self._coding = np.array([t in options.coding_types for t in options.gene_types])
        self._signals = build_signals(windows, genetic_codes, options)
        self._closes = np.stack([tables.closes for tables in self._signals.tables])
        self._stops = np.stack([tables.stops for tables in self._signals.tables])
        codons = [[cut_codon(strand, slot, options.utr) for slot in range(5)] for strand in (0, 1)]
        self._begin_mode = np.array([[codon.mode for codon in row] for row in codons])
        self._begin_count = np.array([[codon.count for codon in row] for row in codons])
        self._last_cds = _last_cds(self._signals, options)
        self._last_any = _last_any(self._signals)
        self._kind_tokens = (vocabulary.cds, vocabulary.utr, vocabulary.exon)
        left = np.array([options.max_labels - len(p) for p in self._prompt], dtype=np.int32)
        self._state = State.begin(len(windows), left, len(options.gene_types))
        self._tokens: Bool | None = None
        self._positions: Bool | None = None
        self._later: dict[tuple[int, int], Bool] = {}
        self._starts: dict[int, Bool] = {}

    @property
    def prompt(self) -> list[list[int]]:
        """Labels to feed first, per row: <bos>, the genetic code and the clade if there is one."""
        return [list(row) for row in self._prompt]

    @property
    def signals(self) -> Signals:
        """What was read off the DNA, for all windows given at first (rows not kept included)."""
        return self._signals

    @property
    def wants_position(self) -> Bool:
        """(B,) bool: the row wants a base next."""
        phase = self._state.phase
        wants: Bool = (phase == Phase.KIND) | (phase == Phase.FIRST)
        return wants

    @property
    def finished(self) -> Bool:
        """(B,) bool: the row has written <eos>."""
        done: Bool = self._state.phase == Phase.FINISHED
        return done

    def _forget(self) -> None:
        self._tokens = self._positions = None
        self._later = {}

    def legal_tokens(self) -> Bool:
        """(B, V) bool: tokens that may come next; not to be written to.

        Rows that want a base have none, finished rows <pad>.
        """
        if self._tokens is None:
            legal = np.zeros((len(self._state.phase), len(self.vocabulary)), dtype=bool)
            self._between_tokens(legal)
            self._opening_tokens(legal)
            self._part_tokens(legal)
            self._tokens = legal
        return self._tokens

    def _between_tokens(self, legal: Bool) -> None:
        """<eos>, <pad>, a gene, a strand, <tx>."""
        s, v = self._state, self.vocabulary
        between = (s.phase == Phase.BETWEEN) | ((s.phase == Phase.PART) & s.complete)
        legal[:, v.eos] = between
        legal[:, v.pad] = s.phase == Phase.FINISHED
        legal[:, v.tx] = s.phase == Phase.STRAND
        if self.options.isoforms > 1:
            another = (s.isoform > 0) & (s.isoform < self.options.isoforms)
            legal[:, v.tx] |= between & another & (s.left >= _ISOFORM_LABELS)
        stranded = s.phase == Phase.TYPE
        more = between & (s.left >= _GENE_LABELS)
        if more.any() or stranded.any():
            begins = self._can_begin()
            legal[:, self._type_tokens] = more[:, None] & begins.any(axis=1)
            by_strand = begins[np.arange(len(s.type)), :, s.type]
            legal[:, v.plus] = stranded & by_strand[:, 0]
            legal[:, v.minus] = stranded & by_strand[:, 1]

    def _can_begin(self) -> Bool:
        """(B, 2 strands, types) A gene may begin."""
        s = self._state
        floor = s.floor[:, None, None, None]
        any_part = self._last_any[s.window][..., None]
        cds = self._last_cds[s.window][..., None]
        coding, utr = self._coding, self.options.utr
        last = np.where(coding, cds, np.where(NON_CODING_SLOTS[:, None], any_part, NOWHERE))
        if utr:
            last = np.where(UTR_SLOTS[None, :, :, None] & coding, any_part, last)
        can = (last > floor) | ((last == floor) & ~s.used)
        if self.options.introns:
            whole = whole_slots(utr)[self._coding.astype(int)].T
            can |= whole & (floor == -1) & ~s.used
        begins: Bool = can.any(axis=2)
        return begins

    def _opening_tokens(self, legal: Bool) -> None:
        """What follows <tx>, <cut_left> and FRAME."""
        s, v, options = self._state, self.vocabulary, self.options
        rows = np.flatnonzero((s.phase >= Phase.TRANSCRIPT) & (s.phase <= Phase.FRAME))
        if not len(rows):
            return
        slots = self._legal_slots(rows)
        fresh, cut = s.phase[rows] == Phase.TRANSCRIPT, s.phase[rows] == Phase.CUT_LEFT
        legal[rows, v.cut_left] = fresh & slots[:, :, :4].any(axis=(1, 2))
        for frame in range(4):
            legal[rows, v.frame_0 + frame] = cut & slots[:, :, frame].any(axis=1)
        begun = ~cut
        slot = np.where(fresh, UNCUT, s.slot[rows])
        chosen = slots[np.arange(len(rows)), :, slot] & begun[:, None]
        for kind, token in enumerate(self._kind_tokens):
            legal[rows, token] = chosen[:, kind]
        if options.introns:
            legal[rows, v.cut_right] = chosen[:, 3] & ~fresh

    def _legal_slots(self, rows: NDArray[np.int64]) -> Bool:
        """(n, 4, 5 slots) Kinds of part with which a transcript may begin in each slot.

        The fourth kind is no part at all.
        """
        s = self._state
        window, strand, kind = s.window[rows], s.strand[rows], s.type[rows]
        coding = self._coding[kind][:, None]
        floor = np.where(s.isoform[rows] > 1, NOWHERE, s.floor[rows])[:, None]
        unused = ~s.used[rows, strand, :, kind]
        legal = np.zeros((len(rows), 4, 5), dtype=bool)
        for part, last in ((CDS, self._last_cds), (EXON, self._last_any)):
            at = last[window, strand]
            legal[:, part] = (at > floor) | ((at == floor) & unused & (at >= 0))
        if self.options.utr:
            legal[:, UTR] = legal[:, EXON] & coding & UTR_SLOTS[strand]
        legal[:, CDS] &= coding
        legal[:, EXON] &= ~coding & NON_CODING_SLOTS
        if self.options.introns:
            whole = whole_slots(self.options.utr)[coding[:, 0].astype(int)]
            legal[:, 3] = whole & ((floor == NOWHERE) | ((floor == -1) & unused))
        return legal

    def _part_tokens(self, legal: Bool) -> None:
        """What follows a whole part, beside what follows a complete transcript."""
        s = self._state
        part = s.phase == Phase.PART
        legal[:, self.vocabulary.cut_right] |= part & (s.splice > 0)
        if not (self.options.introns or self.options.utr):
            return
        for row in np.flatnonzero(part & (s.left >= _PART_LABELS)).tolist():
            for kind, token in enumerate(self._kind_tokens):
                legal[row, token] = bool(self._later_starts(row, kind).any())

    def legal_positions(self) -> Bool:
        """(B, Lmax) bool: bases that may come next, Lmax the longest window; not to be written to.

        Rows that want a token have none.
        """
        if self._positions is None:
            legal = np.zeros((len(self._state.phase), int(self._signals.lengths.max())), dtype=bool)
            for row in np.flatnonzero(self.wants_position).tolist():
                bases = self.legal_bases(row)
                legal[row, : len(bases)] = bases
            self._positions = legal
        return self._positions

    def legal_bases(self, row: int) -> Bool:
        """Which bases of its window may come next in a row that wants one; not to be written to.

        Bases beyond the mask's end may not.
        """
        s = self._state
        if s.phase[row] == Phase.FIRST:
            return self._ends(row)
        return self._starts[row] if s.last[row] >= 0 else self._first_starts(row)

    def _codon(self, row: int) -> Codon:
        s = self._state
        return Codon(int(s.mode[row]), int(s.count[row]), int(s.x[row]), int(s.y[row]))

    def _first_starts(self, row: int) -> Bool:
        """(length,) First base of a transcript's first part, whose kind is chosen."""
        s, signals = self._state, self._signals
        window, strand, slot = int(s.window[row]), int(s.strand[row]), int(s.slot[row])
        length = int(signals.lengths[window])
        floor = NOWHERE if s.isoform[row] > 1 else int(s.floor[row])
        lowest = max(floor, 0)
        if slot != UNCUT and not self.options.introns:
            length = 1
        legal = np.zeros(length, dtype=bool)
        if s.kind[row] == CDS:
            legal[lowest:] = signals.part_starts(window, strand, self._codon(row), lowest, length)
        else:
            legal[lowest:] = True
        if slot != UNCUT:
            legal &= signals.starts[window, strand, :length] > 0
        if 0 <= floor < length and s.used[row, strand, slot, s.type[row]]:
            legal[floor] = False
        return legal

    def _later_starts(self, row: int, kind: int) -> Bool:
        """(length,) First base of a part of `kind` after the last one.

        It follows an intron, or is next to a part of another kind.
        """
        found = self._later.get((row, kind))
        if found is None:
            found = self._find_later_starts(row, kind)
            self._later[row, kind] = found
        return found

    def _find_later_starts(self, row: int, kind: int) -> Bool:
        s, signals = self._state, self._signals
        window, strand, last = int(s.window[row]), int(s.strand[row]), int(s.last[row])
        length = int(signals.lengths[window])
        legal = np.zeros(length, dtype=bool)
        splice = int(s.splice[row])
        follows = self._follows(row, kind)
        if follows is None:
            return legal
        codon, adjacent = follows
        least = 1 if signals.free else self.options.min_intron
        lowest = last + 1 + least
        if self.options.introns and splice and lowest < length:
            legal[lowest:] = (signals.starts[window, strand, lowest:length] & splice) > 0
            if kind == CDS:
                legal[lowest:] &= signals.part_starts(window, strand, codon, lowest)
        if adjacent and last + 1 < length:
            legal[last + 1] = kind != CDS or bool(signals.opens[window, strand, last + 1])
        return legal

    def _follows(self, row: int, kind: int) -> tuple[Codon, bool] | None:
        """The codon that a part of `kind` after the last part continues.

        With it comes whether the part may be adjacent; None: it may not follow.
        """
        s = self._state
        coding = bool(self._coding[s.type[row]])
        stage = int(s.stage[row])
        if kind == EXON:
            return None if coding else (Codon(), False)
        if not coding:
            return None
        if kind == CDS:
            if stage == INSIDE:
                return self._codon(row), False
            return (OPENING, True) if stage == BEFORE else None
        if not self.options.utr or (stage == INSIDE and not s.complete[row]):
            return None
        return Codon(), bool(s.kind[row] == CDS)

    def _ends(self, row: int) -> Bool:
        """(length,) Last base of the part whose first base is chosen."""
        s, signals = self._state, self._signals
        window, strand, first = int(s.window[row]), int(s.strand[row]), int(s.first[row])
        if s.kind[row] == CDS:
            return signals.part_ends(window, strand, self._codon(row), first)
        length = int(signals.lengths[window])
        legal = np.zeros(length, dtype=bool)
        if s.kind[row] == UTR and s.stage[row] == BEFORE:
            legal[first:] = signals.ends[window, strand, first:length] > 0
            if s.left[row] > _PART_LABELS:
                legal[first:-1] |= signals.opens[window, strand, first + 1 : length]
        else:
            legal[first:] = True
        return legal


def _prompts(
    genetic_codes: Sequence[int],
    clades: Sequence[str | None] | None,
    vocabulary: StructureVocabulary,
) -> list[tuple[int, ...]]:
    """Labels each row begins with."""
    names = [None] * len(genetic_codes) if clades is None else list(clades)
    if len(names) != len(genetic_codes):
        raise DataError(f"{len(names)} clades", expected=f"{len(genetic_codes)}, one per window")
    rows: list[tuple[int, ...]] = []
    for code, clade in zip(genetic_codes, names, strict=True):
        row = (vocabulary.bos, vocabulary.code(code))
        rows.append(row if clade is None else (*row, vocabulary.clade(clade)))
    return rows


def _last_true(found: Bool) -> NDArray[np.int64]:
    """(...,) Index of the last true entry along the last axis; NOWHERE if none."""
    last = found.shape[-1] - 1 - found[..., ::-1].argmax(axis=-1)
    return np.where(found.any(axis=-1), last, NOWHERE)


def _last_any(signals: Signals) -> NDArray[np.int64]:
    """(N, 2 strands, 5 slots) Last base where a part other than <cds> may begin a transcript."""
    last = np.empty((len(signals.lengths), 2, 5), dtype=np.int64)
    last[:, :, :UNCUT] = _last_true(signals.starts > 0)[:, :, None]
    last[:, :, UNCUT] = signals.lengths[:, None] - 1
    return last


def _last_cds(signals: Signals, options: GrammarOptions) -> NDArray[np.int64]:
    """(N, 2 strands, 5 slots) Last base where <cds> may begin a transcript."""
    last = np.full((len(signals.lengths), 2, 5), NOWHERE, dtype=np.int64)
    last[:, 0, :NO_FRAME] = _last_true(signals.starts[:, 0] > 0)[:, None]
    last[:, :, UNCUT] = _last_true(signals.opens)
    for row, length in enumerate(signals.lengths.tolist()):
        end = length if options.introns else 1
        for frame in range(3):
            legal = signals.part_starts(row, 1, cut_codon(1, frame, options.utr), 0, end)
            last[row, 1, frame] = _last_true(legal & (signals.starts[row, 1, :end] > 0))
    return last
