r"""Sort the lines of one contig of a GTF file by gene, transcript and strand.

Example:
    >>> parse_gtf_attributes('gene_id "g;1"; level 2; tag "basic"; tag "seleno"; note "a \\"b"')
    {'gene_id': 'g;1', 'level': '2', 'tag': 'basic,seleno', 'note': 'a "b'}
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from genet5.genome.io.attributes import (
    GTF_SEPARATOR,
    KEPT,
    Attributes,
    has_marks,
    unescape,
)
from genet5.genome.io.feature_table import CdsLine, ContigTable, Node, Parts, Span
from genet5.genome.io.feature_types import UTR_TYPES, is_gene_type, is_transcript_type
from genet5.genome.io.gff3_lines import PHASES, STRANDS, LineReader, Taker
from genet5.genome.io.read_report import ReadReport

_PAIR = re.compile(r'(?<![^\s";])([^\s";=]+)[ =]+(?:"((?:[^"\\]|\\.)*)"|([^";]*))')
"""Key and value; the look-behind keeps the search linear in a word without separators."""
_REPEATED = frozenset(KEPT) - {"transcript_id"}
_OTHER_UTR = frozenset({"5'-UTR", "3'-UTR"})
_PARTS = UTR_TYPES | _OTHER_UTR | {"exon", "CDS", "start_codon", "stop_codon", "Selenocysteine"}
_GFF2_KEYS = ("name", "transcriptId", "proteinId")
"""By which the GFF2 of JGI names what a line belongs to, the best first."""


@dataclass(slots=True)
class GtfTranscript:
    """The lines of one transcript on one strand."""

    id: str
    strand: int
    parts: Parts
    node: Node | None = None
    attributes: Attributes = field(default_factory=dict)
    """Of its first line, if it has none of its own."""
    starts: list[Span] = field(default_factory=list)
    """Start codons."""


@dataclass(slots=True)
class GtfGene:
    """The lines of one gene."""

    nodes: dict[int, Node] = field(default_factory=dict)
    """Its own lines, by strand."""
    transcripts: dict[tuple[str, int], GtfTranscript] = field(default_factory=dict)
    """By ID and strand."""


def parse_gtf_attributes(text: str) -> Attributes:
    """Parse column 9: `key "value";` pairs, also `key=value`.

    A repeated key keeps its first value, but all `tag`s are joined by commas, and all values of
    keys that may be kept (`attributes.KEPT`) by `GTF_SEPARATOR`.
    """
    parts = text.split('"')
    is_usual = len(parts) % 2 and "\\" not in text
    layout = _layout(tuple(parts[::2])) if is_usual else None
    if layout is None:
        return _parsed(text)
    if layout.is_unique:
        found = layout.template.copy()
        found.update(zip(layout.quoted, parts[1::2], strict=True))
        return found
    found, values = {}, iter(parts[1::2])
    for key, plain in layout.pairs:
        _add(found, key, next(values) if plain is None else plain)
    return found


@dataclass(frozen=True, slots=True)
class _Layout:
    """Column 9 without its quoted values."""

    pairs: tuple[tuple[str, str | None], ...]
    """Keys and values in order; None stands for the next quoted value."""
    quoted: tuple[str, ...]
    """Keys of the quoted values."""
    template: Attributes
    """All keys in order, with the values that have no quotes."""
    is_unique: bool
    """No key repeats."""


@functools.lru_cache(maxsize=4096)
def _layout(between: tuple[str, ...]) -> _Layout | None:
    """Parse what stands between quoted values: keys, and pairs without quotes (`level 2;`).

    None in any other form.
    """
    pairs: list[tuple[str, str | None]] = []
    *parts, rest = (part.strip("; ").split(";") for part in between)
    for *plain, key in (*parts, [*rest, ""]):
        for words in (pair.strip(" ").split(" ") for pair in plain):
            if len(words) == 2:
                pairs.append((words[0], words[1]))
            elif words != [""]:
                return None
        pairs.append((key.strip(" "), None))
    pairs.pop()  # no quoted value follows the rest
    if any(not key or " " in key or "=" in key or "=" in (plain or "") for key, plain in pairs):
        return None
    if any(plain for _, plain in pairs) and not _is_spaced(between):
        return None
    template = {key: plain or "" for key, plain in pairs}
    quoted = tuple(key for key, plain in pairs if plain is None)
    return _Layout(tuple(pairs), quoted, template, len(template) == len(pairs))


def _is_spaced(between: Sequence[str]) -> bool:
    """Whether a blank stands before each quoted value, and no other white space anywhere."""
    return all(part.endswith(" ") for part in between[:-1]) and "".join(between).isprintable()


def _parsed(text: str) -> Attributes:
    """Parse column 9 in any form: values without quotes, "=", escaped quotes."""
    found: Attributes = {}
    for key, quoted, plain in _PAIR.findall(text):
        value = quoted or plain.strip()
        _add(found, key, value.replace('\\"', '"') if "\\" in value else value)
    return found


def _add(found: Attributes, key: str, value: str) -> None:
    if key not in found:
        found[key] = value
    elif key == "tag":
        found[key] += f",{value}"
    elif key in _REPEATED:
        found[key] += GTF_SEPARATOR + value


@dataclass(slots=True)  # not frozen: made for most lines, and freezing takes twice the time
class _Owner:
    """What lines with the same column 9 belong to."""

    text: str
    """Column 9."""
    is_gene: bool
    """The lines are those of genes: Augustus names these in another way."""
    attributes: Attributes
    gene_id: str
    transcript_id: str

    @staticmethod
    def of(kind: str, text: str, *, is_gene: bool) -> _Owner:
        attributes = parse_gtf_attributes(text)
        return _Owner(text, is_gene, attributes, *_names(kind, text, attributes))


class GtfLineReader(LineReader):
    """Sorts the lines of a contig by gene, transcript and strand."""

    def __init__(self, table: ContigTable, report: ReadReport) -> None:
        super().__init__(table, report)
        self.genes: dict[str, GtfGene] = {}
        self._owner = _Owner("", False, {}, "", "")
        """Of the last line: neighbours often share column 9, which is parsed once then."""

    def _takers(self) -> Mapping[str, Taker]:
        return {}

    def _bad(self, cause: str, columns: list[str], number: int, found: str, expected: str) -> None:
        self.report.reject(cause, number, found, expected)
        name, _ = _names(columns[2], columns[8], parse_gtf_attributes(columns[8]))
        self.table.broken.add(name)

    def _other(self, columns: list[str], span: Span, number: int) -> None:
        kind = columns[2]
        is_part = kind in _PARTS
        is_gene = not is_part and is_gene_type(kind)
        if not (is_part or is_gene or is_transcript_type(kind)):
            return
        strand = STRANDS.get(columns[6])
        if strand is None:
            self._strand(columns, number)  # reports it
            return
        owner = self._owner
        if owner.text != columns[8] or owner.is_gene is not is_gene:
            owner = self._owner = _Owner.of(kind, columns[8], is_gene=is_gene)
        attributes, gene_id, transcript_id = owner.attributes, owner.gene_id, owner.transcript_id
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
            gene = self.genes[gene_id] = GtfGene()
        if is_gene:
            found = gene.nodes.get(strand)
            gene.nodes[strand] = self._node(
                found, gene_id, columns, span, strand, attributes, number
            )
            return
        transcript = gene.transcripts.get((transcript_id, strand))
        if transcript is None:
            transcript = GtfTranscript(transcript_id, strand, Parts(number), attributes=attributes)
            gene.transcripts[transcript_id, strand] = transcript
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
        node.spans.append(span)
        return node

    def _part(
        self,
        transcript: GtfTranscript,
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
            transcript.starts.append(span)
        elif kind == "Selenocysteine":
            parts.recoded = True
        else:
            is_cds = kind == "CDS"
            if is_cds and not self._has_phase(columns, number):
                return
            marked = is_cds and has_marks(attributes)
            phase = PHASES.get(columns[7])
            line = CdsLine(*span, strand, phase, "", attributes, number, marked)
            if is_cds:
                parts.cds.append(line)
                parts.score = self._score(columns, number) if parts.score is None else parts.score
            else:
                parts.stop_codons.append(line)


def _names(kind: str, text: str, attributes: Attributes) -> tuple[str, str]:
    """Gene and transcript that a line belongs to.

    Augustus gives genes and transcripts a name without a key, JGI's GFF2 one name for both.
    """
    transcript = unescape(attributes.get("transcript_id", ""))
    gene = unescape(attributes.get("gene_id", ""))
    if gene or transcript:
        return gene or transcript, transcript
    for key in _GFF2_KEYS:
        if attributes.get(key):
            return unescape(attributes[key]), unescape(attributes[key])
    word = text.strip().rstrip(";")
    if word and not re.search(r"\s|=", word):
        if is_gene_type(kind):
            return word, ""
        return word.rpartition(".")[0] or word, word
    return "", ""
