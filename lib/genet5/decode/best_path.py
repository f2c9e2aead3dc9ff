"""Spliced genes that the per-base heads see: the best path of each strand through the states of a gene.

The decoder writes genes from left to right and cannot go back; the per-base heads see all of a window at once but know no
rules. A path from base to base through the states "no gene", "codon position 0, 1, 2" and "intron after 0, 1, 2 bases of a
codon" that begins at start codons, ends at stop codons, splices at GT-AG or GC-AG and keeps the reading frame joins the two
(Viterbi 1967; the states are those of HMM gene finders, such as Stanke & Waack 2003). Introns that split a codon remember
its T, TA or TG, so that no stop codon comes about by splicing. A path's score is the sum of the logarithms of the state
head's probabilities and, where a gene begins, ends or splices, of the boundary head's logits. Both strands of all windows
of a batch take a step together; cost: some 20 small NumPy operations per base and batch.

Example:
    genes = best_paths(windows, codes, options, state_logits, boundary_logits)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from genet5.genome.codes import codon_table, genetic_code
from genet5.genome.sequence import BASE_INDEX, Bases, codon_index, reverse_complement
from genet5.tokens.grammar import GrammarOptions
from genet5.tokens.window import Frame, Part, WindowGene, WindowTranscript

Float = NDArray[np.float32]

_OUT, _C0, _C1, _C2, _I0, _I1, _I1T, _I2, _I2TA, _I2TG = range(10)
_FIRST_INTRON = _I0
_BEFORE = {_I0: _C2, _I1: _C0, _I1T: _C0, _I2: _C1, _I2TA: _C1, _I2TG: _C1}
"""Coding state before each intron."""
_HEAD = (0, 1, 2, 3, 4, 5, 5, 6, 6, 6)
"""Column of the state track that each state reads."""
_FROM = np.array(
    [
        [_OUT, _C2, _OUT, _OUT, _OUT],
        [_C2, _I0, _OUT, _OUT, _OUT],
        [_C0, _I1, _I1T, _OUT, _OUT],
        [_C1, _I2, _I2TA, _I2TG, _OUT],
    ]
)
"""States from which "no gene" and the codon positions are reached, in the order of the candidates; a start codon is one step."""
_LETTERS = "ACGT"
"""Letters by their index (`BASE_INDEX`)."""
_LOWEST = np.float32(-1e9)
_LEAST_CODING_BP = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class PathWeights:
    """How much each kind of evidence counts in a path's score."""

    state: float = 0.01
    """Weight of the logarithms of the state head's probabilities: neighbouring bases say nearly the same, so that their sum
    over a gene is far too sure (measured on validation genes: 1 finds 74 of 109, 0.1 81, 0.01 90)."""
    boundary: float = 1.0
    """Weight of the boundary logits."""
    edge: float = -6.0
    """What it costs to begin the window inside a gene."""


@dataclass(frozen=True)
class _Reading:
    """One strand of one window in its reading direction: what a path may do at each base, as additions to its score."""

    states: Float
    """(L, 10) score of each state."""
    start: Float
    """(L,) a gene's first codon ends here; with the scores of its first two bases."""
    stop: Float
    """(L,) a gene's last base is here."""
    go_on: Float
    """(L,) 0, or lowest where the codon that ends here is a stop."""
    donor: Float
    """(L, 6) an intron of each kind begins behind this base."""
    acceptor: Float
    """(L, 6) an exon begins here behind an intron of each kind."""


@dataclass(frozen=True, slots=True)
class _Found:
    """One gene of a path, in its reading direction."""

    parts: tuple[tuple[int, int], ...]
    """Inclusive coding parts."""
    first: int | None
    """State at the window's first base if the gene reaches over it."""
    last: int | None
    """State at the window's last base if the gene reaches over it."""


