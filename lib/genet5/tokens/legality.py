"""Say why a gene breaks the grammar's rules, read off its bases alone.

`breaches` knows nothing of windows, signals or automata: it joins the coding bases and looks at them. So it names the
causes that reports count, and is the independent witness that the grammar is held against: a complete gene is legal under
`strict` if and only if it has no breach. Price: some 20 microseconds a gene, and its coding bases.

Example:
    >>> from genet5.genome.gene import Cds, Exon
    >>> from genet5.genome.sequence import encode_bases
    >>> from genet5.tokens.rules import prokaryote_options
    >>> transcript = Transcript(id="t", exons=(Exon(2, 11),), cds=(Cds(2, 11, 0),))
    >>> gene = Gene(id="g", contig="c", strand=1, transcripts=(transcript,))
    >>> breaches(gene, transcript, encode_bases("CCATGAAATAGCC"), 11, prokaryote_options())
    ()
    >>> breaches(gene, transcript, encode_bases("CCACGTAATAGCC"), 11, prokaryote_options())
    ('internal stop', 'start codon')
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, get_args

import numpy as np

from genet5.genome.codes import codon_table, genetic_code
from genet5.genome.extract import cds_bases, span_bases
from genet5.genome.gene import Gene, Transcript
from genet5.genome.sequence import Bases, codon_index, reverse_complement
from genet5.tokens.rules import GrammarOptions

Breach = Literal[
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
"""frame shift: two CDS pieces share bases, which the language cannot write, or lie one or two bases apart, which is no
intron; length: no multiple of three, or fewer than two codons; internal stop: an in-frame stop codon before the last codon;
stop codon: the last codon is none; start codon: the first codon is none of the options' start codons; ambiguous base: one
of N and the like in the first or last codon or a splice site; intron: one where the options allow none; short intron: fewer
than `min_intron` bases; AT-AC intron: AT-AC, without the option; splice site: an intron that is neither GT-AG, GC-AG nor AT-AC."""

BREACHES: tuple[Breach, ...] = get_args(Breach)
"""All breaches, in the order they are told in."""

_SPLICE_SITES = frozenset({b"GTAG", b"GCAG"})
_LETTERS = frozenset(b"ACGT")
_LEAST_GAP_BP = 3
"""A shorter gap is a frame shift: the ribosome skips one base or two, and annotators mend sequence errors so too."""


def breaches(
    gene: Gene,
    transcript: Transcript,
    contig_bases: Bases,
    code: int,
    options: GrammarOptions,
) -> tuple[Breach, ...]:
    """Return why a coding transcript, written whole, is illegal; none when it is legal.

    Args:
        gene: The gene.
        transcript: One of its transcripts, with a CDS; ends that are missing in the source count like any others.
        contig_bases: (L,) the contig.
        code: NCBI number of the genetic code.
        options: The grammar's rules; `level` is taken for strict.
    """
    found: set[Breach] = set()
    found |= _coding_breaches(cds_bases(contig_bases, gene, transcript), code, options)
    for left, right in pairwise(transcript.cds):
        if right.start < left.end or 0 < right.start - left.end < _LEAST_GAP_BP:
            found.add("frame shift")
        elif right.start > left.end:
            found |= _intron_breaches(contig_bases, left.end, right.start, gene.strand, options)
    return tuple(breach for breach in BREACHES if breach in found)


def _coding_breaches(coding: Bases, code: int, options: GrammarOptions) -> set[Breach]:
    found: set[Breach] = set()
    if len(coding) % 3 or len(coding) < 6:
        found.add("length")
    codons = codon_index(coding)[: len(coding) // 3 * 3 : 3]
    if not len(codons):
        return found
    # Ambiguous codons have the index -1: one more entry at the end is theirs.
    stops = np.append(genetic_code(code).stop_table, False)
    starts = np.append(codon_table(options.start_codons), False) & ~stops
    if stops[codons[:-1]].any():
        found.add("internal stop")
    if min(codons[0], codons[-1]) < 0:
        found.add("ambiguous base")
    if codons[-1] >= 0 and not (stops[codons[-1]] and len(coding) % 3 == 0):
        found.add("stop codon")
    if codons[0] >= 0 and not starts[codons[0]]:
        found.add("start codon")
    return found


def _intron_breaches(
    contig_bases: Bases, start: int, end: int, strand: int, options: GrammarOptions
) -> set[Breach]:
    if not options.introns:
        return {"intron"}
    found: set[Breach] = {"short intron"} if end - start < options.min_intron else set()
    ends = np.concatenate(
        (span_bases(contig_bases, start, start + 2), span_bases(contig_bases, end - 2, end))
    )
    sites = (ends if strand > 0 else reverse_complement(ends)).tobytes().upper().replace(b"U", b"T")
    if sites == b"ATAC":
        return found if options.at_ac else found | {"AT-AC intron"}
    if sites not in _SPLICE_SITES:
        found.add("splice site" if _LETTERS.issuperset(sites) else "ambiguous base")
    return found
