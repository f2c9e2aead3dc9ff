"""Write genes as NCBI's five-column feature table (.tbl), which table2asn takes with a FASTA file.

Positions are 1-based closed in reading direction, a 5' end that is missing has `<`, a 3' end `>`.
Coding genes are gene and CDS; with introns or in a eukaryote gene, mRNA and CDS, and ends of an
mRNA at which no UTR is known are marked as missing, as NCBI asks for. /protein_id and
/transcript_id are `gnl|PREFIX|ID`, PREFIX being that of the locus tags.

Example:
    >>> import sys
    >>> from genet5.genome.gene import Cds, Exon, Transcript
    >>> cut = Transcript(id="g.1", exons=(Exon(0, 8),), cds=(Cds(0, 8, 2),), partial_3=True)
    >>> gene = Gene(id="g", contig="c1", strand=-1, transcripts=(cut,), genetic_code=11)
    >>> TblWriter(sys.stdout, prokaryote=True).contig("c1", 20, [gene])
    ... # doctest: +NORMALIZE_WHITESPACE
    >Feature c1
    8 >1 gene
     locus_tag g
    8 >1 CDS
     product hypothetical protein
     transl_table 11
     codon_start 3
     protein_id gnl|genet5|g.1
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TextIO

from genet5.genome.extract import coding_phase
from genet5.genome.frames import five_three, in_reading_order
from genet5.genome.gene import Gene, KeptAttributes, Transcript
from genet5.genome.io.feature_table import Span
from genet5.genome.io.genbank_write import rna_key, spans_on_contig
from genet5.genome.io.gff3_write import is_single_cds, unexplained

UNKNOWN_PRODUCT = "hypothetical protein"
"""NCBI's product of a protein of which nothing is known."""
_OWN_DATABASE = "genet5"
_OF_GENES = ("old_locus_tag", "gene_synonym", "db_xref", "note")
_OF_PRODUCTS = ("EC_number", "db_xref", "inference", "transl_except", "note")
_WORDS = {"gene_synonym": "gene_syn"}
"""INSDC's word -> that of the table."""

Qualifiers = list[tuple[str, str]]


