"""Spliced genes by the per-base heads: the best path of each strand through a gene's states.

The decoder writes genes from left to right and cannot go back; the per-base heads see all of a
window at once but know no rules. A path from base to base through the states "no gene", "codon
position 0, 1, 2" and "intron after 0, 1, 2 bases of a codon" joins the two (Viterbi 1967; the
states are those of HMM gene finders, such as Stanke & Waack 2003): it begins at start codons, ends
at stop codons, splices where the grammar does and keeps the reading frame. Codons and splice sites
are those of `tokens.signals`, so that level, genetic code and AT-AC introns hold here too. Introns
that split a codon remember its T, TA or TG, so that splicing makes no stop codon, and their class
(AT-AC introns have states of their own where they are legal). A path's score is the sum of the
logarithms of the state head's probabilities and, where a gene begins, ends or splices, of the
boundary head's logits. Both strands of all windows of a batch take a step together; cost: some 20
small NumPy operations per base and batch.

Example:
    signals = build_signals(windows, codes, options)
    genes = best_paths(signals, options, state_logits, boundary_logits)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from genet5.genome.frames import five_three, frame_to_right, in_reading_order, mirrored_base
from genet5.tokens.rules import AT_AC, GT_AG, OUTSIDE, Bool, GrammarOptions, triple_code
from genet5.tokens.signals import Byte, Signals
from genet5.tokens.window import Frame, Part, WindowGene, WindowTranscript

Float = NDArray[np.float32]

_OUT, _C0, _C1, _C2 = range(4)
_FIRST_INTRON = 4
_NUM_KINDS = 6
"""Kinds of introns: after 0 bases of a codon; after 1, after a T; after 2, after TA, after TG.
Intron states are in the order of kinds, those of one kind in the order of the splice classes that
have states of their own."""
_CODING_BEFORE = (_C2, _C0, _C0, _C1, _C1, _C1)
"""Coding state before each kind of intron."""
_INTRON_COLUMNS = (4, 5, 5, 6, 6, 6)
"""Column of the state track that each kind of intron reads; the states before them read 0 to 3."""
_A, _G, _T = 0, 2, 3
_LOWEST = np.float32(-1e9)
_LEAST_CODING_BP = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class PathWeights:
    """How much each kind of evidence counts in a path's score."""

    state: float = 0.01
    """Weight of the logarithms of the state head's probabilities: neighbouring bases nearly
    repeat each other, so that their sum over a gene is far too sure (measured on validation genes: 1 finds 74 of
    109, 0.1 81, 0.01 90)."""
    boundary: float = 1.0
    """Weight of the boundary logits."""
    edge: float = -6.0
    """Penalty for beginning the window inside a gene."""


@dataclass(frozen=True)
class _Strand:
    """What a path may do at each base of one strand of one window, as additions to its score.

    Bases are in reading direction. S states, I of them introns: each of the six kinds once for each
    splice class.
    """

    states: Float
    """(L, S) score of each state."""
    start: Float
    """(L,) a gene's first codon ends here; with the scores of its first two bases."""
    stop: Float
    """(L,) a gene's last base is here."""
    proceed: Float
    """(L,) 0, or lowest where the codon that ends here is a stop."""
    donor: Float
    """(L, I) an intron of each kind begins after this base."""
    acceptor: Float
    """(L, I) an exon begins here after an intron of each kind."""


@dataclass(frozen=True, slots=True)
class _Found:
    """One gene of a path, in reading direction."""

    parts: tuple[tuple[int, int], ...]
    """Inclusive coding parts."""
    first: int | None
    """State at the window's first base if the gene reaches over it; of introns by kind."""
    last: int | None
    """State at the window's last base if the gene reaches over it; of introns by kind."""


