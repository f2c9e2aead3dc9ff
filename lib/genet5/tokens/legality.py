"""Check one written gene against the grammar's rules, and report what it violates.

`violations` takes a transcript's parts on a contig or window and returns the causes that reports
count; none if and only if the grammar (`automaton`) accepts the gene. It joins the coding bases, so
that codons split by introns are whole, and looks them up in the same tables of codons and splice
sites as `signals` (`rules`), at the same level. An end that is *open* (cut by the edge of the
window or contig) is legal if some continuation beyond the edge is. The price: some 20 microseconds
per gene, and its coding bases.

Example:
    >>> from genet5.genome.sequence import encode_bases
    >>> from genet5.tokens.rules import prokaryote_options
    >>> options = prokaryote_options()
    >>> violations([("cds", 2, 11)], 1, encode_bases("CCATGAAATAGCC"), 11, options)
    ()
    >>> violations([("cds", 2, 11)], 1, encode_bases("CCACGTAATAGCC"), 11, options)
    ('internal stop', 'start codon')
    >>> bases = encode_bases("GAAATAGCC")
    >>> violations([("cds", 0, 7)], 1, bases, 11, options, open_left=True, frame=2)
    ()
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from genet5.genome.extract import span_bases
from genet5.genome.frames import five_three, leftmost_frame, phase_from_left, strand_index
from genet5.genome.sequence import BASE_INDEX, AnyBases, on_strand
from genet5.tokens.rules import (
    AMBIGUOUS,
    AT_AC,
    OUTSIDE,
    GrammarOptions,
    codon_tables,
    splice_tables,
    triple_code,
)

Violation = Literal[
    "frame shift",
    "length",
    "internal stop",
    "stop codon",
    "start codon",
    "ambiguous base",
    "intron",
    "short intron",
    "AT-AC intron",
    "splice site",
]
"""What a gene may violate.

- frame shift: two parts share bases, which the language cannot write, or lie one or two bases
apart, which is no intron
- length: the CDS is no multiple of three, or shorter than two codons
- internal stop: an in-frame stop codon before the last codon
- stop codon: the last codon is not a stop codon
- start codon: the first codon is none of the options' start codons
- ambiguous base: N or the like in the first or last codon or in a splice site
- intron: there is one, and the options allow none
- short intron: fewer than `min_intron` bases
- AT-AC intron: AT-AC without the option
- splice site: an intron that is neither GT-AG, GC-AG nor AT-AC
"""

VIOLATIONS: tuple[Violation, ...] = get_args(Violation)
"""All violations, in the order of reports."""

PartSpan: TypeAlias = tuple[str, int, int]
"""A part of a transcript: kind ("cds", "utr" or "exon"), start and end, half-open."""

_LEAST_GAP_BP = 3
"""A shorter gap is a frame shift: the ribosome skips a base or two; annotators mend sequence errors
so, too."""


def violations(
    parts: Sequence[PartSpan],
    strand: int,
    bases: AnyBases,
    code: int,
    options: GrammarOptions,
    *,
    open_left: bool = False,
    open_right: bool = False,
    frame: int | None = None,
) -> tuple[Violation, ...]:
    """Return what one transcript violates, in the order of VIOLATIONS; empty when it is legal.

    Args:
        parts: Left to right. None at all is a transcript with both ends open, around an intron. On
            a circular contig
            ends may lie beyond its length.
        strand: +1 or -1.
        bases: (L,) the contig or window.
        code: NCBI number of the genetic code.
        options: The rules; parts of kind "utr" are taken as they are, whatever `options.utr`.
        open_left: The gene continues beyond base 0.
        open_right: The gene continues beyond base L - 1.
        frame: With `open_left`, position within its codon of the leftmost coding base.
    """
    found = _end_violations(parts, strand, bases, options, open_left, open_right)
    for (_, _, end), (_, start, _) in pairwise(parts):
        if start < end:
            found.add("frame shift")
        elif start > end:
            found |= _intron_violations(bases, end, start, strand, options)
    coding = [(start, end) for kind, start, end in parts if kind == "cds"]
    if coding and options.level != "off":
        ends = five_three(
            open_left and parts[0][0] == "cds", open_right and parts[-1][0] == "cds", strand
        )
        if frame is None or not open_left:
            frame = leftmost_frame(strand)
        found |= _coding_violations(
            _joined(bases, coding, strand), strand, code, options, ends, frame
        )
    return tuple(violation for violation in VIOLATIONS if violation in found)


def _joined(bases: AnyBases, spans: Sequence[tuple[int, int]], strand: int) -> NDArray[np.uint8]:
    """Symbols of the spans' bases in reading direction."""
    parts = [span_bases(bases, start, end) for start, end in spans]
    joined: NDArray[np.uint8] = BASE_INDEX[on_strand(np.concatenate(parts), strand)]
    return joined


