"""Check joined genes against the rules that decoding obeys within one window.

A gene made of pieces of several windows could break a rule that each piece keeps: a stop codon across the joint, splice
sites that do not go together. What is checked follows the grammar's options; an end beyond the contig is not looked at.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from genet5.annotate.merge import Call
from genet5.genome.codes import codon_table, genetic_code
from genet5.genome.extract import span_bases
from genet5.genome.sequence import Bases, codon_index, reverse_complement
from genet5.tokens.grammar import GrammarOptions


def is_legal(call: Call, contig_bases: Bases, code: int, options: GrammarOptions) -> bool:
    """Whether a coding gene reads from a start codon to its first stop through legal introns; others always are."""
    coding = [part for part in call.parts if part.kind == "cds"]
    if options.level == "off" or not coding:
        return True
    pieces = [span_bases(contig_bases, part.start, part.end) for part in coding]
    joined = np.concatenate(pieces)
    if not _reads(call, joined if call.strand > 0 else reverse_complement(joined), code, options):
        return False
    gaps = [(a.end, b.start) for a, b in pairwise(call.parts) if b.start > a.end]
    if gaps and not options.introns:
        return False
    return all(_is_intron(contig_bases, *gap, call.strand, options) for gap in gaps)


def _reads(call: Call, coding: Bases, code: int, options: GrammarOptions) -> bool:
    open_5, open_3 = call.partial_left, call.partial_right
    if call.strand < 0:
        open_5, open_3 = open_3, open_5
    codons = codon_index(coding[first_codon(call) :])[::3]
    whole = codons[: (len(coding) - first_codon(call)) // 3]
    is_stop = genetic_code(code).stop_table[whole] & (whole >= 0)
    if not len(whole):
        return open_5 or open_3
    if not open_5 and not (whole[0] >= 0 and codon_table(options.start_codons)[whole[0]]):
        return False
    if open_3:
        return not is_stop.any()
    rest = (len(coding) - first_codon(call)) % 3
    return rest == 0 and bool(is_stop[-1]) and not is_stop[:-1].any()


def first_codon(call: Call) -> int:
    """How many coding bases at the 5' end belong to a codon that began outside (GFF3's phase)."""
    if call.strand > 0:
        return (-call.frame) % 3 if call.partial_left else 0
    if not call.partial_right:
        return 0
    last = (call.frame - (call.coding_bp - 1)) % 3  # codon position of the rightmost coding base
    return (-last) % 3


def _is_intron(bases: Bases, start: int, end: int, strand: int, options: GrammarOptions) -> bool:
    if end - start < options.min_intron:
        return False
    if options.level == "splice_free":
        return True
    ends = np.concatenate((span_bases(bases, start, start + 2), span_bases(bases, end - 2, end)))
    text = (ends if strand > 0 else reverse_complement(ends)).tobytes().upper().replace(b"U", b"T")
    return text in (b"GTAG", b"GCAG") or (options.at_ac and text == b"ATAC")
