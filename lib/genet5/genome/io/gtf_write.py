"""Write genes as GTF 2.2: gene, transcript, exon, CDS without stop codon, start and stop codon.

What GTF has no word for is written in words of others: `transcript_biotype`, `partial`,
`exception`, `transl_table`, `pseudo` and kept attributes (`product`, `db_xref`, `note` ...) as NCBI
does, tags for missing ends as GENCODE does, and the comment lines `##sequence-region` and
`#!circular`. Our reader gives the same genes back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import TextIO

from genet5.genome.frames import five_prime_span, in_reading_order, phases, strand_sign
from genet5.genome.gene import Cds, Gene, KeptAttributes, Transcript
from genet5.genome.io.contig_genes import genes_by_contig, write_all
from genet5.genome.io.contig_names import gtf_name, warn_of_escapes
from genet5.genome.io.feature_table import Span
from genet5.genome.io.gff3_write import unexplained
from genet5.genome.io.start_scores import start_attributes
from genet5.genome.io.unique_ids import Names

_ESCAPES = {code: f"%{code:02X}" for code in (*range(32), 127, *map(ord, '%;"\\'))}
_COMMA = {ord(","): "%2C"}


def write_gtf(
    out: TextIO,
    genes: Iterable[Gene],
    contig_lengths: Mapping[str, int],
    source: str = "GeneT5",
    *,
    circular: Collection[str] = (),
) -> None:
    """Write all genes, by contig and start.

    Args:
        out: Where to.
        genes: In any order.
        contig_lengths: Name -> bases; its order is that of the file. Genes of other contigs come
            last.
        source: Column 2.
        circular: Contigs to mark as circular; those with a gene over the origin are marked anyway.
    """
    contigs = genes_by_contig(genes, contig_lengths, circular)
    warn_of_escapes((contig.name for contig in contigs), gtf_name)
    write_all(GtfWriter(out, source), contigs, contig_lengths)


class GtfWriter:
    """Writes a file contig by contig, gene by gene.

    Args:
        out: Where to.
        source: Column 2.
        names: Makes the objects that remember the IDs in use.
    """

    def __init__(
        self, out: TextIO, source: str = "GeneT5", *, names: Callable[[], Names] = Names
    ) -> None:
        self._out = out
        self.source = _escape(source)
        self.genes, self.transcripts = names(), names()

    def header(self, contigs: Iterable[tuple[str, int]]) -> None:
        """Write what precedes all genes.

        Args:
            contigs: Name and length of each that gets a ##sequence-region.
        """
        self._out.write("#gtf-version 2.2\n")
        for name, length in contigs:
            self._out.write(f"##sequence-region {gtf_name(name)} 1 {length}\n")

    def contig(
        self, name: str, length: int, genes: Iterable[Gene], *, is_circular: bool = False
    ) -> None:
        """Write the genes of a contig, which ascend by start and end."""
        if is_circular:
            self._out.write(f"#!circular {gtf_name(name)}\n")
        for gene in genes:
            self._out.writelines(self.gene(gene))

    def gene(self, gene: Gene) -> Iterator[str]:
        """All lines of a gene."""
        name = self.genes.unique(gene.id)
        attributes = [("gene_id", name), ("gene_name", gene.name), ("gene_biotype", gene.type)]
        if gene.pseudo:
            attributes.append(("pseudo", "true"))
        coding = any(transcript.cds for transcript in gene.transcripts)
        if gene.genetic_code is not None and not coding:
            attributes.append(("transl_table", str(gene.genetic_code)))
        attributes += [*_kept(gene.attributes), *start_attributes(gene).items()]
        yield self._row(gene, "gene", (gene.start, gene.end), attributes)
        for transcript in gene.transcripts:
            yield from self._transcript(gene, transcript, name)

    def _transcript(self, gene: Gene, transcript: Transcript, parent: str) -> Iterator[str]:
        gene = gene.scored_as(transcript)
        name = self.transcripts.unique(transcript.id)
        names = [("gene_id", parent), ("transcript_id", name)]
        marks = [("transcript_biotype", transcript.type), *_marks(transcript)]
        span = (transcript.start, transcript.end)
        kept = _kept(transcript.attributes)
        yield self._row(gene, "transcript", span, [*names, *marks, *kept])
        for number, exon in enumerate(in_reading_order(transcript.exons, gene.strand), 1):
            numbered = [*names, ("exon_number", str(number))]
            yield self._row(gene, "exon", (exon.start, exon.end), numbered)
        if transcript.cds:
            yield from self._cds(gene, transcript, names)

    def _cds(
        self, gene: Gene, transcript: Transcript, names: list[tuple[str, str]]
    ) -> Iterator[str]:
        attributes = list(names)
        if gene.genetic_code is not None:
            attributes.append(("transl_table", str(gene.genetic_code)))
        if gene.pseudo:
            attributes.append(("pseudo", "true"))
        attributes += _kept(transcript.cds_attributes)
        intervals = list(in_reading_order(transcript.cds, gene.strand))
        start = [] if transcript.partial_5 else _first_codon(intervals, gene.strand)
        stop: list[Span] = []
        if not transcript.partial_3:
            stop = _last_codon(intervals, gene.strand)
            if _can_be_cut(intervals):
                intervals = _without(intervals, stop, gene.strand)
        for cds in intervals:
            yield self._row(gene, "CDS", (cds.start, cds.end), attributes, str(cds.phase))
        for kind, codon in (("start_codon", start), ("stop_codon", stop)):
            for (first, last), phase in zip(codon, _codon_phases(codon), strict=True):
                yield self._row(gene, kind, (first, last), names, str(phase))

    def _row(
        self,
        gene: Gene,
        kind: str,
        span: Span,
        attributes: Iterable[tuple[str, str]],
        phase: str = ".",
    ) -> str:
        score = "." if gene.score is None or kind == "exon" else f"{gene.score:.4f}"
        text = " ".join(
            f'{key} "{value if key == "exception" else _escape(value)}";'
            for key, value in attributes
            if value
        )
        sign = strand_sign(gene.strand)
        columns = (
            gtf_name(gene.contig), _escape(gene.source) or self.source, kind, str(span[0] + 1),
            str(span[1]), score, sign, phase, text,
        )  # fmt: skip
        return "\t".join(columns) + "\n"


def _marks(transcript: Transcript) -> Iterator[tuple[str, str]]:
    kind = "cds" if transcript.cds else "mRNA"
    if transcript.partial_5:
        yield "tag", f"{kind}_start_NF"
    if transcript.partial_3:
        yield "tag", f"{kind}_end_NF"
    exceptions = unexplained(transcript)
    yield "exception", ",".join(_escape(e.replace("_", " ")).translate(_COMMA) for e in exceptions)


def _kept(attributes: KeptAttributes) -> list[tuple[str, str]]:
    """Kept attributes in GTF's words, which are INSDC's; its own transcript_id is another thing."""
    return [pair for pair in attributes if pair[0] != "transcript_id"]


def _can_be_cut(intervals: list[Cds]) -> bool:
    """Whether something is left without the stop codon, and none overlap (ribosomal slippage)."""
    ordered = sorted(intervals, key=lambda cds: cds.start)
    overlap = any(a.end > b.start for a, b in pairwise(ordered))
    return not overlap and sum(cds.end - cds.start for cds in intervals) > 3


def _first_codon(intervals: list[Cds], strand: int) -> list[Span]:
    """The spans of the first three bases, in reading direction."""
    found, left = [], 3
    for cds in intervals:
        taken = min(left, cds.end - cds.start)
        if taken:
            found.append(five_prime_span(cds.start, cds.end, taken, strand))
        left -= taken
    return found


def _last_codon(intervals: list[Cds], strand: int) -> list[Span]:
    return _first_codon(intervals[::-1], -strand)[::-1]


def _without(intervals: list[Cds], stop: list[Span], strand: int) -> list[Cds]:
    """The intervals up to the stop codon."""
    kept = []
    for cds in intervals:
        cut = next((s for s in stop if cds.start <= s[0] and s[1] <= cds.end), None)
        start, end = cds.start, cds.end
        if cut is not None and strand > 0:
            end = cut[0]
        elif cut is not None:
            start = cut[1]
        if start < end:
            kept.append(Cds(start, end, cds.phase))
    return kept


def _codon_phases(codon: list[Span]) -> list[int]:
    return phases([end - start for start, end in codon], 0)


def _escape(text: str) -> str:
    return text.translate(_ESCAPES)
