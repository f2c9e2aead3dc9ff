"""The best paths through the states of a gene, all strands of a batch at once (Viterbi 1967).

The states are "no gene", "codon position 0, 1, 2" and "intron after 0, 1, 2 bases of a codon", as
in HMM gene finders (Stanke & Waack 2003). What a path may do at each base comes as `StrandScores`.
A start codon is one step, and so are the first bases of an intron, up to its shortest length. The
price: some 20 small NumPy operations per base and batch.

Example:
    found = search(strands, options.min_intron, edge=-6.0)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]

OUT, C0, C1, C2 = range(4)
FIRST_INTRON = 4
NUM_KINDS = 6
"""Kinds of introns: after 0 bases of a codon; after 1, after a T; after 2, after TA, after TG.
Intron states are in the order of kinds, those of one kind in the order of the splice classes that
have states of their own."""
_CODING_BEFORE = (C2, C0, C0, C1, C1, C1)
"""Coding state before each kind of intron."""
LOWEST = np.float32(-1e9)
_LEAST_CODING_BP = 60


@dataclass(frozen=True)
class StrandScores:
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
class FoundGene:
    """One gene of a path, in reading direction."""

    parts: tuple[tuple[int, int], ...]
    """Inclusive coding parts."""
    first: int | None
    """State at the window's first base if the gene reaches over it; of introns by kind."""
    last: int | None
    """State at the window's last base if the gene reaches over it; of introns by kind."""


def _origins(num_classes: int) -> tuple[tuple[int, ...], ...]:
    """States from which "no gene" and the codon positions are reached, as in `_candidates`.

    A start codon is one step, from "no gene" to its last base.
    """
    introns = range(FIRST_INTRON, FIRST_INTRON + NUM_KINDS * num_classes)
    return (
        (OUT, C2),
        (C2, *introns[:num_classes]),
        (C0, *introns[num_classes : 3 * num_classes]),
        (C1, *introns[3 * num_classes :], OUT),
    )


def search(strands: Sequence[StrandScores], lag: int, edge: float) -> list[list[FoundGene]]:
    """Return the genes of the best path of each strand.

    Args:
        strands: Of one batch, with the same number of states.
        lag: Shortest intron.
        edge: Added to the score of a path that begins inside a gene.
    """
    lengths = np.array([len(strand.start) for strand in strands])
    longest = int(lengths.max())
    stacked = {name: _stacked(strands, name, longest) for name in StrandScores.__dataclass_fields__}
    steps = _Steps(**stacked, lag=lag)
    choice, last, cut_after = steps.run(np.float32(edge), lengths)
    origins = _origins(steps.num_classes)
    found = []
    for row, length in enumerate(lengths.tolist()):
        path = _Path(choice[:, :, row], lag, origins, bool(strands[row].proceed[-1] < 0))
        found.append(list(path.genes(int(last[row]), int(cut_after[row]), length)))
    return found


def _stacked(strands: Sequence[StrandScores], name: str, longest: int) -> Float:
    """(L, columns, R) or (L, R): one field of all strands, padded."""
    first: Float = getattr(strands[0], name)
    out = np.full((longest, *first.shape[1:], len(strands)), LOWEST, dtype=np.float32)
    for row, strand in enumerate(strands):
        values: Float = getattr(strand, name)
        out[: len(values), ..., row] = values
    return out


@dataclass(frozen=True)
class _Steps:
    """The fields of `StrandScores` for R strands, strands last."""

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
        return len(self.donor[0]) // NUM_KINDS

    def run(
        self, edge: np.float32, lengths: NDArray[np.int64]
    ) -> tuple[NDArray[np.int8], NDArray[np.int64], NDArray[np.int64]]:
        """Walk to the right.

        Returns:
            (L, S, R) which origin each state came from, and the two results of `_end`, (R,) each.
        """
        longest, num_states, count = self.states.shape
        num_introns, classes = num_states - FIRST_INTRON, self.num_classes
        choice = np.zeros((longest, num_states, count), dtype=np.int8)
        last, cut_after = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
        score = self.states[0].copy()
        score[1:] += edge
        # summed intron scores, so that the first `lag` bases of an intron are one subtraction
        sums = np.cumsum(self.states[:, FIRST_INTRON:].astype(np.float64), axis=0)
        entered = np.full((self.lag, num_introns, count), LOWEST, dtype=np.float32)
        candidates = np.full((4, 2 + 3 * classes, count), LOWEST, dtype=np.float32)
        outside = np.full((3, count), LOWEST, dtype=np.float32)
        introns = np.full((2, num_introns, count), LOWEST, dtype=np.float32)
        ends = {int(p): np.flatnonzero(lengths == p) for p in np.unique(lengths)}
        for p in range(longest):
            if p:
                self._candidates(p, classes, score, outside[p % 3], candidates)
                choice[p, :FIRST_INTRON] = candidates.argmax(axis=1)
                introns[0] = score[FIRST_INTRON:]
                if p >= self.lag:
                    skipped = sums[p - 1] - sums[p - self.lag]
                    introns[1] = entered[p % self.lag] + skipped
                choice[p, FIRST_INTRON:] = introns[1] > introns[0]
                score = np.concatenate((candidates.max(axis=1), introns.max(axis=0)))
                score += self.states[p]
            outside[p % 3] = score[OUT]
            slot = entered[p % self.lag]
            slot[:classes] = score[C2] + self.proceed[p]
            slot[classes : 3 * classes] = score[C0]
            # not straight from an acceptor: a codon over three exons would need its own memory
            slot[3 * classes :] = candidates[2, 0] + self.states[p, C1] if p else score[C1]
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
                most, best, cut_after = float(begun.max()), FIRST_INTRON + int(begun.argmax()), q
        return best, cut_after

    def _candidates(self, p: int, classes: int, score: Float, outside: Float, out: Float) -> None:
        """Scores of coming to "no gene" and the codon positions at `p` from each of their origins.

        `outside` is the score of "no gene" three bases ago.
        """
        spliced = score[FIRST_INTRON:] + self.acceptor[p]
        out[0, 0] = score[OUT]
        out[0, 1] = score[C2] + self.stop[p - 1]
        out[1, 0] = score[C2] + self.proceed[p - 1]
        out[1, 1 : 1 + classes] = spliced[:classes]
        out[2, 0] = score[C0]
        out[2, 1 : 1 + 2 * classes] = spliced[classes : 3 * classes]
        out[3, 0] = score[C1]
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

    def genes(self, state: int, cut_after: int, length: int) -> Iterator[FoundGene]:
        """Follow the path back from its last state; yield its genes, the last one first."""
        turns = _Turns(self.choice)
        parts: list[tuple[int, int]] = []
        is_whole = state == OUT or (state == C2 and self.ends_in_stop)
        last = None if is_whole else self._by_kind(state)
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
            former = self.origins[state][int(self.choice[p, state])]
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
            yield FoundGene(tuple(parts[::-1]), self._by_kind(state), last)

    def _by_kind(self, state: int) -> int:
        """The state; of introns, the same for all splice classes."""
        num_classes = (self.choice.shape[1] - FIRST_INTRON) // NUM_KINDS
        is_intron = state >= FIRST_INTRON
        return FIRST_INTRON + (state - FIRST_INTRON) // num_classes if is_intron else state

    def _before_intron(self, p: int, state: int) -> tuple[int, int]:
        """Where the path is at the last base before an intron.

        A codon's second base there came straight from its first (see `_Steps.run`).
        """
        coding = _CODING_BEFORE[self._by_kind(state) - FIRST_INTRON]
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