def best_paths(
    signals: Signals,
    options: GrammarOptions,
    state_logits: Float,
    boundary_logits: Float,
    weights: PathWeights | None = None,
) -> list[list[WindowGene]]:
    """Return the genes of each window's two best paths, those of the forward strand first.

    Genes that the edges cut are among them.

    Args:
        signals: Of N windows.
        options: Those that the signals were built with.
        state_logits: (N, L, 2 strands, 8 states).
        boundary_logits: (N, L, 8) start, stop, donor, acceptor, each + then -.
        weights: Of the two heads.
    """
    weights = weights or PathWeights()
    classes = (GT_AG, AT_AC) if options.at_ac and options.level == "strict" else (GT_AG,)
    strands = [
        _strand(signals, row, side, classes, state_logits[row], boundary_logits[row], weights)
        for row in range(len(signals.lengths))
        for side in (0, 1)
    ]
    lag = 1 if signals.free else options.min_intron
    genes: list[list[WindowGene]] = [[] for _ in signals.lengths]
    for index, found in enumerate(_decode(strands, lag, weights)):
        row, strand = index // 2, (1, -1)[index % 2]
        length = int(signals.lengths[row])
        for gene in found:
            genes[row].append(_window_gene(gene, strand, length, options.coding_types[0]))
    return genes


def _window_gene(gene: _Found, strand: int, length: int, gene_type: str) -> WindowGene:
    """Put a gene on the window's forward strand."""
    left, right = five_three(gene.first, gene.last, strand)
    parts = gene.parts
    if strand < 0:
        parts = tuple(
            (mirrored_base(last, length), mirrored_base(first, length))
            for first, last in reversed(parts)
        )
    frame: Frame | None = None
    if left is not None:
        position = _codon_position(left)
        if strand < 0 and left >= _FIRST_INTRON:  # the coding base before the intron, as read
            position = frame_to_right(position, 1, strand)
        frame = cast(Frame, position)
    transcript = WindowTranscript(
        tuple(Part("cds", first, last) for first, last in parts),
        cut_left=left is not None,
        cut_right=right is not None,
        frame=frame,
    )
    return WindowGene(gene_type, strand, (transcript,))


def _codon_position(state: int) -> int:
    """Codon position of a coding state, or of the first coding base after an intron."""
    column = state if state < _FIRST_INTRON else _INTRON_COLUMNS[state - _FIRST_INTRON]
    return (column - 1) % 3


def _strand(
    signals: Signals,
    row: int,
    side: int,
    classes: Sequence[int],
    state_logits: Float,
    boundary_logits: Float,
    weights: PathWeights,
) -> _Strand:
    """Read what a path may do on one strand (side 0 is +, 1 is -) of window `row`."""
    length, strand = int(signals.lengths[row]), (1, -1)[side]
    states = in_reading_order(state_logits[:length, side], strand)
    edges = in_reading_order(boundary_logits[:length, side::2], strand)
    is_start = in_reading_order(signals.start_codons(row, side), strand)
    stops_here = in_reading_order(signals.stop_codons(row, side), strand)
    edges = edges * np.float32(weights.boundary)
    scores = _state_scores(states, len(classes)) * np.float32(weights.state)
    begins = np.full(length, _LOWEST, dtype=np.float32)
    opened = edges[:-2, 0] + scores[:-2, _C0] + scores[1:-1, _C1]
    begins[2:] = np.where(is_start[:-2], opened, _LOWEST)
    is_barrier = stops_here & (not signals.free)
    return _Strand(
        scores,
        begins,
        np.where(stops_here, edges[:, 1], _LOWEST),
        np.where(is_barrier, _LOWEST, np.float32(0)),
        _donors(signals, row, side, classes, edges[:, 2]),
        _acceptors(signals, row, side, classes, edges[:, 3], is_barrier),
    )


