"""Write genes as GFF3: valid, sorted by contig and start (as tabix wants it), parents first.

Genes are written as gene > transcript > exon, CDS; with `prokaryote`, coding genes without introns
and UTRs as gene > CDS. The file reads back as the same genes. Each CDS has one ID for all its
lines, the stop codon included; missing ends are marked as NCBI does (partial, start_range,
end_range). Kept attributes (product, Dbxref, Note ...) are those of the gene, the transcript and
the CDS that they came from.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TextIO, TypeAlias
from urllib.parse import quote

from genet5.genome.frames import five_three, in_reading_order, strand_sign
from genet5.genome.gene import Exon, Gene, KeptAttributes, Transcript
from genet5.genome.io.attributes import GFF3_WORDS
from genet5.genome.io.contig_genes import genes_by_contig, write_all
from genet5.genome.io.contig_names import gff3_name, warn_of_escapes
from genet5.genome.io.start_scores import START_WORDS, start_attributes
from genet5.genome.io.unique_ids import Names

Row: TypeAlias = tuple[int, int, int, str]
"""Start, end (0-based half-open), depth in the tree of features, and the text of the line."""

_ESCAPES = {code: f"%{code:02X}" for code in (*range(32), 127, *map(ord, "%;=&,"))}
_LISTS = frozenset({"start_range", "end_range", "exception", *START_WORDS, *GFF3_WORDS.values()})
"""Attributes whose values are escaped already: their commas separate values."""


def write_gff3(
    out: TextIO,
    genes: Iterable[Gene],
    contig_lengths: Mapping[str, int],
    source: str = "GeneT5",
    *,
    prokaryote: bool = False,
    circular: Collection[str] = (),
) -> None:
    """Write all genes, sorted.

    Args:
        out: Where to.
        genes: In any order.
        contig_lengths: Name -> bases; its order is that of the file, and each contig gets a
            ##sequence-region. Genes of other contigs come last.
        source: Column 2.
        prokaryote: Write coding genes of one exon without UTR as gene > CDS.
        circular: Contigs to mark as circular; those with a gene over the origin are marked anyway.
    """
    contigs = genes_by_contig(genes, contig_lengths, circular)
    warn_of_escapes((contig.name for contig in contigs), gff3_name)
    write_all(Gff3Writer(out, source, prokaryote=prokaryote), contigs, contig_lengths)


class Gff3Writer:
    """Writes a file contig by contig; holds the lines of genes that overlap, no more.

    Args:
        out: Where to.
        source: Column 2.
        prokaryote: Write coding genes of one exon without UTR as gene > CDS.
        names: Remembers the IDs in use; by default all of them.
    """

    def __init__(
        self,
        out: TextIO,
        source: str = "GeneT5",
        *,
        prokaryote: bool = False,
        names: Names | None = None,
    ) -> None:
        self._out = out
        self.source, self.prokaryote = _escape(source), prokaryote
        self.names = names or Names()

    def header(self, contigs: Iterable[tuple[str, int]]) -> None:
        """Write what precedes all genes.

        Args:
            contigs: Name and length of each that gets a ##sequence-region.
        """
        self._out.write("##gff-version 3\n")
        for name, length in contigs:
            self._out.write(f"##sequence-region {gff3_name(name)} 1 {length}\n")

    def contig(
        self, name: str, length: int, genes: Iterable[Gene], *, is_circular: bool = False
    ) -> None:
        """Write the genes of a contig, which ascend by start and end."""
        rows = self._region(name, length) if is_circular and length else []
        end = 0
        for gene in genes:
            if gene.start >= end:
                self._write(rows)
                rows = []
            rows.extend(self.gene(gene))
            end = max(end, gene.end)
        self._write(rows)

    def _write(self, rows: list[Row]) -> None:
        rows.sort(key=lambda row: (row[0], -row[1], row[2]))
        self._out.writelines(row[3] for row in rows)

    def _region(self, contig: str, length: int) -> list[Row]:
        """The line that marks a contig as circular."""
        attributes = {"ID": self.names.unique(f"{contig}:1..{length}"), "Is_circular": "true"}
        return [self._row((contig, ""), "region", (0, length), "+", attributes, depth=-1)]

    def gene(self, gene: Gene) -> Iterator[Row]:
        """All lines of a gene."""
        name = self.names.unique(gene.id)
        attributes = {"ID": name, "Name": gene.name, "gene_biotype": gene.type}
        if gene.pseudo:
            attributes["pseudo"] = "true"
        coding = any(transcript.cds for transcript in gene.transcripts)
        if gene.genetic_code is not None and not coding:
            attributes["transl_table"] = str(gene.genetic_code)
        attributes |= _kept(gene.attributes) | start_attributes(gene)
        kind = "pseudogene" if gene.pseudo else "gene"
        yield self._row(
            _place(gene), kind, (gene.start, gene.end), _sign(gene), attributes, gene.score
        )
        if self.prokaryote and is_single_cds(gene):
            only = gene.transcripts[0]
            yield from self._cds(gene, only, self.names.unique(only.id), name)
        else:
            for transcript in gene.transcripts:
                yield from self._transcript(gene, transcript, name)

    def _transcript(self, gene: Gene, transcript: Transcript, parent: str) -> Iterator[Row]:
        gene = gene.scored_as(transcript)
        name = self.names.unique(transcript.id)
        span = (transcript.start, transcript.end)
        attributes = {"ID": name, "Parent": parent}
        if not transcript.cds:
            attributes |= _marks(gene, transcript, span)
        attributes |= _kept(transcript.attributes)
        kind, sign = _escape(transcript.type), _sign(gene)
        yield self._row(_place(gene), kind, span, sign, attributes, gene.score, depth=1)
        numbers = in_reading_order(range(1, len(transcript.exons) + 1), gene.strand)
        for number, exon in zip(numbers, transcript.exons, strict=True):
            attributes = {"ID": self.names.unique(f"{name}.exon{number}"), "Parent": name}
            span = (exon.start, exon.end)
            yield self._row(_place(gene), "exon", span, sign, attributes, depth=2)
        if transcript.cds:
            yield from self._cds(gene, transcript, self.names.unique(f"{name}.cds"), name)

    def _cds(self, gene: Gene, transcript: Transcript, name: str, parent: str) -> Iterator[Row]:
        attributes = {"ID": name, "Parent": parent}
        if gene.genetic_code is not None:
            attributes["transl_table"] = str(gene.genetic_code)
        if gene.pseudo:
            attributes["pseudo"] = "true"
        attributes |= _marks(gene, transcript, (transcript.cds[0].start, transcript.cds[-1].end))
        attributes |= _kept(transcript.cds_attributes)
        for cds in transcript.cds:
            span = (cds.start, cds.end)
            yield self._row(
                _place(gene), "CDS", span, _sign(gene), attributes, gene.score, str(cds.phase),
                depth=3,
            )  # fmt: skip

    def _row(
        self, place: tuple[str, str], kind: str, span: tuple[int, int], sign: str,
        attributes: Mapping[str, str], score: float | None = None, phase: str = ".", *,
        depth: int = 0,
    ) -> Row:  # fmt: skip
        (contig, source), (start, end) = place, span
        score_text = "." if score is None else f"{score:.4f}"
        text = ";".join(
            f"{k}={v if k in _LISTS else _escape(v)}" for k, v in attributes.items() if v
        )
        columns = (
            gff3_name(contig),
            _escape(source) or self.source,
            kind,
            start + 1,
            end,
            score_text,
            sign,
            phase,
            text,
        )
        return start, end, depth, "\t".join(map(str, columns)) + "\n"


def is_single_cds(gene: Gene) -> bool:
    """Whether the gene is one CDS and nothing else."""
    only = gene.transcripts[0]
    return (
        len(gene.transcripts) == 1
        and only.type == "mRNA"
        and len(only.cds) == 1
        and only.exons == (Exon(only.cds[0].start, only.cds[0].end),)
    )


def _marks(gene: Gene, transcript: Transcript, span: tuple[int, int]) -> dict[str, str]:
    marks: dict[str, str] = {}
    open_left, open_right = five_three(transcript.partial_5, transcript.partial_3, gene.strand)
    if open_left or open_right:
        marks["partial"] = "true"
    if open_left:
        marks["start_range"] = f".,{span[0] + 1}"
    if open_right:
        marks["end_range"] = f"{span[1]},."
    marks["exception"] = ",".join(
        _escape(name.replace("_", " ")) for name in unexplained(transcript)
    )
    return marks


def unexplained(transcript: Transcript) -> list[str]:
    """The exceptions that no attribute of their own explains, as transl_except does."""
    explained = {name for name, _ in (*transcript.attributes, *transcript.cds_attributes)}
    return [name for name in transcript.exceptions if name not in explained]


def _kept(attributes: KeptAttributes) -> dict[str, str]:
    """Kept attributes in GFF3's words, the values of each escaped and joined by commas."""
    found: dict[str, list[str]] = {}
    for name, value in attributes:
        found.setdefault(GFF3_WORDS[name], []).append(_escape(value))
    return {word: ",".join(texts) for word, texts in found.items()}


def _place(gene: Gene) -> tuple[str, str]:
    """Contig and source of a gene."""
    return gene.contig, gene.source


def _sign(gene: Gene) -> str:
    return strand_sign(gene.strand)


def _escape(text: str) -> str:
    if text != text.strip():
        return quote(text, safe="")
    return text.translate(_ESCAPES)
