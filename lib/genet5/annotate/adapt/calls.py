"""What adaptation keeps of a contig: gene candidates, possible starts, and what surrounds them.

A candidate (a "call") may start at the start codons in frame between the in-frame stop before it
and its own 3' end: the network's start and up to `strand.FLANK` on either side of it. Of each start
its codon, the bases upstream and its share of the votes are kept; of each call the hexamers (6-mers
in frame) from its first start to its last sense codon. The contig's bases are not needed
afterwards. Coordinates are 0-based on the forward strand.

Example:
    calls = contig_calls("chr", candidates, ContigReader(bases, 11, ("ATG", "GTG", "TTG")))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genet5.annotate.adapt.ragged import (
    Floats,
    Ints,
    place_in_row,
    row_firsts,
    row_index,
    row_sums,
)
from genet5.annotate.adapt.spans import Spans
from genet5.annotate.adapt.strand import (
    INTERVAL_BP,
    LEAST_GENE_BP,
    UNKNOWN,
    UPSTREAM_BP,
    ContigReader,
    StrandReader,
)
from genet5.annotate.candidate import GeneCandidate
from genet5.genome.frames import five_three, in_reading_order


@dataclass(frozen=True, slots=True, eq=False)
class ContigCalls:
    """A contig's n calls with their m starts; ragged arrays as in `ragged`."""

    name: str
    contig_bp: int
    candidates: Sequence[GeneCandidate]
    """(n) sorted by start."""
    spans: Spans
    """(n,) Where they lie."""
    firsts: Ints
    """(n + 1,) where the starts of each call begin; a call whose 5' end is not on the contig, or is
    no start codon, has none."""
    base: Ints
    """(m,) the start's first base; those of a call stand in reading order, the longest gene
    first."""
    share: Floats
    """(m,) share of the call's votes, 0..1."""
    codon: NDArray[np.uint8]
    """(m,) index of the start codon (`genome.codes.CODONS`)."""
    upstream: NDArray[np.uint8]
    """(m, UPSTREAM_BP) the bases before the start, 0..3 for A, C, G, T, 4 for others; the last
    column is the base next to the codon."""
    skipped: Ints
    """(m,) codons of the call between its first start and this one."""
    hexamer_firsts: Ints
    """(n + 1,) where the hexamers of each call begin."""
    hexamers: NDArray[np.int16]
    """Hexamer at each codon from the call's first start to its last sense codon but one."""

    @property
    def chosen(self) -> Ints:
        """(n,) Index of the start that each candidate has; -1 if there is none."""
        rows = row_index(self.firsts)
        here = np.flatnonzero(self.base == self.spans.five_prime[rows])
        found = np.full(len(self.candidates), -1, dtype=np.int64)
        found[rows[here]] = here
        return found