def _state_scores(logits: Float, num_classes: int) -> Float:
    """(L, S) log-probability of each path state; UTR counts as outside."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    logp = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    outside = np.logaddexp(logp[:, 0], logp[:, 7])
    tracks = np.concatenate((outside[:, None], logp[:, 1:7]), axis=1)
    introns = np.repeat(_INTRON_COLUMNS, num_classes)
    return tracks[:, [_OUT, _C0, _C1, _C2, *introns]].astype(np.float32)


def _read(signals: Signals, row: int, side: int) -> Byte:
    """(L + 4,) Symbols in reading direction, with two beyond each end."""
    length = int(signals.lengths[row])
    symbols = signals.symbols[row, :length]
    if side:
        symbols = np.where(symbols < 4, 3 - symbols, symbols)[::-1]
    return np.pad(symbols, 2, constant_values=OUTSIDE)


def _donors(signals: Signals, row: int, side: int, classes: Sequence[int], logits: Float) -> Float:
    """(L, I) Donors by kind of intron; the window shows both bases of the site."""
    sites = in_reading_order(signals.donors(row, side), (1, -1)[side]).copy()
    sites[-2:] = 0
    read = _read(signals, row, side)
    here, is_t_before = read[2:-2], read[1:-3] == _T
    is_t, ta, tg = here == _T, is_t_before & (here == _A), is_t_before & (here == _G)
    kinds = (np.ones_like(is_t), ~is_t, is_t, ~(ta | tg), ta, tg)
    return _by_class(sites, classes, kinds, logits)


def _acceptors(
    signals: Signals,
    row: int,
    side: int,
    classes: Sequence[int],
    logits: Float,
    is_barrier: Bool,
) -> Float:
    """(L, I) Acceptors by kind of intron.

    None completes a stop codon begun before the intron. Nor may one lie within three bases that are
    a stop codon side by side, whatever they are in the spliced gene (GT-AG introns never do, but
    for codes that stop at AGA or AGG).

    Args:
        signals: Of a batch of windows.
        row: The window.
        side: 0 is +, 1 is -.
        classes: Splice classes.
        logits: (L,) acceptor logits in reading direction.
        is_barrier: (L,) last bases of stop codons in reading direction.
    """
    sites = in_reading_order(signals.acceptors(row, side), (1, -1)[side]).copy()
    sites[:2] = 0
    read = _read(signals, row, side).astype(np.int64)
    first, second = read[2:-2], read[3:-1]
    stops = signals.tables[row].stops[0] & (not signals.free)
    free = np.ones(len(first), dtype=bool)
    second_fits, third_fits = free.copy(), ~is_barrier
    second_fits[:-1] = third_fits[1:]
    kinds = (
        free,
        second_fits,
        second_fits & ~stops[triple_code(_T, 0, 0) + 6 * first + second],
        third_fits,
        third_fits & ~stops[triple_code(_T, _A, 0) + first],
        third_fits & ~stops[triple_code(_T, _G, 0) + first],
    )
    return _by_class(sites, classes, kinds, logits)


def _by_class(sites: Byte, classes: Sequence[int], kinds: Sequence[Bool], logits: Float) -> Float:
    """(L, I) The logits where a site of the class may have an intron of the kind, else lowest."""
    legal = [((sites & splice_class) > 0) & kind for kind in kinds for splice_class in classes]
    return np.stack([np.where(fits, logits, _LOWEST) for fits in legal], axis=1)


def _origins(num_classes: int) -> tuple[tuple[int, ...], ...]:
    """States from which "no gene" and the codon positions are reached, as in `_candidates`.

    A start codon is one step, from "no gene" to its last base.
    """
    introns = range(_FIRST_INTRON, _FIRST_INTRON + _NUM_KINDS * num_classes)
    return (
        (_OUT, _C2),
        (_C2, *introns[:num_classes]),
        (_C0, *introns[num_classes : 3 * num_classes]),
        (_C1, *introns[3 * num_classes :], _OUT),
    )


def _decode(strands: Sequence[_Strand], lag: int, weights: PathWeights) -> list[list[_Found]]:
    """Genes of the best path of each strand."""
    lengths = np.array([len(strand.start) for strand in strands])
    longest = int(lengths.max())
    stacked = {name: _stacked(strands, name, longest) for name in _Strand.__dataclass_fields__}
    steps = _Steps(**stacked, lag=lag)
    choice, last, cut_after = steps.run(np.float32(weights.edge), lengths)
    origins = _origins(steps.num_classes)
    found = []
    for row, length in enumerate(lengths.tolist()):
        path = _Path(choice[:, :, row], lag, origins, bool(strands[row].proceed[-1] < 0))
        found.append(list(path.genes(int(last[row]), int(cut_after[row]), length)))
    return found


def _stacked(strands: Sequence[_Strand], name: str, longest: int) -> Float:
    """(L, columns, R) or (L, R): one field of all strands, padded."""
    first: Float = getattr(strands[0], name)
    out = np.full((longest, *first.shape[1:], len(strands)), _LOWEST, dtype=np.float32)
    for row, strand in enumerate(strands):
        values: Float = getattr(strand, name)
        out[: len(values), ..., row] = values
    return out


@dataclass(frozen=True)
class _Steps:
    """The fields of `_Strand` for R strands, strands last."""

    states: Float
    start: Float
    stop: Float
    proceed: Float
    donor: Float
    acceptor: Float
    lag: int
    """Shortest intron: that many bases are taken at once when one begins."""

    @property
    def num_classes(self) -> int:
        """Number of splice classes with states of their own."""
        return len(self.donor[0]) // _NUM_KINDS

    def run(
        self, edge: np.float32, lengths: NDArray[np.int64]
    ) -> tuple[NDArray[np.int8], NDArray[np.int64], NDArray[np.int64]]:
        """Walk to the right.

        Returns:
            (L, S, R) which origin each state came from, and the two results of `_end`, (R,) each.
        """
        longest, num_states, count = self.states.shape
        num_introns, classes = num_states - _FIRST_INTRON, self.num_classes
        choice = np.zeros((longest, num_states, count), dtype=np.int8)
        last, cut_after = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
        score = self.states[0].copy()
        score[1:] += edge
        # summed intron scores, so that the first `lag` bases of an intron are one subtraction
        sums = np.cumsum(self.states[:, _FIRST_INTRON:].astype(np.float64), axis=0)
        entered = np.full((self.lag, num_introns, count), _LOWEST, dtype=np.float32)
        candidates = np.full((4, 2 + 3 * classes, count), _LOWEST, dtype=np.float32)
        outside = np.full((3, count), _LOWEST, dtype=np.float32)
        introns = np.full((2, num_introns, count), _LOWEST, dtype=np.float32)
        ends = {int(p): np.flatnonzero(lengths == p) for p in np.unique(lengths)}
        for p in range(longest):
            if p:
                self._candidates(p, classes, score, outside[p % 3], candidates)
                choice[p, :_FIRST_INTRON] = candidates.argmax(axis=1)
                introns[0] = score[_FIRST_INTRON:]
                if p >= self.lag:
                    skipped = sums[p - 1] - sums[p - self.lag]
                    introns[1] = entered[p % self.lag] + skipped
                choice[p, _FIRST_INTRON:] = introns[1] > introns[0]
                score = np.concatenate((candidates.max(axis=1), introns.max(axis=0)))
                score += self.states[p]
            outside[p % 3] = score[_OUT]
            slot = entered[p % self.lag]
            slot[:classes] = score[_C2] + self.proceed[p]
            slot[classes : 3 * classes] = score[_C0]
            # not straight from an acceptor: a codon over three exons would need its own memory
            slot[3 * classes :] = candidates[2, 0] + self.states[p, _C1] if p else score[_C1]
            slot += self.donor[p]
            for row in ends.get(p + 1, ()):
                last[row], cut_after[row] = self._end(p, score, entered, sums, row)
        return choice, last, cut_after

    def _end(
        self, p: int, score: Float, entered: Float, sums: NDArray[np.float64], row: np.intp
    ) -> tuple[int, int]:
        """Return the best last state of a row that ends at `p`, and where its last intron begins.

        The latter is the base before an intron of which the window shows fewer bases than the
        shortest has, else -1.
        """
        best, cut_after = int(score[:, row].argmax()), -1
        most = float(score[best, row])
        for q in range(max(0, p - self.lag + 1), p):
            begun = entered[q % self.lag, :, row] + (sums[p, :, row] - sums[q, :, row])
            if begun.max() > most:
                most, best, cut_after = float(begun.max()), _FIRST_INTRON + int(begun.argmax()), q
        return best, cut_after

    def _candidates(self, p: int, classes: int, score: Float, outside: Float, out: Float) -> None:
        """Scores of coming to "no gene" and the codon positions at `p` from each of their origins.

        `outside` is the score of "no gene" three bases ago.
        """
        spliced = score[_FIRST_INTRON:] + self.acceptor[p]
        out[0, 0] = score[_OUT]
        out[0, 1] = score[_C2] + self.stop[p - 1]
        out[1, 0] = score[_C2] + self.proceed[p - 1]
        out[1, 1 : 1 + classes] = spliced[:classes]
        out[2, 0] = score[_C0]
        out[2, 1 : 1 + 2 * classes] = spliced[classes : 3 * classes]
        out[3, 0] = score[_C1]
        out[3, 1 : 1 + 3 * classes] = spliced[3 * classes :]
        out[3, 1 + 3 * classes] = outside + self.start[p]


@dataclass(frozen=True)
class _Path:
    """The best path of one strand."""

    choice: NDArray[np.int8]
    """(L, S) which origin each state came from."""
    lag: int
    origins: Sequence[Sequence[int]]
    ends_in_stop: bool
    """The window's last codon position 2 is that of a stop codon."""

    def genes(self, state: int, cut_after: int, length: int) -> Iterator[_Found]:
        """Follow the path back from its last state; yield its genes, the last one first."""
        turns = _Turns(self.choice)
        parts: list[tuple[int, int]] = []
        is_whole = state == _OUT or (state == _C2 and self.ends_in_stop)
        last = None if is_whole else self._by_kind(state)
        part_end, p = length - 1, length - 1
        if cut_after >= 0:
            part_end = cut_after
            p, state = self._before_intron(cut_after, state)
        while p > 0:
            p, state = turns.latest(p, state)
            if p == 0:
                break
            if state >= _FIRST_INTRON:  # the intron began `lag` bases ago
                part_end = p - self.lag
                p, state = self._before_intron(part_end, state)
                continue
            former = self.origins[state][int(self.choice[p, state])]
            if state == _OUT:
                parts, last, part_end = [], None, p - 1
            elif former == _OUT:
                p -= 2  # a start codon is one step
                parts.append((p, part_end))
                yield from _long_enough(_Found(tuple(parts[::-1]), None, last))
                parts, last = [], None
            else:
                parts.append((p, part_end))
            state, p = former, p - 1
        if state != _OUT:
            if state < _FIRST_INTRON:
                parts.append((0, part_end))
            yield _Found(tuple(parts[::-1]), self._by_kind(state), last)

    def _by_kind(self, state: int) -> int:
        """The state; of introns, the same for all splice classes."""
        num_classes = (self.choice.shape[1] - _FIRST_INTRON) // _NUM_KINDS
        is_intron = state >= _FIRST_INTRON
        return _FIRST_INTRON + (state - _FIRST_INTRON) // num_classes if is_intron else state

    def _before_intron(self, p: int, state: int) -> tuple[int, int]:
        """Where the path is at the last base before an intron.

        A codon's second base there came straight from its first (see `_Steps.run`).
        """
        coding = _CODING_BEFORE[self._by_kind(state) - _FIRST_INTRON]
        return (p - 1, _C0) if coding == _C1 and p > 0 else (p, coding)


