"""The best paths through the states of a gene (Viterbi 1967).

The states are "no gene", "codon position 0, 1, 2" and "intron after 0, 1, 2 bases of a codon", as
in HMM gene finders (Stanke & Waack 2003). What a path may do at each base comes as `StrandScores`.
A start codon is one step, and so are the first bases of an intron, up to its shortest length. The
walk over the bases is compiled: some 0.3 ms for a strand of 6 kb.

Example:
    found = search(strands, options.min_intron, edge=-6.0)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genet5.decode.compiled import compiled

Float = NDArray[np.float32]

OUT, C0, C1, C2 = range(4)
FIRST_INTRON = 4
_CODING_BEFORE = (C2, C0, C1)
"""Coding state before an intron after 0, 1, 2 bases of a codon."""
LOWEST = np.float32(-1e9)
_LEAST_CODING_BP = 60


@dataclass(frozen=True)
class StrandScores:
    """What a path may do at each base of one strand of one window, as additions to its score.

    Bases are in reading direction. S states, I of them introns, in the order of the bases of a
    codon before them. Introns that must not end alike have states of their own: by splice class,
    and by what a stop codon may begin with.
    """

    introns: tuple[int, int, int]
    """Number of intron states after 0, 1, 2 bases of a codon."""
    states: Float
    """(L, S) score of each state."""
    start: Float
    """(L,) a gene's first codon ends here; with the scores of its first two bases."""
    stop: Float
    """(L,) a gene's last base is here."""
    proceed: Float
    """(L,) 0, or lowest where the codon that ends here is a stop."""
    donor: Float
    """(L, I) an intron of each state begins after this base."""
    acceptor: Float
    """(L, I) an exon begins here after an intron of each state."""


@dataclass(frozen=True, slots=True)
class FoundGene:
    """One gene of a path, in reading direction."""

    parts: tuple[tuple[int, int], ...]
    """Inclusive coding parts."""
    first: int | None
    """State at the window's first base if the gene reaches over it; of introns FIRST_INTRON + bases
    of a codon before it."""
    last: int | None
    """The same at the window's last base."""


def _origins(introns: tuple[int, int, int]) -> tuple[tuple[int, ...], ...]:
    """States from which "no gene" and the codon positions are reached, as in `_gains`.

    A start codon is one step, from "no gene" to its last base.
    """
    second, third = introns[0], introns[0] + introns[1]
    states = range(FIRST_INTRON, FIRST_INTRON + sum(introns))
    return (
        (OUT, C2),
        (C2, *states[:second]),
        (C0, *states[second:third]),
        (C1, *states[third:], OUT),
    )


def search(strands: Sequence[StrandScores], lag: int, edge: float) -> list[list[FoundGene]]:
    """Return the genes of the best path of each strand.

    Args:
        strands: The strands.
        lag: Shortest intron.
        edge: Added to the score of a path that begins inside a gene.
    """
    found = []
    for strand in strands:
        choice, last, cut_after = walk(strand, lag, edge)
        path = _Path(choice, lag, strand.introns, bool(strand.proceed[-1] < 0))
        found.append(list(path.genes(last, cut_after, len(choice))))
    return found


def walk(strand: StrandScores, lag: int, edge: float) -> tuple[NDArray[np.int8], int, int]:
    """Walk along a strand.

    Returns:
        (L, S) which origin each state came from; the best last state; where its last intron begins:
            the base before an intron of which the window shows fewer bases than the shortest has,
            else -1.
    """
    states, num_introns = strand.states, sum(strand.introns)
    origins = _origins(strand.introns)
    came_from = np.array([state for states in origins for state in states])
    came_from[-1] = len(states[0])  # "no gene" three bases ago
    goes_to = np.repeat(np.arange(len(origins)), [len(states) for states in origins])
    split_after = np.repeat(np.arange(3), strand.introns)
    leaves = strand.donor.copy()
    leaves[:, split_after == 0] += strand.proceed[:, None]
    sums = np.cumsum(states[:, FIRST_INTRON:].astype(np.float64), axis=0)
    score = np.append(states[0], LOWEST)
    score[1:-1] += np.float32(edge)
    choice = np.zeros(states.shape, dtype=np.int8)
    entered = np.full((lag, num_introns), LOWEST, dtype=np.float32)
    gains = _gains(strand)
    _walk(states, gains, leaves, sums, came_from, goes_to, split_after, score, entered, choice)
    return choice, *_end(score[:-1], entered, sums)