def best_paths(
    windows: Sequence[Bases],
    codes: Sequence[int],
    options: GrammarOptions,
    state_logits: Float,
    boundary_logits: Float,
    weights: PathWeights | None = None,
) -> list[list[WindowGene]]:
    """Return the genes of each window's two best paths, those of the forward strand first; some are cut by its edges.

    Args:
        windows: Bases of each.
        codes: NCBI number of each window's genetic code.
        options: Start codons, shortest intron, gene type.
        state_logits: (N, L, 2 strands, 8 states).
        boundary_logits: (N, L, 8) start, stop, donor, acceptor, each + then -.
        weights: Of the two heads.
    """
    weights = weights or PathWeights()
    readings = [
        _reading(bases, code, options, strand, state_logits[i], boundary_logits[i], weights)
        for i, (bases, code) in enumerate(zip(windows, codes, strict=True))
        for strand in (1, -1)
    ]
    genes: list[list[WindowGene]] = [[] for _ in windows]
    for row, found in enumerate(_decode(readings, options.min_intron, weights)):
        strand, length = (1, -1)[row % 2], len(windows[row // 2])
        for gene in found:
            genes[row // 2].append(_window_gene(gene, strand, length, options.coding_types[0]))
    return genes


def _window_gene(gene: _Found, strand: int, length: int, gene_type: str) -> WindowGene:
    """Put a gene on the window's forward strand."""
    left, right = (gene.first, gene.last) if strand > 0 else (gene.last, gene.first)
    parts = gene.parts
    if strand < 0:
        parts = tuple((length - 1 - last, length - 1 - first) for first, last in parts[::-1])
    frame: Frame | None = None
    if left is not None:
        position = _codon_position(left)
        if strand < 0 and left >= _FIRST_INTRON:  # the coding base before the intron
            position -= 1
        frame = cast(Frame, position % 3)
    transcript = WindowTranscript(
        tuple(Part("cds", first, last) for first, last in parts),
        cut_left=left is not None,
        cut_right=right is not None,
        frame=frame,
    )
    return WindowGene(gene_type, strand, (transcript,))


def _codon_position(state: int) -> int:
    """Codon position of a coding state, or of the first coding base behind an intron."""
    return (_HEAD[state] - 1) % 3


def _reading(
    bases: Bases,
    code: int,
    options: GrammarOptions,
    strand: int,
    state_logits: Float,
    boundary_logits: Float,
    weights: PathWeights,
) -> _Reading:
    row, length = (0 if strand > 0 else 1), len(bases)
    states, edges = state_logits[:length, row], boundary_logits[:length, row::2]
    if strand < 0:
        bases, states, edges = reverse_complement(bases), states[::-1], edges[::-1]
    read = BASE_INDEX[bases]
    codons = codon_index(bases)  # of the codon that begins at each base
    known = codons >= 0
    is_start = known & codon_table(options.start_codons)[codons]
    stops_here = np.zeros(length, dtype=bool)
    stops_here[2:] = (known & genetic_code(code).stop_table[codons])[:-2]
    edges = edges * np.float32(weights.boundary)
    scores = _state_scores(states) * np.float32(weights.state)
    begins = np.full(length, _LOWEST, dtype=np.float32)
    opened = edges[:-2, 0] + scores[:-2, _C0] + scores[1:-1, _C1]
    begins[2:] = np.where(is_start[:-2], opened, _LOWEST)
    return _Reading(
        scores,
        begins,
        np.where(stops_here, edges[:, 1], _LOWEST),
        np.where(stops_here, _LOWEST, np.float32(0)),
        _donors(read, edges[:, 2]),
        _acceptors(read, edges[:, 3], code),
    )


def _state_scores(logits: Float) -> Float:
    """(L, 10) log-probability of each path state; UTR counts as outside."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    logp = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    outside = np.logaddexp(logp[:, 0], logp[:, 7])
    return np.concatenate((outside[:, None], logp[:, 1:7]), axis=1)[:, _HEAD].astype(np.float32)


def _at(read: NDArray[np.uint8], shift: int) -> NDArray[np.uint8]:
    """The base `shift` to the right of each base; none of the four beyond the ends."""
    padded = np.pad(read, 2, constant_values=len(_LETTERS))
    return padded[2 + shift : 2 + shift + len(read)]


def _is(read: NDArray[np.uint8], letter: str) -> NDArray[np.bool_]:
    return np.equal(read, _LETTERS.index(letter))


def _donors(read: NDArray[np.uint8], logits: Float) -> Float:
    second = _at(read, 2)
    legal = _is(_at(read, 1), "G") & (_is(second, "T") | _is(second, "C"))
    last_t, before_t = _is(read, "T"), _is(_at(read, -1), "T")
    ta, tg = before_t & _is(read, "A"), before_t & _is(read, "G")
    kinds = (np.ones_like(legal), ~last_t, last_t, ~(ta | tg), ta, tg)
    return np.stack([np.where(legal & kind, logits, _LOWEST) for kind in kinds], axis=1)


def _acceptors(read: NDArray[np.uint8], logits: Float, code: int) -> Float:
    legal = _is(_at(read, -2), "A") & _is(_at(read, -1), "G")
    nexts = (read, _at(read, 1))
    free = np.ones_like(legal)
    kinds = (
        free,
        free,
        ~_stops(code, "T", nexts),
        free,
        ~_stops(code, "TA", nexts),
        ~_stops(code, "TG", nexts),
    )
    return np.stack([np.where(legal & kind, logits, _LOWEST) for kind in kinds], axis=1)  # fmt: skip


def _stops(code: int, begun: str, nexts: Sequence[NDArray[np.uint8]]) -> NDArray[np.bool_]:
    """Where a codon begun before an intron would become a stop codon by the bases behind it."""
    stop = np.zeros(len(nexts[0]), dtype=bool)
    for codon in genetic_code(code).stops:
        if codon.startswith(begun):
            rest = codon[len(begun) :]
            hits = [_is(nexts[i], letter) for i, letter in enumerate(rest)]
            stop |= np.logical_and.reduce(hits)
    return stop


def _decode(
    readings: Sequence[_Reading], min_intron: int, weights: PathWeights
) -> list[list[_Found]]:
    """Genes of the best path of each reading."""
    lengths = np.array([len(r.start) for r in readings])
    longest = int(lengths.max())
    stacked = {name: _stacked(readings, name, longest) for name in _Reading.__dataclass_fields__}
    steps = _Steps(**stacked, lag=max(min_intron, 1))
    choice, last, behind = steps.run(np.float32(weights.edge), lengths)
    ends = zip(last.tolist(), behind.tolist(), lengths.tolist(), strict=True)
    return [list(_genes(choice[:, :, i], *end, steps.lag)) for i, end in enumerate(ends)]


def _stacked(readings: Sequence[_Reading], name: str, longest: int) -> Float:
    """(L, columns, rows) or (L, rows): one field of all readings, padded."""
    first: Float = getattr(readings[0], name)
    out = np.full((longest, *first.shape[1:], len(readings)), _LOWEST, dtype=np.float32)
    for row, reading in enumerate(readings):
        values: Float = getattr(reading, name)
        out[: len(values), ..., row] = values
    return out


@dataclass(frozen=True)
class _Steps:
    """The fields of `_Reading` for R readings, readings last."""

    states: Float
    start: Float
    stop: Float
    go_on: Float
    donor: Float
    acceptor: Float
    lag: int
    """Shortest intron: so many bases are taken at once when one begins."""

    def run(
        self, edge: np.float32, lengths: NDArray[np.int64]
    ) -> tuple[NDArray[np.int8], NDArray[np.int64], NDArray[np.int64]]:
        """Walk to the right; return which candidate each state came from, (L, 10, R), and what `_end` says, (R,) each."""
        longest, count = self.start.shape
        choice = np.zeros((longest, 10, count), dtype=np.int8)
        last, behind = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
        score = self.states[0].copy()
        score[1:] += edge
        # summed intron scores, so that the first `lag` bases of an intron are one subtraction
        sums = np.cumsum(self.states[:, _FIRST_INTRON:].astype(np.float64), axis=0)
        entered = np.full((self.lag, 6, count), _LOWEST, dtype=np.float32)
        candidates = np.full((4, 5, count), _LOWEST, dtype=np.float32)
        outside = np.full((3, count), _LOWEST, dtype=np.float32)
        introns = np.full((2, 6, count), _LOWEST, dtype=np.float32)
        ends = {int(p): np.flatnonzero(lengths == p) for p in np.unique(lengths)}
        for p in range(longest):
            if p:
                self._candidates(p, score, outside[p % 3], candidates)
                choice[p, :4] = candidates.argmax(axis=1)
                introns[0] = score[_FIRST_INTRON:]
                if p >= self.lag:
                    skipped = sums[p - 1] - sums[p - self.lag]
                    introns[1] = entered[p % self.lag] + skipped
                choice[p, 4:] = introns[1] > introns[0]
                score = np.concatenate((candidates.max(axis=1), introns.max(axis=0)))
                score += self.states[p]
            outside[p % 3] = score[_OUT]
            slot = entered[p % self.lag]
            slot[0] = score[_C2] + self.go_on[p]
            slot[1:3] = score[_C0]
            # not straight from an acceptor: a codon over three exons would need its own memory
            slot[3:] = candidates[2, 0] + self.states[p, _C1] if p else score[_C1]
            slot += self.donor[p]
            for row in ends.get(p + 1, ()):
                last[row], behind[row] = self._end(p, score, entered, sums, row)
        return choice, last, behind

    def _end(
        self, p: int, score: Float, entered: Float, sums: NDArray[np.float64], row: np.intp
    ) -> tuple[int, int]:
        """The best last state of a row that ends at `p`, and the base behind which a last intron began that is cut short there, or -1."""
        best, behind = int(score[:, row].argmax()), -1
        most = float(score[best, row])
        for q in range(max(0, p - self.lag + 1), p):
            begun = entered[q % self.lag, :, row] + (sums[p, :, row] - sums[q, :, row])
            if begun.max() > most:
                most, best, behind = float(begun.max()), _FIRST_INTRON + int(begun.argmax()), q
        return best, behind

    def _candidates(self, p: int, score: Float, outside: Float, out: Float) -> None:
        """Scores of coming to "no gene" and the codon positions at `p`; `outside` is that of "no gene" three bases ago."""
        acceptor = self.acceptor[p]
        out[0, 0] = score[_OUT]
        out[0, 1] = score[_C2] + self.stop[p - 1]
        out[1, 0] = score[_C2] + self.go_on[p - 1]
        out[1, 1] = score[_I0] + acceptor[0]
        out[2, 0] = score[_C0]
        out[2, 1:3] = score[_I1 : _I1T + 1] + acceptor[1:3]
        out[3, 0] = score[_C1]
        out[3, 1:4] = score[_I2:] + acceptor[3:]
        out[3, 4] = outside + self.start[p]


def _genes(
    choice: NDArray[np.int8], state: int, behind: int, length: int, lag: int
) -> Iterator[_Found]:
    """Follow a path back; yield its genes, the last one first."""
    turns = _Turns(choice)
    parts: list[tuple[int, int]] = []
    last = state if state != _OUT else None
    part_end, p = length - 1, length - 1
    if behind >= 0:
        part_end = behind
        p, state = _before_intron(behind, state)
    while p > 0:
        p, state = turns.latest(p, state)
        if p == 0:
            break
        chosen = int(choice[p, state])
        if state >= _FIRST_INTRON:  # the intron began `lag` bases ago
            part_end = p - lag
            p, state = _before_intron(part_end, state)
            continue
        former = int(_FROM[state, chosen])
        if state == _OUT:
            parts, last, part_end = [], None, p - 1
        elif former == _OUT:
            p -= 2  # a start codon is one step
            parts.append((p, part_end))
            yield from _worthy(_Found(tuple(parts[::-1]), None, last))
            parts, last = [], None
        else:
            parts.append((p, part_end))
        state, p = former, p - 1
    if state != _OUT:
        if state < _FIRST_INTRON:
            parts.append((0, part_end))
        yield _Found(tuple(parts[::-1]), state, last)


def _before_intron(p: int, state: int) -> tuple[int, int]:
    """Where the path is at the last base before an intron; a codon's second base there follows its first (see `run`)."""
    coding = _BEFORE[state]
    return (p - 1, _C0) if coding == _C1 and p > 0 else (p, coding)


class _Turns:
    """Where one row's path does anything but stay outside, stay in its intron, or go on to the next codon position."""

    def __init__(self, choice: NDArray[np.int8]) -> None:
        places = np.arange(len(choice))
        self._alone = {s: np.flatnonzero(choice[:, s]) for s in (_OUT, *_BEFORE)}
        self._coding = [
            np.flatnonzero(choice[places, _C0 + (places - frame) % 3]) for frame in range(3)
        ]

    def latest(self, p: int, state: int) -> tuple[int, int]:
        """The last turn at or before base `p` of a path that is in `state` there, with the state it is in then; base 0 if none."""
        is_coding = _C0 <= state <= _C2
        frame = (p - (state - _C0)) % 3
        turns = self._coding[frame] if is_coding else self._alone[state]
        index = int(np.searchsorted(turns, p, side="right"))
        turn = int(turns[index - 1]) if index else 0
        return turn, _C0 + (turn - frame) % 3 if is_coding else state


def _worthy(gene: _Found) -> Iterator[_Found]:
    """The gene, unless it is whole and tiny."""
    if gene.last is not None or sum(b - a + 1 for a, b in gene.parts) >= _LEAST_CODING_BP:
        yield gene
