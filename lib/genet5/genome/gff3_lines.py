"""Read the lines of a GFF3 file into one table per contig; `gff3_genes` makes genes of the tables.

A line is kept only when it can belong to a gene: gene-like and transcript-like features, exons, CDS, UTRs and stop
codons. Lines may come in any order (a child before its parent). All coordinates leave this module 0-based half-open.
Attributes are parsed here, without a library: the work per line is one split by tabs, one by semicolons.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias
from urllib.parse import unquote

from genet5.errors import DataError
from genet5.genome.codes import known_codes

Attributes: TypeAlias = dict[str, str]
Span: TypeAlias = tuple[int, int]

_PARENT = re.compile(r"(?:^|;)\s*Parent=([^;]*)")
_STRANDS = {"+": 1, "-": -1, ".": 0, "?": 0}
PHASES = {"0": 0, "1": 1, "2": 2, ".": None}
"""Column 8 of a CDS line; "." is not known."""
_MARKS = frozenset(
    {"partial", "start_range", "end_range", "exception", "transl_except", "ribosomal_slippage", "pseudo", "pseudogene", "origin_spanning"}
)  # fmt: skip
UTR_TYPES = frozenset({"five_prime_UTR", "three_prime_UTR", "UTR", "5UTR", "3UTR", "five_prime_utr", "three_prime_utr"})  # fmt: skip
_CONTIG_TYPES = frozenset({"region", "chromosome", "contig", "supercontig", "scaffold", "plasmid", "sequence", "databank_entry"})  # fmt: skip
_KNOWN_CODES = frozenset(map(str, known_codes()))
_ID = re.compile(r"(?:^|;)\s*ID=([^;]*)")
SKIP_REMEDY = "Use --skip_bad to leave such genes out"


@dataclass(slots=True)
class CdsLine:
    """One CDS line."""

    start: int
    end: int
    strand: int
    phase: int | None
    """As written; None for "."."""
    id: str
    attributes: Attributes
    line: int
    marked: bool
    """The attributes say something out of the ordinary (partial, pseudo, exception ...)."""


@dataclass(slots=True)
class Parts:
    """The exons and CDS lines of one parent."""

    line: int
    exons: list[Span] = field(default_factory=list)
    cds: list[CdsLine] = field(default_factory=list)
    utrs: list[Span] = field(default_factory=list)
    stop_codons: list[CdsLine] = field(default_factory=list)
    strands: set[int] = field(default_factory=set)
    score: float | None = None
    """Of the first CDS line, when it has no parent."""
    recoded: bool = False
    """A child feature says that a stop codon is read as an amino acid."""


@dataclass(slots=True)
class Node:
    """A gene, a transcript, or something that may turn out to be one."""

    kind: str
    id: str
    spans: list[Span]
    """More than one when several lines share the ID."""
    strand: int
    score: float | None
    attributes: Attributes
    parents: list[str]
    line: int
    marked: bool
    """As in `CdsLine`."""


@dataclass(slots=True)
class ContigTable:
    """What the file says about one contig."""

    name: str
    line: int = 0
    """Where the file names it first."""
    nodes: dict[str, Node] = field(default_factory=dict)
    parts: dict[str, Parts] = field(default_factory=dict)
    orphans: dict[str, Parts] = field(default_factory=dict)
    """CDS lines without a parent, by their ID."""
    length: int | None = None
    has_directive: bool = False
    """The length is that of a ##sequence-region."""
    circular: bool = False
    genetic_code: int | None = None
    broken: set[str] = field(default_factory=set)
    """IDs with a bad line that was skipped: nothing is made of them."""


class Trouble:
    """What to do with a bad record: raise, or count it by cause."""

    def __init__(self, path: Path, skip_bad: bool) -> None:
        self.path, self.skip_bad = path, skip_bad
        self.skipped: dict[str, int] = {}

    def count(self, cause: str) -> None:
        """Count a record that is legal but cannot be expressed."""
        self.skipped[cause] = self.skipped.get(cause, 0) + 1

    def bad(self, cause: str, line: int, found: str, expected: str) -> None:
        """Count a bad record under `cause`, or raise.

        Raises:
            DataError: Bad records are not to be skipped.
        """
        if not self.skip_bad:
            raise DataError(found, expected=expected, path=self.path, line=line, remedy=SKIP_REMEDY)
        self.count(cause)


def parse_attributes(text: str) -> Attributes:
    """Parse column 9; a repeated key keeps its first value, text without "=" is dropped.

    Values stay escaped (a comma separates values, an escaped comma does not): `unescape` and `values` decode them.
    """
    if "; " in text:
        text = text.replace("; ", ";")
    pairs = [pair.split("=", 1) for pair in text.strip().split(";") if "=" in pair]
    pairs.reverse()
    return dict(pairs)


def unescape(text: str) -> str:
    """Decode %XX."""
    return unquote(text) if "%" in text else text


def values(text: str) -> list[str]:
    """Split a value at commas and decode its parts."""
    if "," not in text and "%" not in text:
        return [text] if text else []
    return [unescape(part) for part in text.split(",")]


