"""The oracle of the compiled walk along strands: the same steps in NumPy, all strands at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genet5.decode.viterbi import (
    C0,
    C1,
    C2,
    FIRST_INTRON,
    LOWEST,
    OUT,
    Float,
    StrandScores,
)


def walk_together(
    strands: Sequence[StrandScores], lag: int, edge: float
) -> tuple[NDArray[np.int8], NDArray[np.int64], NDArray[np.int64]]:
    """The three results of `viterbi.walk`, strands last; all have the same states."""
    lengths = np.array([len(strand.start) for strand in strands])
    longest = int(lengths.max())
    names = StrandScores.__dataclass_fields__.keys() - {"introns"}
    stacked = {name: stack(strands, name, longest) for name in names}
    return Steps(introns=strands[0].introns, **stacked, lag=lag).run(np.float32(edge), lengths)


def stack(strands: Sequence[StrandScores], name: str, longest: int) -> Float:
    """(L, columns, R) or (L, R): one field of all strands, padded."""
    first: Float = getattr(strands[0], name)
    out = np.full((longest, *first.shape[1:], len(strands)), LOWEST, dtype=np.float32)
    for row, strand in enumerate(strands):
        values: Float = getattr(strand, name)
        out[: len(values), ..., row] = values
    return out


@dataclass(frozen=True)
class Steps:
    """The fields of `StrandScores` for R strands, strands last."""

    introns: tuple[int, int, int]
    states: Float
    start: Float
    stop: Float
    proceed: Float
    donor: Float
    acceptor: Float
    lag: int
    """Shortest intron: that many bases are taken at once when one begins."""

    def run(
        self, edge: np.float32, lengths: NDArray[np.int64]
    ) -> tuple[NDArray[np.int8], NDArray[np.int64], NDArray[np.int64]]:
        """Walk to the right.

        Returns:
            (L, S, R) which origin each state came from, and the two results of `_end`, (R,) each.
        """
        longest, num_states, count = self.states.shape
        num_introns = num_states - FIRST_INTRON
        second, third = self.introns[0], sum(self.introns[:2])
        choice = np.zeros((longest, num_states, count), dtype=np.int8)
        last, cut_after = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
        score = self.states[0].copy()
        score[1:] += edge
        # summed intron scores, so that the first `lag` bases of an intron are one subtraction
        sums = np.cumsum(self.states[:, FIRST_INTRON:].astype(np.float64), axis=0)
        entered = np.full((self.lag, num_introns, count), LOWEST, dtype=np.float32)
        candidates = np.full((4, 2 + max(self.introns), count), -np.inf, dtype=np.float32)
        outside = np.full((3, count), LOWEST, dtype=np.float32)
        introns = np.full((2, num_introns, count), LOWEST, dtype=np.float32)
        ends = {int(p): np.flatnonzero(lengths == p) for p in np.unique(lengths)}
        for p in range(longest):
            if p:
                self._candidates(p, score, outside[p % 3], candidates)
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
            slot[:second] = score[C2] + self.proceed[p]
            slot[second:third] = score[C0]
            # not straight from an acceptor: a codon over three exons would need its own memory
            slot[third:] = candidates[2, 0] + self.states[p, C1] if p else score[C1]
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

    def _candidates(self, p: int, score: Float, outside: Float, out: Float) -> None:
        """Scores of coming to "no gene" and the codon positions at `p` from each of their origins.

        `outside` is the score of "no gene" three bases ago.
        """
        spliced = score[FIRST_INTRON:] + self.acceptor[p]
        first, second, third = np.split(spliced, np.cumsum(self.introns[:2]))
        out[0, 0] = score[OUT]
        out[0, 1] = score[C2] + self.stop[p - 1]
        out[1, 0] = score[C2] + self.proceed[p - 1]
        out[1, 1 : 1 + len(first)] = first
        out[2, 0] = score[C0]
        out[2, 1 : 1 + len(second)] = second
        out[3, 0] = score[C1]
        out[3, 1 : 1 + len(third)] = third
        out[3, 1 + len(third)] = outside + self.start[p]
