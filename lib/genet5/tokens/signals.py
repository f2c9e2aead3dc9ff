"""What the grammar can read off the DNA, precomputed per window as arrays over its bases.

Both strands are scanned left to right (see `rules`): next in-frame stop, closing codons, bases
where a CDS may open, splice sites, and on the reverse strand whether an open CDS can still be
completed. A coding part may always stop at the window's right edge, and with introns at any splice
site (the gene may then be cut in the intron), so completability needs no search over introns.
Building costs about 40 NumPy passes over the bases; every later question is a slice or a look-up.

Example:
    >>> from genet5.genome.sequence import encode_bases
    >>> from genet5.tokens.rules import prokaryote_options
    >>> signals = build_signals([encode_bases("CCATGAAATAGCC")], [11], prokaryote_options())
    >>> np.flatnonzero(signals.opens[0, 0, :10]).tolist(), int(signals.next_stop[0, 0, 2])
    ([2], 8)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genet5.errors import DataError
from genet5.genome.sequence import BASE_INDEX, Bases
from genet5.tokens.rules import (
    AT_AC,
    GT_AG,
    NO_FRAME,
    OUTSIDE,
    Bool,
    CodonTables,
    GrammarOptions,
    codon_tables,
    splice_tables,
    triple_code,
)

FAR = 1 << 30
"""Position of what does not exist."""

Int = NDArray[np.int32]
Byte = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Codon:
    """The codon in progress where a coding part begins.

    `mode` is 0 inside a CDS, 1 in the codon that opens it, 2 where it may be either; `count` bases
    of the codon (read left to right) lie in earlier parts, and `x`, `y` are their symbols (count 1:
    x; count 2: x, y).
    """

    mode: int = 0
    count: int = 0
    x: int = OUTSIDE
    y: int = OUTSIDE


class Reach(NamedTuple):
    """How far a coding part may extend from its first base."""

    frame: int
    """First base of the first codon that is read like any other: after an opening or split one."""
    limit: int
    """Last base the part may have."""
    closes: bool
    """The codon before `frame` may close the CDS."""
    stops: bool
    """That codon is a stop for sure."""


OPENING = Codon(mode=1)
"""The codon of a CDS that begins here."""


def cut_codon(strand: int, slot: int, utr: bool) -> Codon:
    """The codon in progress where the first part of a transcript is coding; strand index 0 or 1."""
    if slot >= NO_FRAME:
        return OPENING
    # left of such a part there may be UTR: a stop codon on its left end may be the gene's
    either = utr and strand == 1 and slot == 2
    return Codon(2 if either else 0, slot if strand == 0 else 2 - slot)


@dataclass(frozen=True)
class Signals:
    """Arrays of B windows padded to width W, a little more than the longest.

    Strand index 0 is `+`, 1 is `-`.     `opens`, `ends`, `starts` and `closes` are false beyond a
    window's end.
    """

    free: bool
    """Level "off": whatever the DNA."""
    lengths: NDArray[np.int64]
    """(B,) bases."""
    symbols: Byte
    """(B, W + 2) OUTSIDE beyond the end."""
    triples: Byte
    """(B, W) triple that begins at each base."""
    next_stop: Int
    """(B, 2, W) first base of the next stop triple in frame with this base (this base included);
    FAR if none."""
    next_start: Int
    """(B, W) the same for start codons on `-`."""
    next_end: Int
    """(B, W) next base on `-` where a part may end without closing: splice site or right edge."""
    opens: Bool
    """(B, 2, W) a CDS may open here, and can be completed."""
    closes: Bool
    """(B, 2, W) last base of a closing triple."""
    ends: Byte
    """(B, 2, W) splice classes of a part that ends here; the last base has all."""
    starts: Byte
    """(B, 2, W) splice classes of a part that starts here; base 0 has all."""
    tables: tuple[CodonTables, ...]
    """Codon tables of each window."""

    def _first_triple(self, row: int, codon: Codon, first: int) -> int:
        """Triple completed by the part that starts at `first`, whether or not it is long enough."""
        a, b, c = (int(symbol) for symbol in self.symbols[row, first : first + 3])
        if codon.count == 0:
            return triple_code(a, b, c)
        if codon.count == 1:
            return triple_code(codon.x, a, b)
        return triple_code(codon.x, codon.y, a)

    def part_starts(
        self, row: int, strand: int, codon: Codon, start: int = 0, end: int | None = None
    ) -> Bool:
        """Which bases of [start, end) may begin a coding part so that the gene can be completed.

        Splice sites are not considered.
        """
        end = int(self.lengths[row]) if end is None else end
        if self.free or (strand == 0 and codon.mode == 0):
            return np.ones(max(end - start, 0), dtype=bool)
        if end <= start:
            return np.zeros(0, dtype=bool)
        if codon.count == 0:
            if codon.mode == 1:
                return self.opens[row, strand, start:end]
            here = self._fits(row, start, end, 0)
            return here if codon.mode == 0 else here | self._fits(row, start, end, 3)
        return self._split_starts(row, strand, codon, start, end)

    def _fits(self, row: int, start: int, end: int, shift: int) -> Bool:
        """Which bases of [start, end) may begin a part on `-` that has an end.

        The part has a codon boundary `shift` bases after its start; it can close, end at a splice
        site, or reach the edge.
        """
        framed = slice(start + shift, end + shift)
        close = np.minimum(self.next_start[row, framed] + 2, self.next_end[row, start:end])
        fits: Bool = close <= self.next_stop[row, 1, framed] + 1
        return fits

    def _split_starts(self, row: int, strand: int, codon: Codon, start: int, end: int) -> Bool:
        """`part_starts` where `codon.count` bases of the first codon lie before the part."""
        tables, symbols = self.tables[row], self.symbols[row]
        first = symbols[start:end]
        if codon.count == 1:
            triple = triple_code(codon.x, 0, 0) + 6 * first + symbols[start + 1 : end + 1]
        else:
            triple = triple_code(codon.x, codon.y, 0) + first
        if codon.mode == 1:
            passes = tables.opens[strand][triple]
        elif codon.mode == 0:
            passes = ~tables.stops[strand][triple]
        else:
            passes = np.ones(end - start, dtype=bool)
        legal: Bool = passes.copy()
        if strand == 1:
            legal &= self._fits(row, start, end, 3 - codon.count)
        if codon.mode != 1:
            legal |= passes & tables.closes[strand][triple]
        if codon.count == 1:
            short = self.ends[row, strand, start:end] > 0
            if codon.mode == 1:
                short &= tables.opens[strand][triple_code(codon.x, 0, OUTSIDE) + 6 * first]
            legal |= short
        return legal

    def start_codons(self, row: int, strand: int) -> Bool:
        """(length,) First bases, as read, of whole start codons; at level "off" every base."""
        length = int(self.lengths[row])
        if self.free:
            return np.ones(length, dtype=bool)
        if strand == 1:
            return self.closes[row, 1, :length]
        triples = self.triples[row, :length]
        starts: Bool = self.tables[row].opens[0][triples] & _KNOWN[triples]
        return starts

    def stop_codons(self, row: int, strand: int) -> Bool:
        """(length,) Last bases, as read, of whole stop codons; at level "off" every base."""
        length = int(self.lengths[row])
        if self.free or strand == 0:
            return self.closes[row, strand, :length]
        stops: Bool = self.next_stop[row, 1, :length] == np.arange(length, dtype=np.int32)
        return stops

    def donors(self, row: int, strand: int) -> Byte:
        """(length,) Splice classes of introns that may begin after each base, as read."""
        length = int(self.lengths[row])
        return (self.ends if strand == 0 else self.starts)[row, strand, :length]

    def acceptors(self, row: int, strand: int) -> Byte:
        """(length,) Splice classes of introns that may end before each base, as read."""
        length = int(self.lengths[row])
        return (self.starts if strand == 0 else self.ends)[row, strand, :length]

    def part_ends(self, row: int, strand: int, codon: Codon, first: int) -> Bool:
        """(length,) Bases that may end the coding part that starts at `first`."""
        length = int(self.lengths[row])
        legal = np.zeros(length, dtype=bool)
        if self.free:
            legal[first:] = True
            return legal
        reach = self.reach(row, strand, codon, first)
        ends = slice(first, reach.limit + 1)
        legal[ends] = self.ends[row, strand, ends] > 0
        closes = slice(reach.frame + 2, reach.limit + 1, 3)
        legal[closes] |= self.closes[row, strand, closes]
        if reach.closes and reach.frame - 1 <= reach.limit:
            legal[reach.frame - 1] = True
        return legal

    def reach(self, row: int, strand: int, codon: Codon, first: int) -> Reach:
        """How far a coding part that starts at `first` may extend; what its first codon does."""
        whole = codon.count == 0 and codon.mode == 0
        frame = first if whole else first + 3 - codon.count
        block = int(self.next_stop[row, strand, frame])
        limit = min(block + 2 - strand, int(self.lengths[row]) - 1)
        if whole:
            return Reach(frame, limit, False, False)
        triple = self._first_triple(row, codon, first)
        tables = self.tables[row]
        stops = codon.mode == 0 and bool(tables.stops[strand, triple])
        closes = codon.mode != 1 and bool(tables.closes[strand, triple])
        limit = self._first_limit(row, strand, codon, first, triple, limit)
        return Reach(frame, limit, closes, stops)

    def _first_limit(
        self, row: int, strand: int, codon: Codon, first: int, triple: int, limit: int
    ) -> int:
        """Last base the part may reach when its first codon is special.

        That is an opening codon, or one split by an intron or the edge.
        """
        tables = self.tables[row]
        completed = first + 2 - codon.count
        if codon.mode == 0 and tables.stops[strand, triple]:
            return min(limit, completed - strand)
        if codon.mode != 1 or tables.opens[strand, triple]:
            return limit
        known = [codon.x, codon.y][: codon.count]
        known += [int(symbol) for symbol in self.symbols[row, first : first + 2]]
        for last in (completed - 1, completed - 2):  # a codon split by another intron
            seen = [*known[: codon.count + last - first + 1], OUTSIDE, OUTSIDE][:3]
            if last >= first and tables.opens[strand, triple_code(*seen)]:
                return min(limit, last)
        return first - 1


def _next_in_frame(found: Bool) -> Int:
    """(B, W) Next true base in steps of three, the base itself included; FAR if none.

    W is a multiple of three.
    """
    height, width = found.shape
    at = np.where(found, np.arange(width, dtype=np.int32), np.int32(FAR))
    back = at.reshape(height, width // 3, 3)[:, ::-1]
    return np.minimum.accumulate(back, axis=1)[:, ::-1].reshape(height, width)


def _next_true(found: Bool) -> Int:
    """(B, W) Next true base, the base itself included; FAR if none."""
    at = np.where(found, np.arange(found.shape[1], dtype=np.int32), np.int32(FAR))
    return np.minimum.accumulate(at[:, ::-1], axis=1)[:, ::-1]


def _look_up(triples: Byte, tables: Sequence[CodonTables], name: str, strand: int) -> Bool:
    """Row of the named table for each triple, each window with its own genetic code."""
    if all(table is tables[0] for table in tables):
        return np.take(getattr(tables[0], name)[strand], triples)
    rows = [getattr(table, name)[strand][row] for table, row in zip(tables, triples, strict=True)]
    return np.stack(rows)


def _splice_sites(symbols: Byte, inside: Bool, options: GrammarOptions) -> tuple[Byte, Byte]:
    """`ends` and `starts` of `Signals`."""
    height, width = inside.shape
    ends = np.zeros((height, 2, width), dtype=np.uint8)
    starts = np.zeros((height, 2, width), dtype=np.uint8)
    every = GT_AG | AT_AC
    if options.introns and options.level == "strict":
        after_end, before_start = splice_tables(options.at_ac)
        edge = np.full((height, 2), OUTSIDE, dtype=np.uint8)
        padded = np.concatenate([edge, symbols, edge[:, :1]], axis=1)
        pairs = 6 * padded[:, :-1] + padded[:, 1:]  # pair i = bases i - 2, i - 1
        for strand in (0, 1):
            ends[:, strand] = np.take(after_end[strand], pairs[:, 3 : 3 + width])
            starts[:, strand] = np.take(before_start[strand], pairs[:, :width])
    elif options.introns:
        ends[:], starts[:] = every, every
    ends *= inside[:, None]
    starts *= inside[:, None]
    last = inside.sum(axis=1) - 1
    ends[np.arange(height), :, last] = every
    starts[:, :, 0] = every
    return ends, starts


def _opens(signals: Signals, triples: Byte, inside: Bool, introns: bool) -> Bool:
    """Fill `opens` of `Signals`: whole or cut opening codons, and those that an intron splits."""
    tables, opens = signals.tables, signals.opens
    width = inside.shape[1]
    for strand in (0, 1):
        opens[:, strand] = _look_up(triples, tables, "opens", strand)
    framed = np.minimum(np.arange(width) + 3, width - 1)
    close = np.minimum(signals.next_start[:, framed] + 2, signals.next_end)
    opens[:, 1] &= close <= signals.next_stop[:, 1][:, framed] + 1
    if introns:
        single = 36 * (triples // 36) + triple_code(0, OUTSIDE, OUTSIDE)
        double = 6 * (triples // 6) + OUTSIDE
        for strand in (0, 1):
            ends = signals.ends[:, strand] > 0
            opens[:, strand] |= _look_up(single, tables, "opens", strand) & ends
            opens[:, strand, :-1] |= _look_up(double, tables, "opens", strand)[:, :-1] & ends[:, 1:]
    opens &= inside[:, None]
    return opens


def build_signals(
    windows: Sequence[Bases], genetic_codes: Sequence[int], options: GrammarOptions
) -> Signals:
    """Precompute the signals of windows with their genetic codes.

    Raises:
        DataError: There is no window, or one has no base.
    """
    lengths = np.array([len(window) for window in windows], dtype=np.int64)
    if not len(lengths) or lengths.min() == 0:
        raise DataError("a window without bases", expected="at least one base in each window")
    width = (int(lengths.max()) + 6) // 3 * 3
    symbols = np.full((len(windows), width + 2), OUTSIDE, dtype=np.uint8)
    for row, window in enumerate(windows):
        symbols[row, : len(window)] = BASE_INDEX[window]
    triples = 36 * symbols[:, :-2] + 6 * symbols[:, 1:-1] + symbols[:, 2:]
    inside = np.arange(width) < lengths[:, None]
    tables = tuple(codon_tables(code, options.start_codons) for code in genetic_codes)
    ends, starts = _splice_sites(symbols, inside, options)
    if options.level == "off":
        return _free_signals(lengths, symbols, triples, inside, ends, starts, tables)
    stops = [_look_up(triples, tables, "stops", strand) for strand in (0, 1)]
    known = np.take(_KNOWN, triples)
    begins = _look_up(triples, tables, "closes", 1) & known
    closes = np.zeros((len(windows), 2, width), dtype=bool)
    closes[:, 0, 2:], closes[:, 1, 2:] = stops[0][:, :-2], begins[:, :-2]
    signals = Signals(
        free=False,
        lengths=lengths,
        symbols=symbols,
        triples=triples,
        next_stop=np.stack([_next_in_frame(found) for found in stops], axis=1),
        next_start=_next_in_frame(begins),
        next_end=_next_true(ends[:, 1] > 0),
        opens=np.zeros((len(windows), 2, width), dtype=bool),
        closes=closes,
        ends=ends,
        starts=starts,
        tables=tables,
    )
    _opens(signals, triples, inside, options.introns)
    return signals


def _free_signals(
    lengths: NDArray[np.int64],
    symbols: Byte,
    triples: Byte,
    inside: Bool,
    ends: Byte,
    starts: Byte,
    tables: tuple[CodonTables, ...],
) -> Signals:
    """Signals of level "off": everything is legal everywhere."""
    everywhere = np.repeat(inside[:, None], 2, axis=1)
    nowhere = np.full(inside.shape, FAR, dtype=np.int32)
    return Signals(
        free=True,
        lengths=lengths,
        symbols=symbols,
        triples=triples,
        next_stop=np.stack([nowhere, nowhere], axis=1),
        next_start=nowhere,
        next_end=nowhere,
        opens=everywhere,
        closes=everywhere,
        ends=ends,
        starts=starts,
        tables=tables,
    )


_KNOWN = np.array([max(t // 36, t // 6 % 6, t % 6) < 4 for t in range(216)])