def can_be_gene(kind: str) -> bool:
    """Whether column 3 names a gene or a transcript."""
    return is_gene_type(kind) or is_transcript_type(kind)


def is_transcript_type(kind: str) -> bool:
    """Whether column 3 names a transcript: mRNA, tRNA, transcript, V_gene_segment ..."""
    return kind.endswith(("RNA", "transcript", "gene_segment", "RNA_TE_gene"))


def has_marks(attributes: Attributes) -> bool:
    """Whether the attributes say something out of the ordinary (partial, pseudo, exception ...)."""
    return not _MARKS.isdisjoint(attributes)


def is_gene_type(kind: str) -> bool:
    """Whether column 3 names a gene: gene, pseudogene, ncRNA_gene, transposable_element_gene ..."""
    return kind.endswith("gene")


def _whole_number(text: str) -> int | None:
    """The number, if the text is plain digits of a length that makes sense."""
    return int(text) if text.isdigit() and text.isascii() and len(text) < 16 else None


class LineReader:
    """Sorts lines into tables."""

    def __init__(self, path: Path, trouble: Trouble) -> None:
        self.path, self.trouble = path, trouble
        self.tables: dict[str, ContigTable] = {}

    def read(self, lines: Iterable[str]) -> None:
        """Read all lines, up to ##FASTA."""
        names: dict[str, ContigTable] = {}  # by the name as it is written
        take = {"exon": self._exon, "CDS": self._cds, "stop_codon": self._stop_codon}
        take |= dict.fromkeys(UTR_TYPES, self._utr)
        for number, line in enumerate(lines, 1):
            if line.startswith(("#", ">")):
                if line.startswith((">", "##FASTA")):
                    return
                if line.startswith("##sequence-region"):
                    self._sequence_region(line, number)
                continue
            columns = line.rstrip("\n").split("\t")
            if len(columns) != 9:
                if line.strip():
                    self._bad_columns(line, len(columns), number)
                continue
            table = names.get(columns[0])
            if table is None:
                table = names[columns[0]] = self._table(unescape(columns[0]), number)
            span = self._span(columns, number)
            if span is not None:
                take.get(columns[2], self._other)(table, columns, span, number)

    def _table(self, name: str, number: int) -> ContigTable:
        return self.tables.setdefault(name, ContigTable(name, number))

    def _bad_columns(self, line: str, count: int, number: int) -> None:
        if number == 1 and line.startswith(("LOCUS ", "ID   ")):
            raise DataError("a GenBank or EMBL file", expected="GFF3", path=self.path)
        self.trouble.bad(
            "columns", number, f"{count} columns in {line.strip()[:40]!r}", "9 columns separated by tabs"
        )  # fmt: skip

    def _bad(self, cause: str, columns: list[str], number: int, found: str, expected: str) -> None:
        """Report a bad line; when it is skipped, whatever it belongs to goes with it."""
        self.trouble.bad(cause, number, found, expected)
        broken = self._table(unescape(columns[0]), number).broken
        own = None if columns[2] in ("exon", "CDS") else _ID.search(columns[8])
        for match in (own, _PARENT.search(columns[8])):
            broken.update(values(match.group(1)) if match else ())

    def _span(self, columns: list[str], number: int) -> Span | None:
        first, end = _whole_number(columns[3]), _whole_number(columns[4])
        if first is not None and end is not None and 0 < first <= end:
            return first - 1, end
        self._bad(
            "coordinates", columns, number, f"start {columns[3]!r}, end {columns[4]!r} of a {columns[2]}",
            "whole numbers with 1 <= start <= end",
        )  # fmt: skip
        return None

    def _strand(self, columns: list[str], number: int) -> int | None:
        strand = _STRANDS.get(columns[6])
        if strand is None:
            self._bad("strand", columns, number, f"strand {columns[6]!r}", "one of + - . ?")
        return strand

    def _sequence_region(self, line: str, number: int) -> None:
        words = line.split()
        length = _whole_number(words[3]) if len(words) == 4 else None
        if length is None:
            self.trouble.bad(
                "sequence-region", number, f"{line.strip()[:60]!r}", "'##sequence-region NAME 1 LENGTH'"
            )  # fmt: skip
            return
        table = self._table(unescape(words[1]), number)
        table.length, table.has_directive = length, True

    def _parts(self, table: ContigTable, parent: str, number: int) -> Parts:
        parts = table.parts.get(parent)
        if parts is None:
            parts = table.parts[parent] = Parts(number)
        return parts

    def _children(self, columns: list[str], number: int) -> tuple[list[str], int]:
        """The parents of an exon-like line, and its strand; no parents when the line is bad."""
        strand = self._strand(columns, number)
        found = _PARENT.search(columns[8])
        if found is None and strand is not None:
            if "Parent" not in columns[8] and ' "' in columns[8] and "=" not in columns[8]:
                raise DataError(
                    "attributes in the style of GTF", expected="GFF3 (key=value)", path=self.path,
                    line=number, remedy="Convert the file, for instance with 'gffread -o out.gff3 in.gtf'",
                )  # fmt: skip
            self._bad("no parent", columns, number, f"{columns[2]} without Parent", "Parent=ID")
        if found is None or strand is None:
            return [], 0
        return values(found.group(1)), strand

    def _exon(self, table: ContigTable, columns: list[str], span: Span, number: int) -> None:
        parents, strand = self._children(columns, number)
        for parent in parents:
            parts = self._parts(table, parent, number)
            parts.exons.append(span)
            parts.strands.add(strand)

    def _utr(self, table: ContigTable, columns: list[str], span: Span, number: int) -> None:
        parents, strand = self._children(columns, number)
        for parent in parents:
            parts = self._parts(table, parent, number)
            parts.utrs.append(span)
            parts.strands.add(strand)

    def _stop_codon(self, table: ContigTable, columns: list[str], span: Span, number: int) -> None:
        parents, strand = self._children(columns, number)
        for parent in parents:
            piece = CdsLine(*span, strand, None, "", {}, number, False)
            self._parts(table, parent, number).stop_codons.append(piece)

    def _cds(self, table: ContigTable, columns: list[str], span: Span, number: int) -> None:
        strand = self._strand(columns, number)
        if strand is None:
            return
        if not self._has_phase(columns, number):
            return
        attributes = parse_attributes(columns[8])
        if "transl_table" in attributes and not self._known_code(attributes, columns, number):
            return
        start, end = span
        name = unescape(attributes.get("ID", ""))
        marked = has_marks(attributes)
        phase = PHASES[columns[7]]
        parent_text = attributes.get("Parent")
        if parent_text is None:
            name = name or f"cds_line{number}"
            if name not in table.orphans:
                table.orphans[name] = Parts(number, score=self._score(columns, number))
            owners = [table.orphans[name]]
        else:
            owners = [self._parts(table, parent, number) for parent in values(parent_text)]
        for parts in owners:
            parts.strands.add(strand)
            parts.cds.append(CdsLine(start, end, strand, phase, name, attributes, number, marked))

    def _has_phase(self, columns: list[str], number: int) -> bool:
        if columns[7] in PHASES:
            return True
        self._bad("phase", columns, number, f"CDS phase {columns[7]!r}", "0, 1 or 2")
        return False

    def _known_code(self, attributes: Attributes, columns: list[str], number: int) -> bool:
        text = attributes["transl_table"]
        if text in _KNOWN_CODES:
            return True
        known = ", ".join(map(str, known_codes()))
        self._bad(
            "transl_table", columns, number, f"transl_table={text}", f"one of NCBI's: {known}"
        )
        return False

    def _other(self, table: ContigTable, columns: list[str], span: Span, number: int) -> None:
        kind = columns[2]
        attributes = parse_attributes(columns[8])
        if kind in _CONTIG_TYPES or "Is_circular" in attributes:
            self._contig(table, attributes, columns, span, number)
            return
        strand = self._strand(columns, number)
        if strand is None:
            return
        if kind.startswith("stop_codon_redefined"):
            for parent in values(attributes.get("Parent", "")):
                self._parts(table, parent, number).recoded = True
            return
        name = unescape(attributes.get("ID", "")) or f"{kind}_line{number}"
        node = table.nodes.get(name)
        if node is not None:
            if (kind, strand) != (node.kind, node.strand):
                self._check_repeat(node, columns, attributes, number)
            node.spans.append(span)
            return
        if "transl_table" in attributes and not self._known_code(attributes, columns, number):
            return
        score = self._score(columns, number)
        parents = values(attributes.get("Parent", ""))
        marked = has_marks(attributes)
        table.nodes[name] = Node(
            kind, name, [span], strand, score, attributes, parents, number, marked
        )

    def _check_repeat(
        self, node: Node, columns: list[str], attributes: Attributes, number: int
    ) -> None:
        """Complain of an ID that stands for two things; the parts of a trans-spliced gene may lie on two strands."""
        kind = columns[2]
        if not (can_be_gene(kind) or can_be_gene(node.kind)):
            return
        if kind == node.kind and "trans" in attributes.get("exception", ""):
            return
        self._bad(
            "duplicate ID", columns, number,
            f'ID "{node.id}" of this {kind} on strand {columns[6]} and of the {node.kind} in line {node.line}',
            "one ID for the lines of one feature, all on one strand",
        )  # fmt: skip

    def _score(self, columns: list[str], number: int) -> float | None:
        if columns[5] == ".":
            return None
        try:
            score = float(columns[5])
        except ValueError:
            score = math.nan
        if math.isfinite(score):
            return score
        self._bad("score", columns, number, f"score {columns[5]!r}", "a number or '.'")
        return None

    def _contig(
        self,
        table: ContigTable,
        attributes: Attributes,
        columns: list[str],
        span: Span,
        number: int,
    ) -> None:
        if span[0] != 0:
            return
        if not table.has_directive:
            table.length = max(span[1], table.length or 0)
        table.circular |= attributes.get("Is_circular", "").lower() == "true"
        if "transl_table" in attributes and self._known_code(attributes, columns, number):
            table.genetic_code = int(attributes["transl_table"])