def contig_calls(
    name: str, candidates: Sequence[GeneCandidate], reader: ContigReader
) -> ContigCalls:
    """Find the starts of candidates, and what surrounds them.

    Of a gene with introns those in its first coding interval count, and hexamers pass over introns.

    Args:
        name: The contig's.
        candidates: Sorted by start; `starts` holds the votes for each 5' end.
        reader: The contig; it is read interval by interval.
    """
    intervals = [
        _of_interval(list(group), reader)
        for _, group in groupby(candidates, key=lambda c: c.start // INTERVAL_BP)
    ] or [_nothing()]
    firsts, (base, codon, upstream, skipped) = _joined([one.starts for one in intervals])
    hexamer_firsts, (hexamers,) = _joined([one.hexamers for one in intervals])
    return ContigCalls(
        name=name,
        contig_bp=reader.contig_bp,
        candidates=candidates,
        spans=Spans.of(candidates),
        firsts=firsts,
        base=base,
        share=_shares(candidates, firsts, base),
        codon=codon,
        upstream=upstream,
        skipped=skipped,
        hexamer_firsts=hexamer_firsts,
        hexamers=hexamers,
    )


_Rows = tuple[Ints, tuple[NDArray[np.generic], ...]]
"""Ragged rows: firsts, and flat arrays of one length."""


@dataclass(frozen=True, slots=True)
class _Found:
    """Starts (base, codon, upstream, skipped) and hexamers of some candidates."""

    starts: _Rows
    hexamers: _Rows


def _nothing() -> _Found:
    """What there is without candidates."""
    firsts, none = np.zeros(1, dtype=np.int64), np.empty(0, dtype=np.int64)
    upstream = np.empty((0, UPSTREAM_BP), dtype=np.uint8)
    starts = (none, none.astype(np.uint8), upstream, none)
    return _Found((firsts, starts), (firsts, (none.astype(np.int16),)))


def _of_interval(candidates: Sequence[GeneCandidate], reader: ContigReader) -> _Found:
    """Find the starts and hexamers of candidates near each other, on both strands."""
    spans = Spans.of(candidates)
    strands = reader.strands(int(spans.start.min()), int(spans.end.max()))
    mine = [np.flatnonzero(spans.strand == one.sign) for one in strands]
    found = [
        _read(one, spans.take(rows), [candidates[i] for i in rows.tolist()])
        for one, rows in zip(strands, mine, strict=True)
    ]
    order = np.concatenate(mine)
    starts = _together([one.starts for one in found], order)
    return _Found(starts, _together([one.hexamers for one in found], order))


def _read(reader: StrandReader, spans: Spans, candidates: Sequence[GeneCandidate]) -> _Found:
    """Find the starts and hexamers of the candidates of one strand."""
    own, last = reader.place(spans.five_prime), reader.place(spans.three_prime)
    cuts = [five_three(c.partial_left, c.partial_right, c.strand) for c in candidates]
    lacks_start, lacks_stop = np.array(cuts, dtype=bool).reshape(-1, 2).T
    end = own + (last + 1 - own) // 3 * 3
    sense_end = np.where(lacks_stop, end, end - 3)
    coding = {i: _places(c, reader) for i, c in enumerate(candidates) if len(c.parts) > 1}
    last_start, shows_start = end - LEAST_GENE_BP, ~lacks_start
    for i, exons in coding.items():
        coding_bp = sum(map(len, exons)) // 3 * 3
        last_start[i] = own[i] + min(len(exons[0]) // 3 * 3 - 3, coding_bp - LEAST_GENE_BP)
        shows_start[i] &= len(exons[0]) >= 3
    firsts, place = reader.starts_around(own, last_start, shows_start)
    earliest = own.copy()
    some = np.flatnonzero(np.diff(firsts))
    earliest[some] = place[firsts[some]]
    sizes = np.where(lacks_start, 0, np.maximum((sense_end - earliest) // 3 - 1, 0))
    spliced = {
        i: _hexamers_over(exons, int(earliest[i]), reader, lacks_stop=bool(lacks_stop[i]))
        for i, exons in coding.items()
        if not lacks_start[i]
    }
    for i, own_hexamers in spliced.items():
        sizes[i] = len(own_hexamers)
    hexamer_firsts = row_firsts(sizes)
    at = np.repeat(earliest, sizes) + 3 * place_in_row(hexamer_firsts)
    hexamers = reader.hexamers(at)
    for i, own_hexamers in spliced.items():
        hexamers[hexamer_firsts[i] : hexamer_firsts[i + 1]] = own_hexamers
    around = place[:, None] + np.arange(-UPSTREAM_BP, 0)
    starts = (
        reader.base(place),
        reader.codons[place].astype(np.uint8),
        reader.index[around],
        (place - earliest[row_index(firsts)]) // 3,
    )
    return _Found((firsts, starts), (hexamer_firsts, (hexamers,)))


def _places(candidate: GeneCandidate, reader: StrandReader) -> list[Ints]:
    """Return the places of a candidate's coding bases, interval by interval, as they are read."""
    coding = [part for part in candidate.parts if part.kind == "cds"]
    both = [reader.place(np.array([part.start, part.end - 1])) for part in coding]
    spans = [(int(ends.min()), int(ends.max()) + 1) for ends in both]
    return [np.arange(*span) for span in in_reading_order(spans, candidate.strand)]


def _hexamers_over(
    exons: Sequence[Ints], earliest: int, reader: StrandReader, *, lacks_stop: bool
) -> NDArray[np.int16]:
    """Return the hexamers of a gene with introns, from its first start to its last sense codon.

    Args:
        exons: Places of its coding bases.
        earliest: Place of its first start, in or before the first interval.
        reader: The strand.
        lacks_stop: Whether its last codon is a sense codon.
    """
    places = np.concatenate([np.arange(earliest, exons[0][-1] + 1), *exons[1:]])
    index = reader.index[places[: len(places) // 3 * 3]].reshape(-1, 3).astype(np.int16)
    codons = np.where((index > 3).any(axis=1), -1, index @ np.array([16, 4, 1], dtype=np.int16))
    sense = codons if lacks_stop else codons[:-1]
    known = (sense[:-1] >= 0) & (sense[1:] >= 0)
    return np.where(known, 64 * sense[:-1] + sense[1:], UNKNOWN).astype(np.int16)


def _joined(rows: Sequence[_Rows]) -> tuple[Ints, tuple[Any, ...]]:
    """Join the rows of intervals one after another."""
    sizes = [np.diff(firsts) for firsts, _ in rows]
    flat = zip(*(values for _, values in rows), strict=True)
    return row_firsts(np.concatenate(sizes)), tuple(np.concatenate(one) for one in flat)


def _together(both: Sequence[_Rows], order: Ints) -> tuple[Ints, tuple[Any, ...]]:
    """Put the rows of two strands, of which row k belongs at order[k], into one order."""
    sizes = np.zeros(len(order), dtype=np.int64)
    sizes[order] = np.concatenate([np.diff(firsts) for firsts, _ in both])
    firsts = row_firsts(sizes)
    at = np.repeat(firsts[order], sizes[order]) + place_in_row(row_firsts(sizes[order]))
    flat = []
    for pair in zip(*(values for _, values in both), strict=True):
        joined = np.concatenate(pair)
        placed = np.empty_like(joined)
        placed[at] = joined
        flat.append(placed)
    return firsts, tuple(flat)


def _shares(candidates: Sequence[GeneCandidate], firsts: Ints, base: Ints) -> Floats:
    """Return each start's share of the votes for its call's starts; 0 where nothing was voted."""
    share = np.zeros(len(base))
    for i, candidate in enumerate(candidates):
        votes = dict(candidate.starts)
        for j in range(firsts[i], firsts[i + 1]):
            share[j] = votes.get(int(base[j]), 0.0)
    totals = row_sums(share, firsts)[row_index(firsts)]
    return np.divide(share, totals, out=share, where=totals > 0)
