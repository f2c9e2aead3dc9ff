"""The grammar: an automaton over a batch of windows that knows which label may come next.

At each step every row of the batch wants a token or a base: `legal_tokens` and `legal_positions`
are masks over them, and `advance` takes the chosen labels. Whatever is chosen among the legal, each
complete coding gene reads from a start codon to its first in-frame stop through canonical introns,
and a row always ends with <eos> within `max_labels`: a base is legal only if the gene can be
completed from there, at least by a cut at the window's right edge. Genes come in the order of the
first position written; two genes that begin at one base differ in strand, type or frame, so
decoding always progresses.

The state is one NumPy array per variable over the rows; what depends on the DNA comes from
`signals`. Price: some tens of array operations per step for the whole batch, and a slice or two per
row that wants a base.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genet5.errors import DataError
from genet5.genome.sequence import Bases
from genet5.tokens.grammar_state import Phase, State
from genet5.tokens.rules import (
    AFTER,
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


@dataclass(frozen=True)
class Walk:
    """Drafts written on trial: the grammar's state at each stop, before and after each label.

    Stops are in the order of rows and, within a row, of steps; none follows <eos>. A row's walk
    ends early at a base where a token is due or the other way around; other illegal labels are
    written, so that stops after them mean nothing.
    """

    fork: Grammar
    """Its rows are the stops; only to be asked what is legal."""
    rows: NDArray[np.int64]
    """Row of each stop."""
    steps: NDArray[np.int64]
    """Labels of the draft that are written at each stop."""


class Grammar:
    """Automaton over a batch of windows; its state begins after the prompt.

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

    def keep(self, rows: ArrayLike) -> None:
        """Continue with these rows only, in this order; a row may be repeated (beams)."""
        kept = np.asarray(rows, dtype=np.int64)
        self._state = self._state.at(kept)
        self._prompt = [self._prompt[row] for row in kept.tolist()]
        starts = self._starts
        self._starts = {new: starts[old] for new, old in enumerate(kept.tolist()) if old in starts}
        self._forget()

    def walk(self, drafts: NDArray[np.int64], sizes: NDArray[np.int64]) -> Walk:
        """Write drafts, legal or not; the grammar itself stays where it is.

        Args:
            drafts: (B, T) labels, each row's from its present state on.
            sizes: (B,) labels of each.
        """
        fork, known = copy.copy(self), self._are_known(drafts)
        state, rows, step = self._state, np.arange(len(sizes)), 0
        states, stops = [state], [(rows, rows * 0)]
        while step < drafts.shape[1]:
            labels = drafts[rows, step]
            wants = (state.phase == Phase.KIND) | (state.phase == Phase.FIRST)
            going = (sizes[rows] > step) & (state.phase != Phase.FINISHED)
            going &= (wants == (labels < 0)) & known[rows, step]
            left, step = np.flatnonzero(going), step + 1
            fork._state = state = state.at(left)
            rows = rows[left]
            fork._take(labels[left])
            states.append(state)
            stops.append((rows, np.full(len(rows), step)))
        row, at = (np.concatenate(part) for part in zip(*stops, strict=True))
        joined = State.joined(states)
        order = np.lexsort((at, row))
        order = order[joined.phase[order] != Phase.FINISHED]
        fork._state = joined.at(order)
        fork._forget()
        walk = Walk(fork, row[order], at[order])
        fork._starts = self._starts_of(walk)
        return walk

    def _are_known(self, labels: NDArray[np.int64]) -> Bool:
        """(B, T) bool: a label is a base of the row's window, or a token that genes are made of."""
        v, lengths = self.vocabulary, self._signals.lengths[self._state.window]
        tokens = (v.eos, v.plus, v.minus, v.tx, v.cut_left, v.cut_right, *self._kind_tokens)
        frames = range(v.frame_0, v.frame_none + 1)
        is_token = np.isin(labels, (*tokens, *frames, *self._type_tokens))
        known: Bool = np.where(labels < 0, -1 - labels < lengths[:, None], is_token)
        return known

    def _starts_of(self, walk: Walk) -> dict[int, Bool]:
        """Where parts that follow others may begin; a part's kind hides what it follows."""
        fork, s = walk.fork, walk.fork._state
        starts: dict[int, Bool] = {}
        for stop in np.flatnonzero((s.phase == Phase.KIND) & (s.last >= 0)).tolist():
            if walk.steps[stop]:
                starts[stop] = fork._later_starts(stop - 1, int(s.kind[stop]))
            else:
                starts[stop] = self._starts[int(walk.rows[stop])]
        return starts

    def resume(self, walk: Walk, stops: NDArray[np.int64], labels: NDArray[np.int64]) -> None:
        """Continue from stops of a walk with one more label each.

        Args:
            walk: From the present state.
            stops: (n,) one for each row that stays; the others are dropped.
            labels: (n,) legal at these stops.
        """
        fork = walk.fork
        self._state = fork._state.at(stops)
        self._prompt = [self._prompt[row] for row in walk.rows[stops].tolist()]
        old = stops.tolist()
        starts = {new: fork._starts[stop] for new, stop in enumerate(old) if stop in fork._starts}
        self._forget()
        self._starts = starts
        self._later = {
            (new, kind): fork._later[stop, kind]
            for new, stop in enumerate(old)
            for kind in (CDS, UTR, EXON)
            if (stop, kind) in fork._later
        }
        self._take(labels)

    def _forget(self) -> None:
        self._tokens = self._positions = None
        self._later = {}

    # What is legal

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

    # What is chosen

    def advance(self, labels: ArrayLike) -> None:
        """Take the next label of each row: a token's id, or base p as -1 - p.

        Finished rows ignore theirs.

        Raises:
            DataError: A label is not legal; the state is unchanged.
        """
        chosen = np.asarray(labels, dtype=np.int64)
        self._check(chosen, ~self.finished, self.wants_position)
        self._take(chosen)

    def _take(self, chosen: NDArray[np.int64]) -> None:
        """`advance` without a check."""
        s = self._state
        active, wants = ~self.finished, self.wants_position
        positions = np.where(wants, -1 - chosen, 0).astype(np.int32)
        s.left -= active
        firsts, lasts = s.phase == Phase.KIND, s.phase == Phase.FIRST
        tokens = np.where(wants, -1, chosen)
        tokens[~active] = -1
        later = self._later
        self._forget()
        self._starts = {
            row: starts
            for (row, kind), starts in later.items()
            if tokens[row] == self._kind_tokens[kind]
        }
        if firsts.any():
            self._take_first(np.flatnonzero(firsts), positions)
        if lasts.any():
            self._take_last(np.flatnonzero(lasts), positions)
        if (tokens >= 0).any():
            self._take_tokens(tokens)

    def _check(self, chosen: NDArray[np.int64], active: Bool, wants: Bool) -> None:
        if chosen.shape != active.shape:
            raise DataError(f"labels of shape {chosen.shape}", expected=f"shape {active.shape}")
        legal = ~active
        rows = np.flatnonzero(wants)
        if len(rows):
            masks, bases = self.legal_positions(), -1 - chosen[rows]
            known = (bases >= 0) & (bases < masks.shape[1])
            legal[rows] = known & masks[rows, np.where(known, bases, 0)]
        rows = np.flatnonzero(active & ~wants)
        if len(rows):
            masks, tokens = self.legal_tokens(), chosen[rows]
            known = (tokens >= 0) & (tokens < masks.shape[1])
            legal[rows] = known & masks[rows, np.where(known, tokens, 0)]
        if not legal.all():
            row = int(np.flatnonzero(~legal)[0])
            raise DataError(f"label {chosen[row]} in row {row}", expected="a legal label")

    def _take_tokens(self, tokens: NDArray[np.int64]) -> None:
        s, v = self._state, self.vocabulary
        s.phase[tokens == v.eos] = Phase.FINISHED
        types = np.flatnonzero(tokens >= v.first_type)
        if len(types):
            index = np.argsort(self._type_tokens)
            ranks = np.searchsorted(self._type_tokens, tokens[types], sorter=index)
            s.type[types] = index[ranks]
            s.isoform[types] = 0
            s.phase[types] = Phase.TYPE
        plus, minus = tokens == v.plus, tokens == v.minus
        s.strand[plus], s.strand[minus] = 0, 1
        s.phase[plus | minus] = Phase.STRAND
        self._take_transcript(tokens == v.tx)
        s.phase[tokens == v.cut_left] = Phase.CUT_LEFT
        self._take_frame(np.flatnonzero((tokens >= v.frame_0) & (tokens <= v.frame_none)), tokens)
        for kind, token in enumerate(self._kind_tokens):
            rows = np.flatnonzero(tokens == token)
            if len(rows):
                self._take_kind(rows, kind)
        cut = np.flatnonzero(tokens == v.cut_right)
        if len(cut):
            whole = cut[(s.last[cut] < 0) & (s.isoform[cut] == 1)]
            self._name(whole, np.full(len(s.phase), -1, dtype=np.int32))
            s.phase[cut] = Phase.BETWEEN

    def _take_transcript(self, rows: Bool) -> None:
        s = self._state
        s.phase[rows] = Phase.TRANSCRIPT
        s.isoform[rows] += 1
        s.slot[rows] = UNCUT
        s.stage[rows] = BEFORE
        s.first[rows] = s.last[rows] = -1
        s.count[rows] = 0

    def _take_frame(self, rows: NDArray[np.int64], tokens: NDArray[np.int64]) -> None:
        s = self._state
        frame = tokens[rows] - self.vocabulary.frame_0
        s.phase[rows] = Phase.FRAME
        s.slot[rows] = frame
        s.stage[rows] = np.where(self._coding[s.type[rows]] & (frame == NO_FRAME), AFTER, BEFORE)

    def _take_kind(self, rows: NDArray[np.int64], kind: int) -> None:
        """Set stage and codon for a part of `kind`."""
        s = self._state
        s.kind[rows] = kind
        s.phase[rows] = Phase.KIND
        if kind == UTR:
            inside = rows[s.stage[rows] == INSIDE]
            s.stage[inside] = AFTER
        if kind != CDS:
            return
        opening = rows[s.stage[rows] == BEFORE]
        strand = s.strand[opening]
        slot = np.where(s.last[opening] < 0, s.slot[opening], UNCUT)
        s.mode[opening] = 0 if self._signals.free else self._begin_mode[strand, slot]
        s.count[opening] = self._begin_count[strand, slot]
        s.x[opening] = s.y[opening] = OPENING.x
        s.stage[opening] = INSIDE

    def _name(self, rows: NDArray[np.int64], positions: NDArray[np.int32]) -> None:
        """Record where genes begin: -1 for one without parts."""
        s = self._state
        moved = rows[positions[rows] > s.floor[rows]]
        s.floor[moved] = positions[moved]
        s.used[moved] = False
        s.used[rows, s.strand[rows], s.slot[rows], s.type[rows]] = True

    def _take_first(self, rows: NDArray[np.int64], positions: NDArray[np.int32]) -> None:
        s = self._state
        self._name(rows[(s.last[rows] < 0) & (s.isoform[rows] == 1)], positions)
        s.first[rows] = positions[rows]
        s.phase[rows] = Phase.FIRST

    def _take_last(self, rows: NDArray[np.int64], positions: NDArray[np.int32]) -> None:
        s, signals = self._state, self._signals
        last = positions[rows]
        s.last[rows] = last
        s.phase[rows] = Phase.PART
        s.splice[rows] = signals.ends[s.window[rows], s.strand[rows], last]
        kinds = s.kind[rows]
        s.complete[rows] = (kinds == EXON) | (s.stage[rows] == AFTER) | signals.free
        coding = rows[kinds == CDS]
        if len(coding) and not signals.free:
            self._take_coding(coding)

    def _take_coding(self, rows: NDArray[np.int64]) -> None:
        """Move the codon over coding parts, and set which may and which must close the CDS."""
        s, signals = self._state, self._signals
        window, strand = s.window[rows], s.strand[rows].astype(np.int64)
        first, last = s.first[rows], s.last[rows]
        mode, count = s.mode[rows], s.count[rows]
        closes, stops = self._first_triples(rows)
        special = (count > 0) | (mode > 0)
        completed = first + 2 - count
        begin = np.where(special, completed + 1, first)
        whole = (last >= begin + 2) & ((last - begin) % 3 == 2)
        closed = whole & signals.closes[window, strand, last]
        must = closed & (strand == 0)
        at_first = special & (last == completed) & (mode != 1)
        closed |= at_first & closes
        must |= at_first & stops & (mode == 0)
        s.complete[rows] = closed
        s.stage[rows] = np.where(must, AFTER, INSIDE)
        if not self.options.utr:
            s.splice[rows] = np.where(must, 0, s.splice[rows])
        size = count + last - first + 1
        here = signals.symbols[window, last]
        before = signals.symbols[window, np.maximum(last - 1, 0)]
        s.y[rows] = here
        s.x[rows] = np.where(size % 3 == 1, here, np.where(last == first, s.x[rows], before))
        s.count[rows] = size % 3
        s.mode[rows] = np.where(last >= completed, 0, mode)

    def _first_triples(self, rows: NDArray[np.int64]) -> tuple[Bool, Bool]:
        """Whether the first triples that parts complete may close a CDS, and surely stop one."""
        s = self._state
        window, strand, count = s.window[rows], s.strand[rows], s.count[rows]
        near = self._signals.symbols[window[:, None], s.first[rows][:, None] + np.arange(3)]
        near = near.astype(np.int64)
        a = np.where(count == 0, near[:, 0], s.x[rows])
        b = np.where(count == 0, near[:, 1], np.where(count == 1, near[:, 0], s.y[rows]))
        triple = 36 * a + 6 * b + near[np.arange(len(rows)), 2 - count]
        return self._closes[window, strand, triple], self._stops[window, strand, triple]


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
