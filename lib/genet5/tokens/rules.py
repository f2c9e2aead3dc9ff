"""Rules of the grammar: its options, and the tables of codons and splice sites of all checks.

A base is a *symbol*: 0..3 for A, C, G, T; AMBIGUOUS (N and the like) matches nothing; OUTSIDE
(beyond the window's edge) may be any base. Three symbols, read left to right on the forward strand,
make one *triple* 36 a + 6 b + c; on the reverse strand a triple is the codon's reverse complement.
So both strands are scanned from left to right: a coding part opens with a start codon and closes
with a stop codon on `+`, and the other way around on `-`. `signals` (arrays over windows),
`automaton` (decoding) and `legality` (one written gene) all look codons and splice sites up here.

Example:
    >>> tables = codon_tables(11, ("ATG",))
    >>> bool(tables.opens[0, triple_code(0, 3, 2)]), bool(tables.opens[1, triple_code(3, 3, 0)])
    (True, True)
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from genet5.errors import ConfigError
from genet5.genome.codes import CODONS, genetic_code

AMBIGUOUS = 4
OUTSIDE = 5
NUM_TRIPLES = 216

GT_AG = 1
"""Splice class bit: introns GT-AG and GC-AG."""
AT_AC = 2
"""Splice class bit: introns AT-AC."""

CDS, UTR, EXON = 0, 1, 2
BEFORE, INSIDE, AFTER = 0, 1, 2
"""Stages of a coding transcript, left to right: before its CDS, in it, after it."""

NO_FRAME = 3
UNCUT = 4
"""Slots beside frames 0, 1, 2: cut left without coding bases, and not cut left."""

NON_CODING_SLOTS = np.array([False, False, False, True, True])
UTR_SLOTS = np.array([[True, False, False, True, True], [False, False, True, True, True]])
"""(2 strands, 5 slots) Where a coding transcript may begin with <utr>: its whole CDS then lies to
the right, or none of it."""

_LETTERS = "ACGT"
_DONORS = {GT_AG: ("GT", "GC"), AT_AC: ("AT",)}
_ACCEPTORS = {GT_AG: ("AG",), AT_AC: ("AC",)}

Bool = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class GrammarOptions:
    """What counts as a gene; the defaults are a eukaryote's."""

    level: Literal["strict", "splice_free", "off"] = "strict"
    """strict: all rules; splice_free: introns of any sequence; off: the language alone, whatever
    the DNA."""
    start_codons: tuple[str, ...] = ("ATG",)
    """Codons that may begin a CDS."""
    introns: bool = True
    """Whether genes may have introns."""
    min_intron: int = 20
    """Shortest intron in bases."""
    at_ac: bool = False
    """Whether AT-AC introns are legal beside GT-AG and GC-AG."""
    utr: bool = False
    """Whether coding genes may have <utr> parts."""
    isoforms: int = 1
    """Most transcripts of one gene."""
    gene_types: tuple[str, ...] = ("protein_coding",)
    """Types that may be written."""
    coding_types: tuple[str, ...] = ("protein_coding",)
    """Those of them made of <cds> parts; the others are made of <exon> parts."""
    max_labels: int = 512
    """Most labels of one window, <bos> and <eos> included."""

    def __post_init__(self) -> None:
        if self.level not in ("strict", "splice_free", "off"):
            raise ConfigError("level", self.level, "must be strict, splice_free or off")
        if not self.start_codons or any(codon not in CODONS for codon in self.start_codons):
            raise ConfigError("start_codons", self.start_codons, "must be codons of A, C, G, T")
        if not self.gene_types:
            raise ConfigError("gene_types", self.gene_types, "must name at least one type")
        for name, least in (("min_intron", 1), ("isoforms", 1), ("max_labels", 16)):
            if getattr(self, name) < least:
                raise ConfigError(name, getattr(self, name), f"must be at least {least}")