class _Turns:
    """Where one row's path turns.

    It does so unless it stays outside, stays in its intron, or moves to the next codon position.
    """

    def __init__(self, choice: NDArray[np.int8]) -> None:
        places = np.arange(len(choice))
        introns = range(_FIRST_INTRON, choice.shape[1])
        self._alone = {s: np.flatnonzero(choice[:, s]) for s in (_OUT, *introns)}
        self._coding = [
            np.flatnonzero(choice[places, _C0 + (places - frame) % 3]) for frame in range(3)
        ]

    def latest(self, p: int, state: int) -> tuple[int, int]:
        """Return the last turn at or before base `p` of a path that is in `state` at `p`.

        The turn is a base (0 if there is none) and the path's state there.
        """
        is_coding = _C0 <= state <= _C2
        frame = (p - (state - _C0)) % 3
        turns = self._coding[frame] if is_coding else self._alone[state]
        index = int(np.searchsorted(turns, p, side="right"))
        turn = int(turns[index - 1]) if index else 0
        return turn, _C0 + (turn - frame) % 3 if is_coding else state


def _long_enough(gene: _Found) -> Iterator[_Found]:
    """The gene, unless it is whole and tiny."""
    if gene.last is not None or sum(b - a + 1 for a, b in gene.parts) >= _LEAST_CODING_BP:
        yield gene