class TblWriter:
    """Writes a file contig by contig, gene by gene.

    Args:
        out: Where to.
        prokaryote: Write coding genes of one exon without UTR as gene and CDS.
    """

    def __init__(self, out: TextIO, *, prokaryote: bool = False) -> None:
        self._out, self._prokaryote = out, prokaryote

    def header(self, contigs: Iterable[tuple[str, int]]) -> None:
        """Write nothing: the format has no header."""

    def contig(
        self, name: str, length: int, genes: Iterable[Gene], *, is_circular: bool = False
    ) -> None:
        """Write the genes of a contig, which ascend by start and end."""
        is_named = False
        for gene in genes:
            if not is_named:
                self._out.write(f">Feature {name}\n")
                is_named = True
            self._out.writelines(self._gene(gene, length))

    def _gene(self, gene: Gene, length: int) -> Iterator[str]:
        ends = [self._open_ends(gene, transcript) for transcript in gene.transcripts]
        own: Qualifiers = [("locus_tag", _locus_tag(gene)), ("gene", gene.name)]
        own += [("pseudo", "")] if gene.pseudo else []
        own += _kept(gene.attributes, _OF_GENES)
        spans = spans_on_contig([(gene.start, gene.end)], length)
        is_open = any(five for five, _ in ends), any(three for _, three in ends)
        yield from _feature("gene", spans, gene.strand, is_open, own)
        for transcript, open_ends in zip(gene.transcripts, ends, strict=True):
            yield from self._transcript(gene, transcript, length, open_ends)

    def _is_spliced(self, gene: Gene) -> bool:
        """Whether the gene is written with an mRNA."""
        return not (self._prokaryote and is_single_cds(gene))

    def _open_ends(self, gene: Gene, transcript: Transcript) -> tuple[bool, bool]:
        """Whether 5' and 3' end are marked: missing ones, and those of an mRNA without UTR."""
        if not transcript.cds or not self._is_spliced(gene):
            return transcript.partial_5, transcript.partial_3
        left = transcript.exons[0].start == transcript.cds[0].start
        right = transcript.exons[-1].end == transcript.cds[-1].end
        five, three = five_three(left, right, gene.strand)
        return transcript.partial_5 or five, transcript.partial_3 or three

    def _transcript(
        self, gene: Gene, transcript: Transcript, length: int, open_ends: tuple[bool, bool]
    ) -> Iterator[str]:
        exons = spans_on_contig([(exon.start, exon.end) for exon in transcript.exons], length)
        if not transcript.cds:
            key, more, notes = rna_key(transcript)
            own = [(name, value) for name, values in more.items() for value in values]
            own = _with_product(transcript.attributes, "") + own + [("note", n) for n in notes]
            own += _kept(transcript.attributes, _OF_PRODUCTS)
            yield from _feature(key, exons, gene.strand, open_ends, own)
            return
        database = _locus_tag(gene).rpartition("_")[0] if _has_tag(gene) else _OWN_DATABASE
        names: Qualifiers = [("protein_id", f"gnl|{database}|{transcript.id}")]
        kept = (*transcript.cds_attributes, *transcript.attributes)
        product = _with_product(kept, UNKNOWN_PRODUCT)
        if self._is_spliced(gene):
            names.append(("transcript_id", f"gnl|{database}|{transcript.id}.mrna"))
            yield from _feature("mRNA", exons, gene.strand, open_ends, product + names)
        coding = spans_on_contig([(cds.start, cds.end) for cds in transcript.cds], length)
        own = product + _coding(gene, transcript) + names + _kept(kept, _OF_PRODUCTS)
        ends = transcript.partial_5, transcript.partial_3
        yield from _feature("CDS", coding, gene.strand, ends, own)


def _feature(
    key: str,
    spans: Sequence[Span],
    strand: int,
    is_open: tuple[bool, bool],
    qualifiers: Qualifiers,
) -> Iterator[str]:
    """All lines of a feature; spans are 0-based half-open, left to right along its strand."""
    ordered = [
        five_three(start + 1, end, strand) for start, end in in_reading_order(list(spans), strand)
    ]
    for number, (first, last) in enumerate(ordered):
        five = "<" if is_open[0] and number == 0 else ""
        three = ">" if is_open[1] and number == len(ordered) - 1 else ""
        yield f"{five}{first}\t{three}{last}" + ("\n" if number else f"\t{key}\n")
    for name, value in qualifiers:
        if value or name in ("pseudo", "ribosomal_slippage"):
            yield f"\t\t\t{name}" + (f"\t{' '.join(value.split())}\n" if value else "\n")


def _coding(gene: Gene, transcript: Transcript) -> Qualifiers:
    phase = coding_phase(gene, transcript)
    found: Qualifiers = []
    if gene.genetic_code is not None:
        found.append(("transl_table", str(gene.genetic_code)))
    if phase:
        found.append(("codon_start", str(phase + 1)))
    for name in unexplained(transcript):
        is_slip = name == "ribosomal_slippage"
        found.append((name, "") if is_slip else ("exception", name.replace("_", " ")))
    return found


def _with_product(attributes: KeptAttributes, default: str) -> Qualifiers:
    products = [value for name, value in attributes if name == "product"]
    return [("product", (products or [default])[0])]


def _kept(attributes: KeptAttributes, names: Sequence[str]) -> Qualifiers:
    return [(_WORDS.get(n, n), value) for n, value in attributes if n in names]


def _has_tag(gene: Gene) -> bool:
    return any(name == "locus_tag" for name, _ in gene.attributes)


def _locus_tag(gene: Gene) -> str:
    """The gene's locus tag, or else its ID."""
    return next((value for name, value in gene.attributes if name == "locus_tag"), gene.id)