def prokaryote_options(
    *,
    level: Literal["strict", "splice_free", "off"] = "strict",
    start_codons: tuple[str, ...] = ("ATG", "GTG", "TTG"),
    gene_types: tuple[str, ...] = ("protein_coding",),
    max_labels: int = 512,
) -> GrammarOptions:
    """Options for bacteria and archaea: no introns, three start codons."""
    return GrammarOptions(
        level=level,
        start_codons=start_codons,
        introns=False,
        gene_types=gene_types,
        max_labels=max_labels,
    )


@dataclass(frozen=True)
class CodonTables:
    """Which triples open, close or interrupt a CDS; each table is (2 strands, 216 triples) bool.

    `opens` and `closes` answer "may be, whatever the bases outside are"; `stops` answers "is, for
    sure".
    """

    opens: Bool
    closes: Bool
    stops: Bool


def triple_code(first: int, second: int, third: int) -> int:
    """Index of three symbols in the tables."""
    return 36 * first + 6 * second + third


def _table(is_member: Callable[[str], bool]) -> tuple[Bool, Bool]:
    """Tables (certain, possible), each (2, 216), of the codons that pass a test."""
    known = np.zeros((2, 6, 6, 6), dtype=bool)
    for a, b, c in itertools.product(range(4), repeat=3):
        known[0, a, b, c] = is_member(_LETTERS[a] + _LETTERS[b] + _LETTERS[c])
        known[1, a, b, c] = is_member(_LETTERS[3 - c] + _LETTERS[3 - b] + _LETTERS[3 - a])
    possible = known.copy()
    for axis in (1, 2, 3):
        seen = np.moveaxis(possible, axis, 1)
        seen[:, OUTSIDE] = seen[:, :4].any(axis=1)
    return known.reshape(2, NUM_TRIPLES), possible.reshape(2, NUM_TRIPLES)


@functools.cache
def codon_tables(code: int, start_codons: tuple[str, ...]) -> CodonTables:
    """Tables of a genetic code (NCBI number) and a set of start codons."""
    stops = frozenset(genetic_code(code).stops)
    starts = frozenset(start_codons) - stops
    known_stops, stops_or_cut = _table(lambda codon: codon in stops)
    _, starts_or_cut = _table(lambda codon: codon in starts)
    return CodonTables(
        opens=np.stack([starts_or_cut[0], stops_or_cut[1]]),
        closes=np.stack([stops_or_cut[0], starts_or_cut[1]]),
        stops=known_stops,
    )


@functools.cache
def splice_tables(at_ac: bool) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Splice class bits of the two bases right of a part's end, and left of a part's start.

    Returns:
        Two (2 strands, 36 pairs) uint8 arrays, pair = 6 a + b, read left to right on the forward
        strand; at a window's edge the symbol OUTSIDE matches any base.
    """
    after_end = np.zeros((2, 6, 6), dtype=np.uint8)
    before_start = np.zeros((2, 6, 6), dtype=np.uint8)
    for bit in (GT_AG, AT_AC) if at_ac else (GT_AG,):
        for sites, forward, backward in (
            (_DONORS[bit], after_end, before_start),
            (_ACCEPTORS[bit], before_start, after_end),
        ):
            for a, b in ((_LETTERS.index(site[0]), _LETTERS.index(site[1])) for site in sites):
                for x, y in itertools.product((a, OUTSIDE), (b, OUTSIDE)):
                    forward[0, x, y] |= bit
                for x, y in itertools.product((3 - b, OUTSIDE), (3 - a, OUTSIDE)):
                    backward[1, x, y] |= bit
    return after_end.reshape(2, 36), before_start.reshape(2, 36)


def whole_slots(utr: bool) -> Bool:
    """(2, 5 slots) Slots in which a non-coding [0] or a coding [1] transcript may show no part."""
    return np.array([[False, False, False, True, False], [True, True, True, utr, False]])
