"""A contig as genes read it, strand by strand and interval by interval.

`ContigReader` cuts intervals out of a contig; the two `StrandReader`s of an interval find start
codons, stop codons and hexamers in reading direction. Whatever is asked of a gene lies within
`REACH_BP` of it, so an interval gives what the whole contig would, and memory does not grow with
the contig. Cost: some compiled passes over the bases.

Example:
    reader = ContigReader(contig.bases, 11, ("ATG", "GTG", "TTG"), circular=False)
    for strand in reader.strands(0, 50_000):
        print(strand.sign, strand.is_start.sum())
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genet5.annotate.adapt.compiled_strand import (
    count_hexamers,
    read_codons,
    starts_around,
)
from genet5.annotate.adapt.ragged import Ints, row_firsts
from genet5.genome.codes import CODONS, genetic_code
from genet5.genome.sequence import BASE_INDEX, AnyBases, Bases

UPSTREAM_BP = 21
"""Bases before a start that are kept: a motif of 6 and a spacer of up to 15."""
FLANK = 5
"""Starts that are considered on either side of the network's."""
LEAST_GENE_BP = 60
"""A start must leave a gene of this length, stop codon included."""
REACH_BP = 30_000
"""Starts are at most this far upstream of the network's, or of the stop of what is proposed."""
INTERVAL_BP = 300_000
"""What is read at once."""
NUM_HEXAMERS = 4096
UNKNOWN = NUM_HEXAMERS
"""Index of a hexamer with an ambiguous base."""
_COMPLEMENT = np.array([3, 2, 1, 0, 4], dtype=np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class StrandReader:
    """Arrays over one strand of the interval [low, high) of a contig, in reading direction.

    Places count from the interval's first base in reading direction.
    """

    sign: int
    low: int
    high: int
    first: int
    """Least place that a start may have."""
    index: NDArray[np.uint8]
    """(high - low,) 0..3 for A, C, G, T, 4 for others."""
    codons: NDArray[np.int8]
    """(high - low,) index of the codon that begins at each base; -1 if ambiguous."""
    is_start: NDArray[np.bool_]
    """(65,) Which codons start a gene; the last one is the ambiguous one."""
    is_stop: NDArray[np.bool_]
    """(65,)"""

    def place(self, base: Ints) -> Ints:
        """Turn forward-strand coordinates into places, or places into coordinates."""
        return base - self.low if self.sign > 0 else self.high - 1 - base

    def base(self, place: Ints) -> Ints:
        """Turn places into forward-strand coordinates."""
        return place + self.low if self.sign > 0 else self.high - 1 - place

    def hexamers(self, place: Ints) -> NDArray[np.int16]:
        """Return the index of the hexamer that begins at each place; UNKNOWN if ambiguous."""
        first, second = self.codons[place].astype(np.int16), self.codons[place + 3]
        known = (first >= 0) & (second >= 0)
        return np.where(known, 64 * first + second, np.int16(UNKNOWN))

    def starts_around(self, own: Ints, last: Ints, known: NDArray[np.bool_]) -> tuple[Ints, Ints]:
        """Find the possible starts of genes.

        Args:
            own: (n,) places of the genes' present starts.
            last: (n,) last places that a start may have.
            known: (n,) False: the gene's start is not on the contig, and gets none.

        Returns:
            Ragged rows: their firsts (n + 1,), and places in reading order. A gene whose present
                start is no start codon has none.
        """
        found = np.zeros((len(own), 2 * FLANK + 1), dtype=np.int64)
        limits = (self.first, REACH_BP, FLANK)
        sizes = starts_around(
            self.codons, self.is_start, self.is_stop, own, last, known, limits, found
        )
        return row_firsts(sizes), found[np.arange(found.shape[1]) < sizes[:, None]]


@dataclass(frozen=True, slots=True, eq=False)
class ContigReader:
    """Cuts intervals out of a contig."""

    bases: AnyBases
    code: int
    """NCBI number of the genetic code."""
    start_codons: tuple[str, ...]
    """Codons that may start a gene."""
    circular: bool = False
    """Whether the bases continue past the contig's end."""

    @property
    def contig_bp(self) -> int:
        """Length of the contig."""
        return len(self.bases)

    def strands(self, low: int, high: int) -> tuple[StrandReader, StrandReader]:
        """Read both strands of an interval and of what is near it.

        Args:
            low: First base.
            high: One past the last base; on a circular contig it may lie past the contig's end.
        """
        most = 2 * self.contig_bp if self.circular else self.contig_bp
        first, last = max(0, low - REACH_BP), min(most, high + REACH_BP)
        bases = self._padded(first - UPSTREAM_BP, last + UPSTREAM_BP)
        index = BASE_INDEX[bases]
        return self._strand(index, 1, first), self._strand(_COMPLEMENT[index[::-1]], -1, first)

    def intervals(self) -> Iterator[tuple[int, int]]:
        """Yield the intervals that make up the contig, left to right."""
        for low in range(0, self.contig_bp, INTERVAL_BP):
            yield low, min(low + INTERVAL_BP, self.contig_bp)

    def background(self) -> Ints:
        """Return the counts of the hexamers of both strands, (NUM_HEXAMERS,).

        On a circular contig those over the origin count as well.
        """
        counts = np.zeros(NUM_HEXAMERS, dtype=np.int64)
        for low, high in self.intervals():
            end = high + 5 if high < self.contig_bp or self.circular else high
            count_hexamers(BASE_INDEX[self._padded(low, end)], counts)
        return counts + counts[_other_strand()]

    def _strand(self, index: NDArray[np.uint8], sign: int, first: int) -> StrandReader:
        """Read one strand of bases that begin UPSTREAM_BP before `first`."""
        codons = np.empty(len(index), dtype=np.int8)
        read_codons(index, codons)
        low = first - UPSTREAM_BP
        return StrandReader(
            sign=sign,
            low=low,
            high=low + len(index),
            first=UPSTREAM_BP,
            index=index,
            codons=codons,
            is_start=np.array([codon in self.start_codons for codon in CODONS] + [False]),
            is_stop=np.append(genetic_code(self.code).stop_table, False),
        )

    def _padded(self, low: int, high: int) -> Bases:
        """Bases [low, high); beyond a linear contig's ends N, beyond a circular one's its bases."""
        size = self.contig_bp
        if not self.circular:
            inside = self.bases[max(low, 0) : min(high, size)]
            return np.pad(inside, (max(-low, 0), max(high - size, 0)), constant_values=ord("N"))
        parts = []
        while low < high:
            begin = low % size
            parts.append(self.bases[begin : min(size, begin + high - low)])
            low += len(parts[-1])
        return np.concatenate(parts)


def _other_strand() -> Ints:
    """Index of the reverse complement of each hexamer."""
    index = np.arange(NUM_HEXAMERS)
    digits = [(index // 4**power) % 4 for power in range(6)]
    return np.asarray(sum((3 - digit) * 4 ** (5 - power) for power, digit in enumerate(digits)))
