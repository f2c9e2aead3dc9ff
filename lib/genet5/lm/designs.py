"""What generated sequences are like: reading frame, stops, composition, codons, k-mers.

Sequences are read in frame 0, from their first base; that is the frame of a coding sequence, or of
a prompt that begins with one. A frame is kept if no stop codon comes before the last codon.

Example:
    >>> from genet5.genome.codes import genetic_code
    >>> from genet5.genome.sequence import checked_bases
    >>> found = describe("x", checked_bases("ATGGCCTAAGG"), genetic_code(1))
    >>> found.first_stop, found.frame_kept, found.has_start
    (2, True, True)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genet5.genome.codes import CODONS, GeneticCode
from genet5.genome.sequence import BASE_INDEX, Bases, codon_index

Shares = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Design:
    """Figures of one sequence."""

    name: str
    length_bp: int
    gc: float | None
    """Share of G and C among known bases; None if there is none."""
    codons: int
    """Whole codons in frame 0."""
    stops: int
    """Stop codons in frame 0."""
    first_stop: int | None
    """Codon of the first stop in frame 0."""
    has_start: bool
    """Whether the first codon is ATG."""

    @property
    def frame_kept(self) -> bool:
        """Whether no stop codon comes before the last codon."""
        return self.first_stop is None or self.first_stop == self.codons - 1

    @property
    def open_share(self) -> float:
        """Share of codons before the first stop."""
        open_codons = self.codons if self.first_stop is None else self.first_stop
        return open_codons / self.codons if self.codons else 0.0


def describe(name: str, bases: Bases, code: GeneticCode) -> Design:
    """Return the figures of a sequence."""
    index = BASE_INDEX[bases]
    known = int((index < 4).sum())
    codons = _codons(bases)
    at = _stops(codons, code)
    return Design(
        name=name,
        length_bp=len(bases),
        gc=float(((index == 1) | (index == 2)).sum() / known) if known else None,
        codons=len(codons),
        stops=len(at),
        first_stop=int(at[0]) if len(at) else None,
        has_start=bool(len(codons)) and int(codons[0]) == CODONS.index("ATG"),
    )


def codon_usage(sequences: Iterable[Bases], code: GeneticCode) -> Shares:
    """Return the share of each of the 64 codons in frame 0, up to the first stop."""
    counts = np.zeros(64)
    for bases in sequences:
        codons = _codons(bases)
        at = _stops(codons, code)
        used = codons[: int(at[0]) if len(at) else None]
        counts += np.bincount(used[used >= 0], minlength=64)
    return _shares(counts)


def kmer_spectrum(sequences: Iterable[Bases], k: int) -> Shares:
    """Return the share of each k-mer at any place, (4^k,) in the order of A, C, G, T."""
    counts = np.zeros(4**k)
    for bases in sequences:
        codes = kmer_codes(bases, k)
        counts += np.bincount(codes[codes >= 0], minlength=4**k)
    return _shares(counts)


def kmer_codes(bases: Bases, k: int) -> NDArray[np.int64]:
    """Return the number of the k-mer at each place, -1 where a letter is ambiguous.

    Example:
        >>> from genet5.genome.sequence import checked_bases
        >>> kmer_codes(checked_bases("ACGNA"), 2).tolist()
        [1, 6, -1, -1]
    """
    index = BASE_INDEX[bases].astype(np.int64)
    count = max(0, len(bases) - k + 1)
    codes, is_known = np.zeros(count, dtype=np.int64), np.ones(count, dtype=np.bool_)
    for place in range(k):
        column = index[place : place + count]
        codes = 4 * codes + column
        is_known &= column < 4
    return np.where(is_known, codes, -1)


def divergence(one: Shares, other: Shares) -> float:
    """Return the Jensen-Shannon divergence of two distributions in bits: 0 equal, 1 disjoint.

    Example:
        >>> divergence(np.array([1.0, 0.0]), np.array([0.0, 1.0]))
        1.0
    """
    middle = (one + other) / 2
    parts = [float((p[p > 0] * np.log2(p[p > 0] / middle[p > 0])).sum()) / 2 for p in (one, other)]
    return sum(parts)


def _codons(bases: Bases) -> NDArray[np.int16]:
    """Return the numbers of the whole codons in frame 0; -1 for ambiguous ones."""
    return codon_index(bases)[: len(bases) // 3 * 3 : 3]


def _stops(codons: NDArray[np.int16], code: GeneticCode) -> NDArray[np.intp]:
    return np.flatnonzero(code.stop_table[codons] & (codons >= 0))


def _shares(counts: Shares) -> Shares:
    found: Shares = counts / max(1.0, float(counts.sum()))
    return found
