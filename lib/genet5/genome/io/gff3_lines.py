"""Read the lines of one contig of a GFF3 file into a table; `gff3_genes` makes genes of the table.

A line is kept only when it can belong to a gene: gene-like and transcript-like features, exons,
CDS, UTRs and stop codons. Lines may come in any order (a child before its parent). All coordinates
leave this module 0-based half-open. Attributes are parsed here, without a library. The work per
line is one split by tabs, and one look-up of what it belongs to: the lines of a CDS share column 9,
those of a transcript the value of Parent, and each is parsed once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from genet5.errors import DataError
from genet5.genome.codes import known_codes
from genet5.genome.io.attributes import (
    Attributes,
    has_marks,
    is_trans_spliced,
    parse_attributes,
    unescape,
    unquoted,
    values,
)
from genet5.genome.io.feature_table import CdsLine, ContigTable, Node, Parts, Span
from genet5.genome.io.feature_types import CONTIG_TYPES, UTR_TYPES, can_be_gene
from genet5.genome.io.read_report import ReadReport, bad_columns

Taker: TypeAlias = Callable[[list[str], Span, int], None]
"""Takes a line: its columns, its span, its number."""

_PARENT = re.compile(r"(?:^|;)\s*Parent\s*=([^;]*)")
STRANDS = {"+": 1, "-": -1, ".": 0, "?": 0}
"""Column 7."""
PHASES = {"0": 0, "1": 1, "2": 2, ".": None}
"""Column 8 of a CDS line; "." is not known."""
_BEYOND_ANY_CONTIG = 10**15
_KNOWN_CODES = frozenset(map(str, known_codes()))
_ID = re.compile(r"(?:^|;)\s*ID\s*=([^;]*)")
_OWNER_KEYS = (
    "ID", "transcript_id", "transcriptId", "locus_tag", "protein_id", "proteinId", "gene_id",
    "geneID", "locus",
)  # fmt: skip
"""What the lines of one CDS without a parent share, the best first."""


@dataclass(frozen=True, slots=True)
class _CdsOwner:
    """What CDS lines with the same column 9 belong to."""

    id: str
    attributes: Attributes
    marked: bool
    parts: list[Parts]


class LineReader:
    """Sorts the lines of one contig into its table."""

    def __init__(self, table: ContigTable, report: ReadReport) -> None:
        self.table, self.report = table, report
        self._owners: dict[str, _CdsOwner] = {}
        """By column 9."""
        self._parts_of: dict[str, list[Parts]] = {}
        """By the value of Parent."""

    def read(self, lines: Iterable[tuple[int, str]]) -> None:
        """Read all lines, numbered as in the file."""
        take, other = self._takers(), self._other
        for number, line in lines:
            if line[0] == "#":
                continue
            columns = line.rstrip("\n ").split("\t")
            if len(columns) != 9:
                bad_columns(self.report, line, len(columns), number)
                continue
            if columns[8][:1] == '"':
                columns[8] = unquoted(columns[8])
            span = self._span(columns, number)
            if span is not None:
                take.get(columns[2], other)(columns, span, number)

    def _takers(self) -> Mapping[str, Taker]:
        """The methods for lines of each type (column 3); `_other` is for all other types."""
        parts = dict.fromkeys(("exon", "stop_codon", *UTR_TYPES), self._take_part)
        return {"CDS": self._cds} | parts

    def _bad(self, cause: str, columns: list[str], number: int, found: str, expected: str) -> None:
        """Report a bad line; when it is skipped, whatever it belongs to goes with it."""
        self.report.reject(cause, number, found, expected)
        own = None if columns[2] in ("exon", "CDS") else _ID.search(columns[8])
        for match in (own, _PARENT.search(columns[8])):
            self.table.broken.update(values(match.group(1).strip()) if match else ())

    def _span(self, columns: list[str], number: int) -> Span | None:
        first, last = columns[3], columns[4]
        text = first + last
        if text.isdecimal() and text.isascii() and first and last and len(text) < 31:
            start, end = int(first) - 1, int(last)
            if 0 <= start < end < _BEYOND_ANY_CONTIG:
                return start, end
        self._bad(
            "coordinates", columns, number, f"start {first!r}, end {last!r} of a {columns[2]}",
            "whole numbers with 1 <= start <= end",
        )  # fmt: skip
        return None

    def _strand(self, columns: list[str], number: int) -> int | None:
        strand = STRANDS.get(columns[6])
        if strand is None:
            self._bad("strand", columns, number, f"strand {columns[6]!r}", "one of + - . ?")
        return strand

    def _parts(self, parents: str, number: int) -> list[Parts]:
        """The parts of each of the parents in the value of Parent."""
        table, found = self.table.parts, []
        for name in values(parents.strip()):
            parts = table.get(name)
            if parts is None:
                parts = table[name] = Parts(number)
            found.append(parts)
        self._parts_of[parents] = found
        return found

    def _take_part(self, columns: list[str], span: Span, number: int) -> None:
        """Take an exon, UTR or stop codon."""
        strand, text = STRANDS.get(columns[6]), columns[8]
        at = text.find("Parent=")
        if at == 0 or (at > 0 and text[at - 1] == ";"):  # faster than a regular expression
            end = text.find(";", at)
            parents: str | None = text[at + 7 : end if end > 0 else None]
        else:
            match = _PARENT.search(text)
            parents = match.group(1) if match else None
        if strand is None or parents is None:
            self._explain(columns, number)
            return
        kind = columns[2]
        for parts in self._parts_of.get(parents) or self._parts(parents, number):
            parts.strands.add(strand)
            if kind == "exon":
                parts.exons.append(span)
            elif kind == "stop_codon":
                parts.stop_codons.append(CdsLine(*span, strand, None, "", {}, number, False))
            else:
                parts.utrs.append(span)

    def _explain(self, columns: list[str], number: int) -> None:
        """Report what is wrong with an exon-like line."""
        if self._strand(columns, number) is None:
            return
        if "Parent" not in columns[8] and ' "' in columns[8] and "=" not in columns[8]:
            raise DataError(
                "attributes in the style of GTF", expected="GFF3 (key=value)",
                path=self.report.path, line=number,
                remedy="Convert the file, for instance with 'gffread -o out.gff3 in.gtf'",
            )  # fmt: skip
        self._bad("no parent", columns, number, f"{columns[2]} without Parent", "Parent=ID")

    def _cds(self, columns: list[str], span: Span, number: int) -> None:
        strand, phase = STRANDS.get(columns[6]), columns[7]
        if strand is None or phase not in PHASES:
            if self._strand(columns, number) is not None:
                self._has_phase(columns, number)
            return
        owner = self._owners.get(columns[8]) or self._cds_owner(columns, number)
        if owner is None:
            return
        start, end = span
        for parts in owner.parts:
            parts.strands.add(strand)
            parts.cds.append(
                CdsLine(
                    start,
                    end,
                    strand,
                    PHASES[phase],
                    owner.id,
                    owner.attributes,
                    number,
                    owner.marked,
                )
            )

    def _cds_owner(self, columns: list[str], number: int) -> _CdsOwner | None:
        """Parse column 9 of a CDS line, and find what the line belongs to."""
        attributes = parse_attributes(columns[8])
        if not attributes and columns[8].strip(". "):
            self._bad(
                "attributes", columns, number, f"attributes {columns[8][:60]!r} of a CDS",
                'key=value (GFF3) or key "value" (GTF)',
            )  # fmt: skip
            return None
        if "transl_table" in attributes and not self._known_code(attributes, columns, number):
            return None
        parents = attributes.get("Parent") or attributes.get("Derives_from")
        marked = has_marks(attributes)
        name = unescape(attributes.get("ID", ""))
        if parents:
            owner = _CdsOwner(name, attributes, marked, self._parts(parents, number))
        else:
            owner = self._orphan(attributes, marked, columns, number)
            if not owner.id:
                return owner
        self._owners[columns[8]] = owner
        return owner

    def _orphan(
        self, attributes: Attributes, marked: bool, columns: list[str], number: int
    ) -> _CdsOwner:
        """The CDS that a line without a parent belongs to: that of the same ID, locus_tag ..."""
        orphans = self.table.orphans
        keys = (attributes[key] for key in _OWNER_KEYS if attributes.get(key))
        name = unescape(next(keys, ""))
        key = name or f"cds_line{number}"
        parts = orphans.get(key)
        if parts is None:
            parts = orphans[key] = Parts(number, score=self._score(columns, number))
        return _CdsOwner(name, attributes, marked, [parts])

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

    def _other(self, columns: list[str], span: Span, number: int) -> None:
        table = self.table
        kind = columns[2]
        attributes = parse_attributes(columns[8])
        if kind in CONTIG_TYPES or "Is_circular" in attributes:
            self._contig(attributes, columns, span, number)
            return
        strand = self._strand(columns, number)
        if strand is None:
            return
        if kind.startswith("stop_codon_redefined"):
            for parts in self._parts(attributes.get("Parent", ""), number):
                parts.recoded = True
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
        """Reject an ID of two features; the parts of a trans-spliced gene may differ in strand."""
        kind = columns[2]
        if not (can_be_gene(kind) or can_be_gene(node.kind)):
            return
        if kind == node.kind and is_trans_spliced(attributes):
            return
        self._bad(
            "duplicate ID", columns, number,
            f'ID "{node.id}" of this {kind} on strand {columns[6]} and of the {node.kind} '
            f"in line {node.line}",
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

    def _contig(self, attributes: Attributes, columns: list[str], span: Span, number: int) -> None:
        table = self.table
        if span[0] != 0:
            return
        if not table.has_directive:
            table.length = max(span[1], table.length or 0)
        table.circular |= attributes.get("Is_circular", "").lower() == "true"
        if "transl_table" in attributes and self._known_code(attributes, columns, number):
            table.genetic_code = int(attributes["transl_table"])
