"""The training sequence that is nearest to each generated one: is it remembered?

Training sequences are streamed, both strands of each. K-mers that a training sequence shares with a
generated one vote for a diagonal (training position less generated position); the band of diagonals
with most votes is the candidate. The best candidate of all is aligned locally (Biopython), and the
identity is the number of equal bases in that alignment over the generated sequence's length. What
shares no k-mer has no nearest sequence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from Bio.Align import PairwiseAligner
from numpy.typing import NDArray

from genet5.genome.frames import interval_on_strand
from genet5.genome.io.fasta import Contig
from genet5.genome.sequence import Bases, decode_bases, on_strand
from genet5.lm.designs import kmer_codes

_K = 12
_BAND = 64
_CHUNK_BP = 1 << 20


@dataclass(frozen=True, slots=True)
class Nearest:
    """Where a generated sequence is most like the training data."""

    contig: str
    start: int
    """First base of the candidate region on its strand's forward coordinates, 0-based."""
    strand: int
    identity: float
    """Equal bases over the generated sequence's length."""
    longest_match_bp: int
    """Longest run of equal bases in the alignment."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    votes: int
    contig: str
    start: int
    strand: int
    bases: bytes


def nearest_sequences(
    generated: Mapping[str, Bases], training: Iterable[Contig]
) -> dict[str, Nearest | None]:
    """Return the nearest training sequence of each generated one, by name.

    Args:
        generated: Name -> bases.
        training: Read once.
    """
    index = _Index(generated)
    best: dict[int, _Candidate] = {}
    for contig in training:
        for strand in (1, -1):
            for candidate_of, candidate in index.candidates(contig, strand):
                known = best.get(candidate_of)
                if known is None or candidate.votes > known.votes:
                    best[candidate_of] = candidate
    return {
        name: _aligned(bases, best[number]) if number in best else None
        for number, (name, bases) in enumerate(generated.items())
    }


class _Index:
    """The k-mers of the generated sequences, sorted."""

    def __init__(self, generated: Mapping[str, Bases]) -> None:
        self._lengths = np.array([len(bases) for bases in generated.values()], dtype=np.int64)
        codes = [kmer_codes(bases, _K) for bases in generated.values()]
        sequence = np.repeat(np.arange(len(codes)), [len(each) for each in codes])
        places = np.concatenate(
            [np.arange(len(each)) for each in codes] or [np.zeros(0, dtype=np.int64)]
        )
        every = np.concatenate([*codes, np.zeros(0, dtype=np.int64)])
        order = np.argsort(every, kind="stable")
        order = order[every[order] >= 0]
        self._codes, self._sequence = every[order], sequence[order]
        self._places = places[order].astype(np.int64)

    def candidates(self, contig: Contig, strand: int) -> Iterator[tuple[int, _Candidate]]:
        """Yield for generated sequences, by number, their best region in each chunk."""
        longest = int(self._lengths.max(initial=0))
        for begin in range(0, len(contig.bases), _CHUNK_BP):
            end = min(len(contig.bases), begin + _CHUNK_BP + longest)
            bases = on_strand(contig.bases[begin:end], strand)
            for number, votes, diagonal in self._votes(bases):
                first = max(0, diagonal - _BAND)
                last = min(len(bases), diagonal + int(self._lengths[number]) + 2 * _BAND)
                start = begin + interval_on_strand(first, last, len(bases), strand)[0]
                region = bases[first:last].tobytes()
                yield number, _Candidate(votes, contig.name, start, strand, region)

    def _votes(self, bases: Bases) -> Iterator[tuple[int, int, int]]:
        """Yield number of the sequence, votes and first diagonal of its best band."""
        codes = kmer_codes(bases, _K)
        left = np.searchsorted(self._codes, codes, side="left")
        found = np.searchsorted(self._codes, codes, side="right") - left
        found[codes < 0] = 0
        at = np.repeat(np.arange(len(codes)), found)
        within = np.arange(len(at)) - np.repeat(np.cumsum(found) - found, found)
        hit = np.repeat(left, found) + within
        diagonals = (at - self._places[hit] + int(self._lengths.max(initial=0))) // _BAND
        width = len(bases) // _BAND + int(self._lengths.max(initial=0)) // _BAND + 2
        keys, votes = np.unique(self._sequence[hit] * width + diagonals, return_counts=True)
        yield from self._best(keys, votes, width)

    def _best(
        self, keys: NDArray[np.int64], votes: NDArray[np.int64], width: int
    ) -> Iterator[tuple[int, int, int]]:
        numbers = keys // width
        for number in np.unique(numbers).tolist():
            rows = np.flatnonzero(numbers == number)
            row = rows[int(np.argmax(votes[rows]))]
            diagonal = int(keys[row] % width) * _BAND - int(self._lengths.max(initial=0))
            yield number, int(votes[row]), diagonal


def _aligned(bases: Bases, candidate: _Candidate) -> Nearest:
    aligner = PairwiseAligner(
        mode="local", match_score=1, mismatch_score=-1, open_gap_score=-2, extend_gap_score=-1
    )
    query, target = decode_bases(bases).upper(), candidate.bases.decode("ascii").upper()
    alignment = aligner.align(target, query)[0]
    equal, longest = 0, 0
    for (t_begin, t_end), (q_begin, q_end) in zip(*alignment.aligned, strict=True):
        run = 0
        for one, other in zip(target[t_begin:t_end], query[q_begin:q_end], strict=True):
            run = run + 1 if one == other else 0
            equal, longest = equal + (one == other), max(longest, run)
    identity = equal / len(query) if query else 0.0
    return Nearest(candidate.contig, candidate.start, candidate.strand, identity, longest)