def _gains(strand: StrandScores) -> Float:
    """(L, K) what each origin of each state in `_origins` adds to a path that comes from it."""
    before = np.zeros((len(strand.states), 4), dtype=np.float32)
    before[1:, 1], before[1:, 2] = strand.stop[:-1], strand.proceed[:-1]
    nothing, stop, proceed = before[:, :1], before[:, 1:2], before[:, 2:3]
    first, second, third = np.split(strand.acceptor, np.cumsum(strand.introns[:2]), axis=1)
    columns = (nothing, stop, proceed, first, nothing, second, nothing, third)
    return np.concatenate((*columns, strand.start[:, None]), axis=1)


@compiled
def _walk(
    states: Float,
    gains: Float,
    leaves: Float,
    sums: NDArray[np.float64],
    came_from: NDArray[np.int64],
    goes_to: NDArray[np.int64],
    split_after: NDArray[np.int64],
    score: Float,
    entered: Float,
    choice: NDArray[np.int8],
) -> None:
    """Fill in the last three.

    Args:
        states: (L, S) scores.
        gains: (L, K) gain of each origin.
        leaves: (L, I) gain of an intron that begins after each base.
        sums: (L, I) summed scores of intron states, so that the first bases of an intron, up to its
            shortest length, are one subtraction.
        came_from: (K,) the origins; S is "no gene" three bases ago.
        goes_to: (K,) the states, ascending.
        split_after: (I,) bases of a codon before each intron.
        score: (S + 1,) of the best path to each state: at the first base, then at the last.
        entered: (shortest intron, I) scores where introns began, at the base's number modulo its
            length: lowest, then those of the last bases.
        choice: (L, S) zeros.
    """
    length, num_states = states.shape
    lag, num_introns = entered.shape
    new, outside = score.copy(), np.full(3, LOWEST, dtype=np.float32)
    for p in range(length):
        # straight from a codon's first base: a codon over three exons would need its own memory
        second = score[1] + states[p, 2] if p > 0 else score[2]
        if p > 0:
            new[:4], score[num_states], origin = -np.inf, outside[p % 3], 0
            for k in range(len(came_from)):
                to = goes_to[k]
                origin = origin + 1 if k > 0 and goes_to[k - 1] == to else 0
                if score[came_from[k]] + gains[p, k] > new[to]:
                    new[to], choice[p, to] = score[came_from[k]] + gains[p, k], origin
            for i in range(num_introns):
                new[4 + i] = score[4 + i]
                begun = np.float32(entered[p % lag, i] + (sums[p - 1, i] - sums[p - lag, i]))
                if p >= lag and begun > new[4 + i]:
                    new[4 + i], choice[p, 4 + i] = begun, 1
            for s in range(num_states):
                score[s] = new[s] + states[p, s]
        outside[p % 3] = score[0]
        for i in range(num_introns):
            before = second if split_after[i] == 2 else (score[1] if split_after[i] else score[3])
            entered[p % lag, i] = before + leaves[p, i]


def _end(score: Float, entered: Float, sums: NDArray[np.float64]) -> tuple[int, int]:
    """Return the best last state, and the base before its intron if that is too short, else -1."""
    best, cut_after, p, lag = int(score.argmax()), -1, len(sums) - 1, len(entered)
    most = float(score[best])
    for q in range(max(0, p - lag + 1), p):
        begun = entered[q % lag] + (sums[p] - sums[q])
        if begun.max() > most:
            most, best, cut_after = float(begun.max()), FIRST_INTRON + int(begun.argmax()), q
    return best, cut_after


