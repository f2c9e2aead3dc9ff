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
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genet5.errors import DataError
from genet5.tokens.grammar_state import Phase, State
from genet5.tokens.legal_labels import LegalLabels
from genet5.tokens.rules import AFTER, BEFORE, CDS, EXON, INSIDE, NO_FRAME, UNCUT, UTR, Bool
from genet5.tokens.signals import OPENING


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


class Grammar(LegalLabels):
    """Automaton over a batch of windows: what may come next, and the labels that are taken.

    Its arguments are those of `LegalLabels`; its state begins after the prompt.
    """

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

    # Rows of the batch, and drafts

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
