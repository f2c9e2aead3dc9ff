"""What hints say of gene candidates, as an addition to their log-odds.

For each candidate: a weight for each of its introns that a hint names exactly, for its start codon
and its stop codon, times the weight of the hint's multiplicity m (1 - 2^-m: one read half, many
all), and a weight times the share of its coding bases that lie in coding hints of its strand and
reading frame. Candidates that agree with no hint keep their odds: a gene without hints is no worse
for that. Here hints choose among what the network proposes; a network with channels of evidence
reads them itself, too (`hint_evidence`). Cost: a look-up for each part of a candidate.

Example:
    hints = HintIndex(read_hints(path), place=lambda part: (names[part], 0))
    hints.log_odds(0, candidates)
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genet5.annotate.candidate import GeneCandidate
from genet5.annotate.hint_evidence import HintEvidence
from genet5.errors import DataError
from genet5.genome.frames import five_prime_base, three_prime_base
from genet5.genome.hints import Hint, merged
from genet5.genome.io.fasta import AnyContig
from genet5.genome.io.hints import read_hints

_STRANDS = (1, -1)
_FRAMES = (0, 1, 2)


WEIGHTS = {"intron": 1.0, "start": 0.7, "stop": 0.7, "coding": 1.5}
"""Natural log-odds that each intron, a start, a stop, and all coding bases add to a gene. Set by
reasoning, not fitted: modest beside the network, whose odds of sure genes are e^4 and more. Two
introns of many reads make a gene e^2 = 7 times more probable; introns of a single read, e."""
MOST = 6.0
"""Hints add no more than this to a gene."""


def read_hint_files(paths: Sequence[Path], contigs: Iterable[AnyContig]) -> list[Hint]:
    """Read the hints that lie on the contigs; equal ones of one source become one.

    Raises:
        DataError: A file cannot be read, or has no hint on any contig.
    """
    names = {contig.name for contig in contigs} if paths else set()
    found: list[Hint] = []
    for path in paths:
        own = [hint for hint in read_hints(path) if hint.contig in names]
        if not own:
            raise DataError(
                "no hint lies on a contig of the genome", path=path,
                expected="contigs by the names that they have in the FASTA file",
            )  # fmt: skip
        found += own
    return merged(found)


class Coverage:
    """The union of intervals, asked for how many bases of another interval it holds.

    Example:
        >>> Coverage([(0, 4), (2, 6), (9, 10)]).bases(3, 10)
        4
    """

    def __init__(self, intervals: Iterable[tuple[int, int]]) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in sorted(intervals):
            if self._ends and start <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], end)
            else:
                self._starts.append(start)
                self._ends.append(end)

    def bases(self, start: int, end: int) -> int:
        """Count the bases of [start, end) that are held."""
        at, count = bisect_right(self._ends, start), 0
        while at < len(self._starts) and self._starts[at] < end:
            count += min(end, self._ends[at]) - max(start, self._starts[at])
            at += 1
        return count


class HintIndex:
    """Hints by place.

    Args:
        hints: Those of all contigs, in any order.
        weight: Multiplies what they add.
        place: Contig and first base there of each part of the genome that is annotated.
        is_read: Whether the network has channels of evidence, and reads hints itself.
    """

    def __init__(
        self,
        hints: Iterable[Hint],
        weight: float = 1.0,
        *,
        place: Callable[[int], tuple[str, int]],
        is_read: bool = False,
    ) -> None:
        hints = list(hints)
        self._weight, self._place = weight, place
        self.evidence = HintEvidence(hints, place=place) if is_read else None
        """The same hints for a network that reads them."""
        self._exact: dict[tuple[str, str, int, int, int], float] = defaultdict(float)
        coding: dict[tuple[str, int, int], list[tuple[int, int]]] = defaultdict(list)
        self.contigs: set[str] = set()
        """Those that have hints."""
        for hint in hints:
            self.contigs.add(hint.contig)
            for strand in (hint.strand,) if hint.strand else _STRANDS:
                if hint.kind == "coding":
                    for frame in _frames(hint, strand):
                        coding[hint.contig, strand, frame].append((hint.start, hint.end))
                    continue
                key = hint.contig, hint.kind, strand, *_key(hint, strand)
                self._exact[key] = max(self._exact[key], 1 - 0.5**hint.multiplicity)
        self._coding = {key: Coverage(intervals) for key, intervals in coding.items()}

    def log_odds(self, part: int, candidates: Sequence[GeneCandidate]) -> NDArray[np.float64]:
        """Return what hints add to the log-odds of each candidate of a part of the genome."""
        contig, offset = self._place(part)
        if contig not in self.contigs:
            return np.zeros(len(candidates))
        moved = (one.moved(offset) if offset else one for one in candidates)
        return np.array([self._of(contig, one) for one in moved], np.float64)

    def _of(self, contig: str, candidate: GeneCandidate) -> float:
        strand, start, stop = candidate.strand, candidate.start_base, candidate.stop_base
        total = WEIGHTS["start"] * self._agreement(contig, "start", strand, start, start)
        total += WEIGHTS["stop"] * self._agreement(contig, "stop", strand, stop, stop)
        for first, second in pairwise(candidate.parts):
            if first.end < second.start:
                agreement = self._agreement(contig, "intron", strand, first.end, second.start)
                total += WEIGHTS["intron"] * agreement
        held = sum(
            self._coding[contig, strand, frame].bases(first, end)
            for first, end, frame in coding_frames(candidate)
            if (contig, strand, frame) in self._coding
        )
        total += WEIGHTS["coding"] * held / max(1, candidate.coding_bp)
        return self._weight * min(total, MOST)

    def _agreement(self, contig: str, kind: str, strand: int, first: int, last: int) -> float:
        return self._exact.get((contig, kind, strand, first, last), 0.0)


def coding_frames(candidate: GeneCandidate) -> Iterator[tuple[int, int, int]]:
    """Yield the coding parts of a candidate: start, end, and reading frame.

    The frame is the place of a codon's leftmost base, modulo 3.
    """
    position = candidate.frame
    for part in candidate.parts:
        if part.kind != "cds":
            continue
        inside = position if candidate.strand > 0 else 2 - position
        yield part.start, part.end, (part.start - inside) % 3
        position = (position + candidate.strand * (part.end - part.start)) % 3


def _frames(hint: Hint, strand: int) -> Sequence[int]:
    """Reading frames that a coding hint may mean; all where its phase is not known."""
    if hint.phase is None:
        return _FRAMES
    return ((hint.start + hint.phase if strand > 0 else hint.end - hint.phase) % 3,)


def _key(hint: Hint, strand: int) -> tuple[int, int]:
    """What candidates' places are compared with: an intron's ends, or a codon's outer base."""
    if hint.kind == "intron":
        return hint.start, hint.end
    outer = five_prime_base if hint.kind == "start" else three_prime_base
    base = outer(hint.start, hint.end, strand)
    return base, base
