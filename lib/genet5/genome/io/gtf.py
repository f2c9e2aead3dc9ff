r"""Read GTF of Ensembl, GENCODE, NCBI, StringTie, Augustus, gffread and UCSC into the same genes as GFF3.

GTF 2.2 keeps the stop codon out of the CDS; lines `stop_codon` bring it back here (files whose CDS hold it already are
recognised line by line). Genes and transcripts without lines of their own are made of their exons and CDS.
In a file that has codon lines, a CDS without `stop_codon` lacks its 3' end, and one without `start_codon` its 5' end.

Example:
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "a.gtf")
    >>> text = 'c,.,CDS,1,9,.,+,0,gene_id "g"; transcript_id "t";\nc,.,stop_codon,10,12,.,+,0,gene_id "g"; transcript_id "t";\n'
    >>> _ = path.write_text(text.replace(",", "\t"))
    >>> (gene,) = read_gtf(path).genes
    >>> gene.id, gene.canonical.id, gene.canonical.cds
    ('g', 't', (Cds(start=0, end=12, phase=0),))
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from genet5.genome.gene import Gene
from genet5.genome.io.annotation import Annotation
from genet5.genome.io.assemble import Assembler, childless, is_pseudo_type
from genet5.genome.io.attributes import Attributes, has_marks, unescape
from genet5.genome.io.contig_lines import LineFile, in_memory
from genet5.genome.io.feature_table import CdsLine, ContigTable, Node, Parts, Span
from genet5.genome.io.feature_types import UTR_TYPES, is_gene_type, is_transcript_type
from genet5.genome.io.files import damage_as_data_error, open_seekable
from genet5.genome.io.gff3_lines import PHASES, LineReader, Taker
from genet5.genome.io.record_errors import RecordErrors
from genet5.genome.io.transcripts import Draft

_PAIR = re.compile(r'([^\s";]+)[ =]+(?:"([^"]*)"|([^";]*))')
_TAGS = {
    "cds_start_NF": "start",
    "mRNA_start_NF": "start",
    "cds_end_NF": "end",
    "mRNA_end_NF": "end",
}
_GENE_KEYS = frozenset({"gene_id", "gene_name", "gene", "gene_biotype", "gene_type", "biotype", "pseudo", "transl_table"})  # fmt: skip
_TYPE_KEYS = ("transcript_biotype", "transcript_type")
_BLOCK_BYTES = 1 << 20
_CIRCULAR = "#!circular "
_CODONS = {"start": b"\tstart_codon\t", "end": b"\tstop_codon\t"}
_OTHER_UTR = frozenset({"5'-UTR", "3'-UTR"})
_PARTS = UTR_TYPES | _OTHER_UTR | {"exon", "CDS", "start_codon", "stop_codon", "Selenocysteine"}


@dataclass(slots=True)
class _Transcript:
    """The lines of one transcript."""

    parts: Parts
    node: Node | None = None
    attributes: Attributes = field(default_factory=dict)
    """Of its first line, if it has none of its own."""
    has_start: bool = False


@dataclass(slots=True)
class _GtfGene:
    """The lines of one gene."""

    node: Node | None = None
    transcripts: dict[str, _Transcript] = field(default_factory=dict)


class GtfFile(LineFile):
    """An open GTF file, to be read contig by contig."""

    def __init__(self, raw: BinaryIO, path: Path, *, skip_bad: bool = False) -> None:
        super().__init__(raw, path, skip_bad=skip_bad)
        with damage_as_data_error(path):
            self.codons = {end for end, kind in _CODONS.items() if _contains(raw, kind)}
        """Which ends of CDS the file marks with codon lines anywhere: start, end."""

    def _genes(
        self, table: ContigTable, lines: Iterable[tuple[int, str]], errors: RecordErrors
    ) -> list[Gene]:
        reader = _GtfReader(table, errors)
        reader.read(lines)
        return list(_Builder(table, errors, codons=self.codons).genes(reader.genes))

    def _comment(self, line: str, number: int, errors: RecordErrors) -> None:
        if line.startswith(_CIRCULAR):
            self._contig(unescape(line[len(_CIRCULAR) :].strip()), number).circular = True
        else:
            super()._comment(line, number, errors)


def read_gtf(path: Path, *, skip_bad: bool = False) -> Annotation:
    """Read all genes of a plain, gzip or bgzip GTF file; arguments and errors as those of `read_gff3`."""
    with open_seekable(path) as raw:
        return GtfFile(raw, path, skip_bad=skip_bad).read_all()


def parse_gtf(lines: Iterable[str], path: Path, *, skip_bad: bool = False) -> Annotation:
    """Read all genes from the lines of a GTF file; `path` is for messages."""
    return GtfFile(in_memory(lines), path, skip_bad=skip_bad).read_all()


def parse_gtf_attributes(text: str) -> Attributes:
    """Parse column 9: `key "value";` pairs; a repeated key keeps its first value, but all `tag`s are joined by commas.

    Example:
        >>> parse_gtf_attributes('gene_id "g;1"; level 2; tag "basic"; tag "seleno";')
        {'gene_id': 'g;1', 'level': '2', 'tag': 'basic,seleno'}
    """
    found: Attributes = {}
    for key, quoted, plain in _PAIR.findall(text):
        value = quoted or plain.strip()
        if key not in found:
            found[key] = value
        elif key == "tag":
            found[key] += f",{value}"
    return found


class _GtfReader(LineReader):
    """Sorts the lines of a contig by gene and transcript."""

    def __init__(self, table: ContigTable, errors: RecordErrors) -> None:
        super().__init__(table, errors)
        self.genes: dict[str, _GtfGene] = {}

    def _takers(self) -> Mapping[str, Taker]:
        return {}

    def _bad(self, cause: str, columns: list[str], number: int, found: str, expected: str) -> None:
        self.errors.reject(cause, number, found, expected)
        name, _ = _names(columns[2], columns[8], parse_gtf_attributes(columns[8]))
        self.table.broken.add(name)

    def _other(self, columns: list[str], span: Span, number: int) -> None:
        kind = columns[2]
        is_part = kind in _PARTS
        if not (is_part or is_gene_type(kind) or is_transcript_type(kind)):
            return
        strand = self._strand(columns, number)
        if strand is None:
            return
        attributes = parse_gtf_attributes(columns[8])
        gene_id, transcript_id = _names(kind, columns[8], attributes)
        if not gene_id or (is_part and not transcript_id):
            self._bad(
                "no gene_id", columns, number, f"{kind} without gene_id and transcript_id",
                'gene_id "..."; transcript_id "..."',
            )  # fmt: skip
            return
        if "transl_table" in attributes and not self._known_code(attributes, columns, number):
            return
        gene = self.genes.get(gene_id)
        if gene is None:
            gene = self.genes[gene_id] = _GtfGene()
        if is_gene_type(kind):
            gene.node = self._node(gene.node, gene_id, columns, span, strand, attributes, number)
            return
        transcript = gene.transcripts.get(transcript_id)
        if transcript is None:
            parts = Parts(number)
            transcript = gene.transcripts[transcript_id] = _Transcript(parts, attributes=attributes)
        if is_part:
            self._part(transcript, columns, span, strand, attributes, number)
        else:
            transcript.node = self._node(
                transcript.node, transcript_id, columns, span, strand, attributes, number
            )

    def _node(
        self,
        node: Node | None,
        name: str,
        columns: list[str],
        span: Span,
        strand: int,
        attributes: Attributes,
        number: int,
    ) -> Node:
        score = self._score(columns, number)
        if node is None:
            marked = has_marks(attributes)
            return Node(columns[2], name, [span], strand, score, attributes, [], number, marked)
        if strand != node.strand:
            self._bad(
                "duplicate ID", columns, number,
                f'{columns[2]} "{name}" on strand {columns[6]}, unlike in line {node.line}', "one strand",
            )  # fmt: skip
        node.spans.append(span)
        return node

    def _part(
        self,
        transcript: _Transcript,
        columns: list[str],
        span: Span,
        strand: int,
        attributes: Attributes,
        number: int,
    ) -> None:
        kind, parts = columns[2], transcript.parts
        parts.strands.add(strand)
        if kind == "exon":
            parts.exons.append(span)
        elif kind in UTR_TYPES or kind in _OTHER_UTR:
            parts.utrs.append(span)
        elif kind == "start_codon":
            transcript.has_start = True
        elif kind == "Selenocysteine":
            parts.recoded = True
        else:
            is_cds = kind == "CDS"
            if is_cds and not self._has_phase(columns, number):
                return
            marked = is_cds and has_marks(attributes)
            phase = PHASES.get(columns[7])
            piece = CdsLine(*span, strand, phase, "", attributes, number, marked)
            if is_cds:
                parts.cds.append(piece)
                parts.score = self._score(columns, number) if parts.score is None else parts.score
            else:
                parts.stop_codons.append(piece)


def _contains(raw: BinaryIO, word: bytes) -> bool:
    """Whether a word stands anywhere in a file; reads no further than that."""
    raw.seek(0)
    tail = b""
    while block := raw.read(_BLOCK_BYTES):
        if word in tail + block:
            return True
        tail = block[-len(word) :]
    return False


def _names(kind: str, text: str, attributes: Attributes) -> tuple[str, str]:
    """Gene and transcript that a line belongs to; Augustus gives genes and transcripts a bare name."""
    transcript = unescape(attributes.get("transcript_id", ""))
    gene = unescape(attributes.get("gene_id", ""))
    bare = text.strip().rstrip(";")
    if not (gene or transcript) and bare and not re.search(r"\s|=", bare):
        if is_gene_type(kind):
            return bare, ""
        return bare.rpartition(".")[0] or bare, bare
    return gene or transcript, transcript


class _Builder(Assembler):
    """Makes the genes of one contig."""

    def __init__(self, table: ContigTable, errors: RecordErrors, *, codons: Set[str]) -> None:
        super().__init__(table, errors)
        self.codons = codons

    def genes(self, genes: dict[str, _GtfGene]) -> Iterator[Gene]:
        for name, gene in genes.items():
            if name in self.table.broken:
                continue
            node = gene.node or self._inferred(name, gene)
            drafts = [
                draft
                for key, transcript in gene.transcripts.items()
                if (draft := self._draft(key, transcript)) is not None
            ]
            if not gene.transcripts:
                drafts = [childless(node, f"{name}.t1", "transcript")]
            yield from self.gene(name, node, drafts)

    def _inferred(self, name: str, gene: _GtfGene) -> Node:
        """The node of a gene without a line of its own."""
        first = next(iter(gene.transcripts.values()))
        source = first.node.attributes if first.node is not None else first.attributes
        attributes = {key: value for key, value in source.items() if key in _GENE_KEYS}
        score = first.node.score if first.node is not None else first.parts.score
        line = first.node.line if first.node is not None else first.parts.line
        return Node("gene", name, [], 0, score, attributes, [], line, has_marks(attributes))

    def _draft(self, name: str, transcript: _Transcript) -> Draft | None:
        node, parts = transcript.node, transcript.parts
        if not parts.has_extent:
            return childless(node, name, _type(node)) if node is not None else None
        parts.cds.sort(key=lambda piece: piece.start)
        draft = self.draft(name, "mRNA" if parts.cds else "transcript", node, parts, parts.cds)
        if draft is None:
            return None
        attributes = node.attributes if node is not None else transcript.attributes
        draft.type = _type(node, attributes, is_coding=bool(parts.cds))
        draft.pseudo |= is_pseudo_type(draft.type)
        return self._with_marks(draft, transcript, attributes)

    def _with_marks(self, draft: Draft, transcript: _Transcript, attributes: Attributes) -> Draft:
        """Say in GFF3's words what the tags and the codon lines tell: missing ends, selenocysteine."""
        tags = attributes.get("tag", "").split(",")
        ends = {
            _TAGS[tag] for tag in tags if tag in _TAGS and tag.startswith("cds") == bool(draft.cds)
        }
        draft.recoded |= "seleno" in tags
        kept = dict(attributes)
        if draft.cds and self.codons:
            if "start" in self.codons and not transcript.has_start:
                ends.add("start")
            if "end" in self.codons and not transcript.parts.stop_codons:
                ends.add("end")
            kept.pop("partial", None)
            draft.cds = [_without_partial(piece) for piece in draft.cds]
        if ends:
            kept["partial"] = "both" if len(ends) == 2 else ends.pop()
        draft.attributes = kept
        draft.marked |= has_marks(kept)
        return draft


def _without_partial(piece: CdsLine) -> CdsLine:
    if "partial" not in piece.attributes:
        return piece
    kept = {key: value for key, value in piece.attributes.items() if key != "partial"}
    return replace(piece, attributes=kept, marked=has_marks(kept))


def _type(
    node: Node | None, attributes: Attributes | None = None, *, is_coding: bool = False
) -> str:
    """Type of a transcript: its biotype, or what column 3 says; coding ones are mRNA."""
    source = attributes if attributes is not None else node.attributes if node is not None else {}
    for key in _TYPE_KEYS:
        if key in source:
            biotype = unescape(source[key])
            return "mRNA" if biotype == "protein_coding" else biotype
    if node is not None and node.kind != "transcript":
        return node.kind
    return "mRNA" if is_coding else "transcript"