@dataclass(frozen=True)
class _Path:
    """The best path of one strand."""

    choice: NDArray[np.int8]
    """(L, S) which origin each state came from."""
    lag: int
    introns: tuple[int, int, int]
    ends_in_stop: bool
    """The window's last codon position 2 is that of a stop codon."""

    def genes(self, state: int, cut_after: int, length: int) -> Iterator[FoundGene]:
        """Follow the path back from its last state; yield its genes, the last one first."""
        turns, origins = _Turns(self.choice), _origins(self.introns)
        parts: list[tuple[int, int]] = []
        is_whole = state == OUT or (state == C2 and self.ends_in_stop)
        last = None if is_whole else self._by_split(state)
        part_end, p = length - 1, length - 1
        if cut_after >= 0:
            part_end = cut_after
            p, state = self._before_intron(cut_after, state)
        while p > 0:
            p, state = turns.latest(p, state)
            if p == 0:
                break
            if state >= FIRST_INTRON:  # the intron began `lag` bases ago
                part_end = p - self.lag
                p, state = self._before_intron(part_end, state)
                continue
            former = origins[state][int(self.choice[p, state])]
            if state == OUT:
                parts, last, part_end = [], None, p - 1
            elif former == OUT:
                p -= 2  # a start codon is one step
                parts.append((p, part_end))
                yield from _long_enough(FoundGene(tuple(parts[::-1]), None, last))
                parts, last = [], None
            else:
                parts.append((p, part_end))
            state, p = former, p - 1
        if state != OUT:
            if state < FIRST_INTRON:
                parts.append((0, part_end))
            yield FoundGene(tuple(parts[::-1]), self._by_split(state), last)

    def _by_split(self, state: int) -> int:
        """The state; of introns FIRST_INTRON + bases of a codon before them."""
        if state < FIRST_INTRON:
            return state
        index, none, one = state - FIRST_INTRON, self.introns[0], sum(self.introns[:2])
        return FIRST_INTRON + (index >= none) + (index >= one)

    def _before_intron(self, p: int, state: int) -> tuple[int, int]:
        """Where the path is at the last base before an intron.

        A codon's second base there came straight from its first (see `_walk`).
        """
        coding = _CODING_BEFORE[self._by_split(state) - FIRST_INTRON]
        return (p - 1, C0) if coding == C1 and p > 0 else (p, coding)


class _Turns:
    """Where one row's path turns.

    It does so unless it stays outside, stays in its intron, or moves to the next codon position.
    """

    def __init__(self, choice: NDArray[np.int8]) -> None:
        places = np.arange(len(choice))
        introns = range(FIRST_INTRON, choice.shape[1])
        self._alone = {s: np.flatnonzero(choice[:, s]) for s in (OUT, *introns)}
        self._coding = [
            np.flatnonzero(choice[places, C0 + (places - frame) % 3]) for frame in range(3)
        ]

    def latest(self, p: int, state: int) -> tuple[int, int]:
        """Return the last turn at or before base `p` of a path that is in `state` at `p`.

        The turn is a base (0 if there is none) and the path's state there.
        """
        is_coding = C0 <= state <= C2
        frame = (p - (state - C0)) % 3
        turns = self._coding[frame] if is_coding else self._alone[state]
        index = int(np.searchsorted(turns, p, side="right"))
        turn = int(turns[index - 1]) if index else 0
        return turn, C0 + (turn - frame) % 3 if is_coding else state


def _long_enough(gene: FoundGene) -> Iterator[FoundGene]:
    """The gene, unless it is whole and tiny."""
    if gene.last is not None or sum(b - a + 1 for a, b in gene.parts) >= _LEAST_CODING_BP:
        yield gene