def _coding_violations(
    coding: NDArray[np.uint8],
    strand: int,
    code: int,
    options: GrammarOptions,
    open_ends: tuple[bool, bool],
    frame: int,
) -> set[Violation]:
    """Violations of a joined CDS in reading direction; `frame` is that of its leftmost base."""
    open_5, open_3 = open_ends
    found: set[Violation] = set()
    phase = phase_from_left(frame, len(coding), strand)
    before = -phase % 3 if open_5 else 0
    missing = -(before + len(coding)) % 3
    too_short = len(coding) < 6 and not (open_5 or open_3)
    if too_short or (phase and not open_5) or (missing and not open_3):
        found.add("length")
    outside = np.full(3, OUTSIDE, dtype=np.uint8)
    known = np.concatenate((outside[:before], coding, outside[: missing if open_3 else 0]))
    codons = known[: len(known) // 3 * 3].reshape(-1, 3).astype(np.int64)
    if not len(codons):
        return found
    tables = codon_tables(code, options.start_codons)
    triples = codons @ (triple_code(1, 0, 0), triple_code(0, 1, 0), triple_code(0, 0, 1))
    # With UTRs the CDS may end at its last whole codon, and the edge cut the gene downstream of it.
    ends_here = not open_3 or (options.utr and not missing)
    if tables.stops[0, triples[:-1] if ends_here else triples].any():
        found.add("internal stop")
    if not open_5 and not tables.opens[0, triples[0]]:
        found.add("ambiguous base" if AMBIGUOUS in codons[0] else "start codon")
    if not open_3 and (missing or not tables.closes[0, triples[-1]]):
        found.add("ambiguous base" if AMBIGUOUS in codons[-1] else "stop codon")
    return found


def _end_violations(
    parts: Sequence[PartSpan],
    strand: int,
    bases: AnyBases,
    options: GrammarOptions,
    open_left: bool,
    open_right: bool,
) -> set[Violation]:
    """Violations of introns that the edges cut: those of open ends that do not reach their edge."""
    if not parts:
        return set() if options.introns else {"intron"}
    start, end, row = parts[0][1], parts[-1][2], strand_index(strand)
    in_intron = (open_left and start > 0, open_right and end < len(bases))
    if any(in_intron) and not options.introns:
        return {"intron"}
    found: set[Violation] = set()
    if options.level != "strict":
        return found
    after_end, before_start = splice_tables(options.at_ac)
    outside = np.full(2, OUTSIDE, dtype=np.uint8)
    left = np.concatenate((outside, BASE_INDEX[bases[max(start - 2, 0) : start]]))[-2:]
    right = np.concatenate((BASE_INDEX[bases[end : end + 2]], outside))[:2]
    for is_cut, table, pair in zip(
        in_intron, (before_start, after_end), (left, right), strict=True
    ):
        if is_cut and not table[row, 6 * int(pair[0]) + int(pair[1])]:
            found.add("ambiguous base" if AMBIGUOUS in pair else "splice site")
    return found


def _intron_violations(
    bases: AnyBases, start: int, end: int, strand: int, options: GrammarOptions
) -> set[Violation]:
    least = 1 if options.level == "off" else options.min_intron
    if end - start < min(_LEAST_GAP_BP, least):
        return {"frame shift"}
    if not options.introns:
        return {"intron"}
    found: set[Violation] = {"short intron"} if end - start < least else set()
    if options.level == "strict":
        found |= _splice_violations(bases, start, end, strand, options)
    return found


def _splice_violations(
    bases: AnyBases, start: int, end: int, strand: int, options: GrammarOptions
) -> set[Violation]:
    """Violations of the two bases at each end of an intron."""
    a, b = BASE_INDEX[span_bases(bases, start, start + 2)].tolist()
    c, d = BASE_INDEX[span_bases(bases, end - 2, end)].tolist()
    after_end, before_start = splice_tables(at_ac=True)
    row = strand_index(strand)
    classes = after_end[row, 6 * a + b] & before_start[row, 6 * c + d]
    if classes == AT_AC and not options.at_ac:
        return {"AT-AC intron"}
    if classes:
        return set()
    return {"ambiguous base" if AMBIGUOUS in (a, b, c, d) else "splice site"}
