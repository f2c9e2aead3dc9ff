r"""Read GTF of Ensembl, GENCODE, NCBI, StringTie, Augustus, gffread, UCSC and JGI (GFF2).

GTF 2.2 keeps the stop codon out of the CDS; lines `stop_codon` bring it back here (files whose CDS
hold it already are recognised line by line). Genes and transcripts without lines of their own are
made of their exons and CDS. In a file that has codon lines, a CDS without `stop_codon` lacks its 3'
end, and one without `start_codon` its 5' end. The genes are the same as from GFF3.

Example:
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "a.gtf")
    >>> names = 'gene_id "g"; transcript_id "t";'
    >>> text = f"c,.,CDS,1,9,.,+,0,{names}\nc,.,stop_codon,10,12,.,+,0,{names}\n"
    >>> _ = path.write_text(text.replace(",", "\t"))
    >>> (gene,) = read_gtf(path).genes
    >>> gene.id, gene.canonical.id, gene.canonical.cds
    ('g', 't', (Cds(start=0, end=12, phase=0),))
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from genet5.genome.gene import Gene, KeptAttributes
from genet5.genome.io.annotation import Annotation
from genet5.genome.io.assemble import Assembler, childless, is_pseudo_type
from genet5.genome.io.attributes import GTF_SEPARATOR, Attributes, has_marks, unescape
from genet5.genome.io.contig_lines import LineFile, in_memory
from genet5.genome.io.feature_table import CdsLine, ContigTable, Node
from genet5.genome.io.files import damage_as_data_error, open_seekable
from genet5.genome.io.gtf_lines import GtfGene, GtfLineReader, GtfTranscript, parse_gtf_attributes
from genet5.genome.io.gtf_loci import Locus, split
from genet5.genome.io.read_options import DEFAULT_OPTIONS, ReadOptions
from genet5.genome.io.read_report import ReadReport
from genet5.genome.io.transcripts import Draft

__all__ = ["GtfFile", "parse_gtf", "parse_gtf_attributes", "read_gtf"]

_TAGS = {
    "cds_start_NF": "start",
    "mRNA_start_NF": "start",
    "cds_end_NF": "end",
    "mRNA_end_NF": "end",
}
_GENE_KEYS = frozenset({
    "gene_id", "gene_name", "gene", "name", "gene_biotype", "gene_type", "biotype", "pseudo",
    "transl_table", "locus_tag",
})  # fmt: skip
_TYPE_KEYS = ("transcript_biotype", "transcript_type")
_BLOCK_BYTES = 1 << 20
_CIRCULAR = "#!circular "
_CODONS = {"start": b"\tstart_codon\t", "end": b"\tstop_codon\t"}


class GtfFile(LineFile):
    """An open GTF file, to be read contig by contig."""

    def __init__(self, raw: BinaryIO, path: Path, options: ReadOptions = DEFAULT_OPTIONS) -> None:
        super().__init__(raw, path, options)
        with damage_as_data_error(path):
            self.codons = {end for end, kind in _CODONS.items() if _contains(raw, kind)}
        """Which ends of CDS the file marks with codon lines anywhere: start, end."""

    def _genes(
        self, table: ContigTable, lines: Iterable[tuple[int, str]], report: ReadReport
    ) -> list[Gene]:
        reader = GtfLineReader(table, report)
        reader.read(lines)
        return list(_Builder(table, report, codons=self.codons).genes(reader.genes))

    def _comment(self, line: str, number: int, report: ReadReport) -> None:
        if line.startswith(_CIRCULAR):
            self._contig(unescape(line[len(_CIRCULAR) :].strip()), number).circular = True
        else:
            super()._comment(line, number, report)


def read_gtf(path: Path, options: ReadOptions = DEFAULT_OPTIONS) -> Annotation:
    """Read all genes of a plain, gzip or bgzip GTF file; errors as those of `read_gff3`."""
    with open_seekable(path) as raw:
        return GtfFile(raw, path, options).read_all()


def parse_gtf(
    lines: Iterable[str], path: Path, options: ReadOptions = DEFAULT_OPTIONS
) -> Annotation:
    """Read all genes from the lines of a GTF file; `path` is for messages."""
    return GtfFile(in_memory(lines), path, options).read_all()


def _contains(raw: BinaryIO, word: bytes) -> bool:
    """Whether a file contains a word; reads no further than its first occurrence."""
    raw.seek(0)
    tail = b""
    while block := raw.read(_BLOCK_BYTES):
        if word in tail + block:
            return True
        tail = block[-len(word) :]
    return False


class _Builder(Assembler):
    """Makes the genes of one contig."""

    separator = GTF_SEPARATOR

    def __init__(self, table: ContigTable, report: ReadReport, *, codons: Set[str]) -> None:
        super().__init__(table, report)
        self.codons = codons

    def kept(self, attributes: Attributes) -> KeptAttributes:
        """The attributes to keep; transcript_id is GTF's own."""
        return tuple(pair for pair in super().kept(attributes) if pair[0] != "transcript_id")

    def genes(self, genes: dict[str, GtfGene]) -> Iterator[Gene]:
        for name, gene in genes.items():
            if name in self.table.broken:
                continue
            found = split(name, gene)
            self.report.summary.several_loci += len(found) > 1
            for locus in found:
                yield from self._gene_at(locus)

    def _gene_at(self, locus: Locus) -> Iterable[Gene]:
        node = locus.node or self._inferred(locus)
        drafts = [
            draft
            for transcript in locus.transcripts
            if (draft := self._draft(transcript)) is not None
        ]
        if not locus.transcripts:
            drafts = [childless(node, f"{locus.name}.t1", "transcript")]
        return self.gene(locus.name, node, drafts)

    def _inferred(self, locus: Locus) -> Node:
        """The node of a gene without a line of its own."""
        first = locus.transcripts[0]
        source = first.node.attributes if first.node is not None else first.attributes
        attributes = {key: value for key, value in source.items() if key in _GENE_KEYS}
        score = first.node.score if first.node is not None else first.parts.score
        line = first.node.line if first.node is not None else first.parts.line
        return Node(
            "gene", locus.name, [], 0, score, attributes, [], line, has_marks(attributes),
            is_inferred=True,
        )  # fmt: skip

    def _draft(self, transcript: GtfTranscript) -> Draft | None:
        name, node, parts = transcript.id, transcript.node, transcript.parts
        if not parts.has_extent:
            if node is None:
                self.report.count("start codon alone")
                return None
            draft = childless(node, name, _type(node))
            draft.kept = self.kept(node.attributes)
            return draft
        parts.cds.sort(key=lambda line: line.start)
        found = self.draft(name, "mRNA" if parts.cds else "transcript", node, parts, parts.cds)
        if found is None:
            return None
        attributes = node.attributes if node is not None else transcript.attributes
        found.type = _type(node, attributes, is_coding=bool(parts.cds))
        found.pseudo |= is_pseudo_type(found.type)
        return self._with_marks(found, transcript, attributes)

    def _with_marks(self, draft: Draft, transcript: GtfTranscript, attributes: Attributes) -> Draft:
        """Translate tags and codon lines to GFF3's words: missing ends, selenocysteine."""
        tags = attributes.get("tag", "").split(",")
        ends = {
            _TAGS[tag] for tag in tags if tag in _TAGS and tag.startswith("cds") == bool(draft.cds)
        }
        draft.recoded |= "seleno" in tags
        kept = dict(attributes)
        if draft.cds and self.codons:
            if "start" in self.codons and not transcript.starts:
                ends.add("start")
            if "end" in self.codons and not transcript.parts.stop_codons:
                ends.add("end")
            kept.pop("partial", None)
            draft.cds = [_without_partial(line) for line in draft.cds]
        if ends:
            kept["partial"] = "both" if len(ends) == 2 else ends.pop()
        draft.attributes = kept
        draft.marked |= has_marks(kept)
        return draft


def _without_partial(line: CdsLine) -> CdsLine:
    if "partial" not in line.attributes:
        return line
    kept = {key: value for key, value in line.attributes.items() if key != "partial"}
    return replace(line, attributes=kept, marked=has_marks(kept))


def _type(
    node: Node | None, attributes: Attributes | None = None, *, is_coding: bool = False
) -> str:
    """Type of a transcript: its biotype, or column 3; coding ones are mRNA."""
    source = attributes if attributes is not None else node.attributes if node is not None else {}
    for key in _TYPE_KEYS:
        if key in source:
            biotype = unescape(source[key])
            return "mRNA" if biotype == "protein_coding" else biotype
    if node is not None and node.kind != "transcript":
        return node.kind
    return "mRNA" if is_coding else "transcript"
