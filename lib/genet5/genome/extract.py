"""Cut sequences out of a contig: exons, introns, CDS, proteins; FASTA records of proteins and CDS.

All functions give bases in reading direction (5' to 3' of the gene's strand) and join exons, so
that a codon split by an intron is whole again. A gene whose end lies beyond the contig continues at
the contig's first base (circular).

Example:
    >>> from genet5.genome.codes import genetic_code
    >>> from genet5.genome.sequence import encode_bases
    >>> exons = (Exon(2, 6), Exon(10, 15))
    >>> mrna = Transcript(id="t", exons=exons, cds=(Cds(2, 6, 0), Cds(10, 15, 2)))
    >>> gene = Gene(id="g", contig="c", strand=1, transcripts=(mrna,))
    >>> bases = encode_bases("ccATGGgtagTTTAAcc")
    >>> decode_bases(cds_bases(bases, gene, mrna)), introns(mrna)
    ('ATGGTTTAA', ((6, 10),))
    >>> protein(bases, gene, mrna, genetic_code(1))
    'MV'
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
from Bio.Data import CodonTable

from genet5.errors import DataError
from genet5.genome.codes import GeneticCode, genetic_code
from genet5.genome.frames import five_prime, strand_sign
from genet5.genome.gene import Cds, Exon, Gene, Transcript
from genet5.genome.sequence import AnyBases, Bases, decode_bases, on_strand

_COMMON_STARTS = frozenset({"ATG", "GTG", "TTG", "CTG"})


def span_bases(contig_bases: AnyBases, start: int, end: int, strand: int = 1) -> Bases:
    """Bases of one span in reading direction; `end` may lie beyond the contig (circular).

    Raises:
        DataError: The span begins beyond the contig or is longer than it.
    """
    length = len(contig_bases)
    if end <= length:
        found = contig_bases[start:end]
    elif end - start > length or start >= 2 * length:
        raise DataError(
            f"span {start}-{end}", expected=f"a span within the contig's {length} bases",
            remedy="Do the annotation and the genome belong together?",
        )  # fmt: skip
    elif start >= length:
        found = contig_bases[start - length : end - length]
    else:
        found = np.concatenate((contig_bases[start:], contig_bases[: end - length]))
    return on_strand(found, strand)


def cds_bases(contig_bases: AnyBases, gene: Gene, transcript: Transcript) -> Bases:
    """The joined CDS in reading direction, partial codons at its ends included."""
    return _joined(contig_bases, transcript.cds, gene.strand)


def introns(transcript: Transcript) -> tuple[tuple[int, int], ...]:
    """(start, end) of the gaps between exons, ascending; 0-based half-open."""
    return tuple((a.end, b.start) for a, b in pairwise(transcript.exons))


def coding_phase(gene: Gene, transcript: Transcript) -> int:
    """How many bases at the 5' end of the CDS complete a codon that began before it."""
    if not transcript.cds:
        return 0
    return five_prime(transcript.cds, gene.strand).phase


def protein(
    contig_bases: AnyBases,
    gene: Gene,
    transcript: Transcript,
    code: GeneticCode,
    *,
    start_as_met: bool = True,
) -> str:
    """Translate the CDS; the stop at its end is left off, "*" inside is an internal stop.

    A CDS whose 5' end is missing is translated from its phase on, and an incomplete codon at its
    end is dropped. Amino acids by exception (selenocysteine) are not known here and appear as "*".

    Args:
        contig_bases: (L,) the contig.
        gene: The gene.
        transcript: One of its transcripts.
        code: How to translate.
        start_as_met: Write a complete CDS's start codon as "M", whatever it codes for elsewhere.
    """
    coding = cds_bases(contig_bases, gene, transcript)[coding_phase(gene, transcript) :]
    letters = code.translate(coding)
    if start_as_met and letters and not transcript.partial_5:
        first = decode_bases(coding[:3]).upper().replace("U", "T")
        if first in _start_codons(code.number):
            letters = "M" + letters[1:]
    return letters.removesuffix("*")


def cds_records(
    contig_bases: AnyBases, genes: Iterable[Gene], *, canonical_only: bool = False
) -> Iterator[tuple[str, str]]:
    """Yield (header, CDS) of the coding genes of one contig, pseudogenes left out.

    A CDS whose 5' end is missing begins with its first whole codon, so that whoever translates the
    record gets the protein, as with gffread's.
    """
    for gene, transcript in _coding(genes, canonical_only):
        coding = cds_bases(contig_bases, gene, transcript)[coding_phase(gene, transcript) :]
        yield _header(gene, transcript), decode_bases(coding)


def protein_records(
    contig_bases: AnyBases,
    genes: Iterable[Gene],
    default_code: int = 1,
    *,
    canonical_only: bool = False,
) -> Iterator[tuple[str, str]]:
    """Yield (header, protein) of the coding genes of one contig, pseudogenes left out.

    Args:
        contig_bases: (L,) the contig.
        genes: Its genes.
        default_code: NCBI number of the genetic code of genes that do not state their own.
        canonical_only: One transcript per gene.
    """
    for gene, transcript in _coding(genes, canonical_only):
        code = genetic_code(gene.genetic_code or default_code)
        yield _header(gene, transcript), protein(contig_bases, gene, transcript, code)


def _joined(contig_bases: AnyBases, parts: tuple[Exon | Cds, ...], strand: int) -> Bases:
    found = [span_bases(contig_bases, part.start, part.end) for part in parts]
    if not found:
        return np.zeros(0, dtype=np.uint8)
    joined = found[0] if len(found) == 1 else np.concatenate(found)
    return on_strand(joined, strand)


@functools.cache
def _start_codons(number: int) -> frozenset[str]:
    return _COMMON_STARTS | set(CodonTable.unambiguous_dna_by_id[number].start_codons)


def _coding(genes: Iterable[Gene], canonical_only: bool) -> Iterator[tuple[Gene, Transcript]]:
    for gene in genes:
        if gene.is_coding:
            chosen = (gene.canonical,) if canonical_only else gene.transcripts
            yield from ((gene, transcript) for transcript in chosen if transcript.cds)


def _header(gene: Gene, transcript: Transcript) -> str:
    """`ID contig:start-end(strand) gene=ID partial=none|5'|3'|both`; 0-based half-open."""
    ends = [
        n for n, is_open in (("5'", transcript.partial_5), ("3'", transcript.partial_3)) if is_open
    ]
    partial = {0: "none", 1: "".join(ends), 2: "both"}[len(ends)]
    start, end = transcript.cds[0].start, transcript.cds[-1].end
    place = f"{gene.contig}:{start}-{end}({strand_sign(gene.strand)})"
    names = "_".join(transcript.id.split()), "_".join(gene.id.split())
    return f"{names[0]} {place} gene={names[1]} partial={partial}"
