"""One strand of a contig as genes read it: start codons, stop codons and hexamers by frame.

Places count along the strand, over bases that are continued at both ends: by N, or past the origin
of a circular contig. Cost: some passes over the bases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genet5.annotate.adapt.ragged import Ints, place_in_row, row_firsts
from genet5.genome.codes import CODONS, genetic_code
from genet5.genome.sequence import BASE_INDEX, Bases, codon_index, reverse_complement

UPSTREAM_BP = 21
"""Bases before a start that are kept: a motif of 6 and a spacer of up to 15."""
FLANK = 5
"""Starts that are considered on either side of the network's."""
LEAST_GENE_BP = 60
"""A start must leave a gene of this length, stop codon included."""
NUM_HEXAMERS = 4096
UNKNOWN = NUM_HEXAMERS
"""Index of a hexamer with an ambiguous base."""


@dataclass(frozen=True, slots=True, eq=False)
class StrandReader:
    """Arrays over one strand of a contig, in reading direction."""

    sign: int
    shift: int
    """Place of the contig's first base in reading direction."""
    first: int
    """Least place that a start may have."""
    contig_bp: int
    index: NDArray[np.uint8]
    """(W,) 0..3 for A, C, G, T, 4 for others."""
    codons: NDArray[np.int16]
    """(W,) index of the codon that begins at each base; -1 if ambiguous."""
    hexamers: NDArray[np.int16]
    """(W,) index of the hexamer that begins at each base; UNKNOWN if ambiguous."""
    starts: tuple[Ints, ...]
    """Places of start codons in each of the three frames, ascending."""
    stops: tuple[Ints, ...]

    @classmethod
    def of(
        cls, bases: Bases, sign: int, code: int, start_codons: Sequence[str], *, circular: bool
    ) -> StrandReader:
        """Read a strand (+1 or -1) of a contig's bases."""
        margin = np.full(UPSTREAM_BP, ord("N"), dtype=np.uint8)
        left = np.take(bases, range(-UPSTREAM_BP, 0), mode="wrap") if circular else margin
        right = bases if circular else margin
        whole = np.concatenate((left, bases, right))
        shift = len(left)
        if sign < 0:
            whole, shift = reverse_complement(whole), len(right)
        codons = codon_index(whole)
        first = UPSTREAM_BP if circular and sign < 0 else shift
        return cls(
            sign,
            shift,
            first,
            len(bases),
            BASE_INDEX[whole],
            codons,
            hexamer_index(codons),
            _by_frame(np.array([codon in start_codons for codon in CODONS] + [False])[codons]),
            _by_frame(np.append(genetic_code(code).stop_table, False)[codons]),
        )

    def place(self, base: Ints) -> Ints:
        """Turn forward-strand coordinates into places, or places into coordinates."""
        if self.sign > 0:
            return base + self.shift
        return self.shift + self.contig_bp - 1 - base

    def base(self, place: Ints) -> Ints:
        """Turn places into forward-strand coordinates."""
        if self.sign > 0:
            return place - self.shift
        return self.shift + self.contig_bp - 1 - place

    def hexamer_counts(self) -> Ints:
        """Return the counts of the hexamers that begin on the contig, (NUM_HEXAMERS,)."""
        own = self.hexamers[self.shift : self.shift + self.contig_bp]
        return np.bincount(own, minlength=NUM_HEXAMERS + 1)[:NUM_HEXAMERS].astype(np.int64)

    def starts_around(
        self, own: Ints, sense_end: Ints, end: Ints, known: NDArray[np.bool_]
    ) -> tuple[Ints, Ints]:
        """Find the possible starts of genes.

        Args:
            own: (n,) places of the genes' present starts.
            sense_end: (n,) places after their last sense codons.
            end: (n,) places after their last codons.
            known: (n,) False: the gene's start is not on the contig, and gets none.

        Returns:
            Ragged rows: their firsts (n + 1,), and places in reading order. A gene whose present
                start is no start codon has none.
        """
        low, size = np.zeros(len(own), dtype=np.int64), np.zeros(len(own), dtype=np.int64)
        for frame in range(3):
            here = np.flatnonzero(known & (own % 3 == frame))
            starts, stops = self.starts[frame], self.stops[frame]
            before = np.concatenate(([-1], stops))[np.searchsorted(stops, sense_end[here])]
            before = np.maximum(before, self.first - 1)
            mine = np.searchsorted(starts, own[here])
            first = np.searchsorted(starts, before, side="right")
            beyond = np.searchsorted(starts, end[here] - LEAST_GENE_BP, side="right")
            low[here] = np.maximum(first, mine - FLANK)
            is_start = np.append(starts, -1)[mine] == own[here]
            high = np.minimum(beyond, mine + FLANK + 1)
            size[here] = np.where(is_start, np.maximum(high - low[here], 0), 0)
        firsts = row_firsts(size)
        index = np.repeat(low, size) + place_in_row(firsts)
        frames = np.repeat(own % 3, size)
        place = np.zeros(len(index), dtype=np.int64)
        for frame in range(3):
            place[frames == frame] = self.starts[frame][index[frames == frame]]
        return firsts, place


def read_strands(
    bases: Bases, code: int, start_codons: Sequence[str], *, circular: bool = False
) -> tuple[StrandReader, StrandReader]:
    """Read both strands of a contig.

    Args:
        bases: (L,) of the contig.
        code: NCBI number of the genetic code.
        start_codons: Codons that may start a gene.
        circular: Whether the bases continue past the contig's end.
    """
    plus = StrandReader.of(bases, 1, code, start_codons, circular=circular)
    return plus, StrandReader.of(bases, -1, code, start_codons, circular=circular)


def hexamer_index(codons: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return 64 * (codon at each base) + (codon three bases on); UNKNOWN if one is ambiguous.

    Example:
        >>> hexamer_index(np.array([0, 1, -1, 3, 4, 5], dtype=np.int16)).tolist()
        [3, 68, 4096, 4096, 4096, 4096]
    """
    following = np.append(codons[3:], np.full(min(3, len(codons)), -1, dtype=np.int16))
    known = (codons >= 0) & (following >= 0)
    return np.where(known, 64 * codons + following, UNKNOWN).astype(np.int16)


def _by_frame(marked: NDArray[np.bool_]) -> tuple[Ints, ...]:
    """Places that are marked, in each of the three frames."""
    return tuple(np.flatnonzero(marked[frame::3]) * 3 + frame for frame in range(3))
