"""Read GenBank flat files into the same genes as GFF3; Biopython parses the records.

Genes are `gene` features with the mRNA, CDS and RNA features of the same /locus_tag (or else /gene)
on the same strand; an mRNA and a CDS are one transcript if they share a /transcript_id or else fit
each other. Features without a gene make one. `<` and `>` mark missing ends, /codon_start is the
phase, /transl_table the code; /ribosomal_slippage, /transl_except, /exception and order() are
exceptions. A join() that runs over the ends of a linear record is read as over the origin of a
circular one (an exception); any other order than that of the sequence is an exception too.

Example:
    for gene in parse_genbank(lines, path):
        print(gene.id, gene.start, gene.end)
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from genet5.genome.codes import known_codes
from genet5.genome.gene import Gene
from genet5.genome.io.annotation import Annotation, without_garbage_collection
from genet5.genome.io.feature_table import ContigTable, Span
from genet5.genome.io.genbank_genes import Builder, Feature, is_used
from genet5.genome.io.genbank_locus import repaired, run_together
from genet5.genome.io.read_options import DEFAULT_OPTIONS, ReadOptions
from genet5.genome.io.read_report import ReadReport
from genet5.genome.io.unique_ids import Names

if TYPE_CHECKING:
    from Bio.SeqFeature import SeqFeature
    from Bio.SeqRecord import SeqRecord

_KNOWN_CODES = frozenset(map(str, known_codes()))
_NO_FEATURES = frozenset({"source", "gap", "assembly_gap"})
_FEATURE = re.compile(r"     [^ \n]")


def parse_genbank(
    lines: Iterable[str], path: Path, options: ReadOptions = DEFAULT_OPTIONS
) -> Annotation:
    """Read all genes from the lines of a GenBank file; `path` is for messages."""
    report, names = ReadReport(path, options), Names()
    tables: dict[str, ContigTable] = {}
    genes: list[Gene] = []
    with without_garbage_collection():
        for first_line, text in _split(lines):
            record = _parse(text, first_line, report)
            if record is None:
                continue
            table = _table(record, first_line)
            if table.name in tables:
                report.reject(
                    "duplicate contig", first_line, f'record "{table.name}" for the second time',
                    "records of different names",
                )  # fmt: skip
                continue
            tables[table.name] = table
            features = _Locator(table, report).features(record, text, first_line)
            found = list(Builder(table, report, names).genes(features))
            found.sort(key=lambda gene: (gene.start, gene.end))
            report.summary.add_genes(found)
            genes += found
    return Annotation.of(tables.values(), genes, report)


def _split(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield each record's first line number and text."""
    held: list[str] = []
    first = 1
    for number, line in enumerate(lines, 1):
        if not held:
            if not line.strip():
                continue
            first = number
        held.append(line)
        if line.rstrip() == "//":
            yield first, "".join(held)
            held = []
    if held:
        yield first, "".join(held)


def _parse(text: str, first_line: int, report: ReadReport) -> SeqRecord | None:
    """Let Biopython read one record; whatever it raises on damaged text is a bad record."""
    from Bio import BiopythonWarning, SeqIO  # here: they cost other formats a third of a second

    found = f"record {text[:40].splitlines()[0]!r}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BiopythonWarning)
            records = list(SeqIO.parse(io.StringIO(repaired(text)), "genbank"))
    # Biopython has no errors of its own for damaged text, and its checks are asserts and look-ups
    # too: random damage ended in ValueError, AssertionError and IndexError. The message has them.
    except Exception as error:
        records, found = [], f"{found} that cannot be read ({error or type(error).__name__})"
    if len(records) == 1 and text.rstrip().endswith("//"):
        record: SeqRecord = records[0]
        return record
    expected = "a whole GenBank record, LOCUS to //"
    if run_together(text.partition("\n")[0]) is not None:
        expected += ", with a blank between name and length in its LOCUS line"
    report.reject("record", first_line, found, expected)
    return None


def _table(record: SeqRecord, line: int) -> ContigTable:
    name = record.id if record.id not in (None, "", ".", "<unknown id>") else record.name
    # "c.01" is no version, and VERSION drops its zero
    if re.sub(r"\.0+(?=\d+$)", ".", record.name) == name:
        name = record.name
    length = len(record.seq) if record.seq is not None else 0
    circular = record.annotations.get("topology") == "circular"
    return ContigTable(name, line, length=length or None, circular=circular)


class _Locator:
    """Turns Biopython's features into ours: one strand, 0-based spans, the origin unrolled."""

    def __init__(self, table: ContigTable, report: ReadReport) -> None:
        self.table, self.report = table, report

    def features(self, record: SeqRecord, text: str, first_line: int) -> Iterator[Feature]:
        """Yield the features that genes are made of."""
        lines = list(_feature_lines(text, first_line))
        if len(lines) != len(record.features):  # then the record is named
            lines = [first_line] * len(record.features)
        for feature, line in zip(record.features, lines, strict=True):
            if is_used(feature.type):
                yield from self._feature(feature, line)
            elif feature.type not in _NO_FEATURES:
                self.report.summary.other_features[feature.type] += 1

    def _feature(self, feature: SeqFeature, line: int) -> Iterator[Feature]:
        qualifiers = {key: " ".join(map(str, words)) for key, words in feature.qualifiers.items()}
        location = feature.location
        if location is None:
            self.report.reject("coordinates", line, f"location of a {feature.type}", "a location")
            return
        if any(part.ref is not None for part in location.parts):
            self.report.count("location in another record")
            return
        if location.strand is None or "trans_splicing" in qualifiers:
            self.report.count("trans-splicing")
            return
        spans = [(int(part.start), int(part.end)) for part in location.parts]
        if not all(0 <= start < end for start, end in spans):
            self.report.reject(
                "coordinates", line, f"location {location} of a {feature.type}", "start <= end"
            )
            return
        if not self._is_readable(feature.type, qualifiers, line):
            return
        from Bio.SeqFeature import AfterPosition, BeforePosition

        forward = location.strand > 0
        ordered = location.parts if forward else location.parts[::-1]
        if getattr(location, "operator", "join") == "order":
            qualifiers.setdefault("exception", "order")
        ascending = spans if forward else spans[::-1]
        unrolled, odd = self._unrolled(ascending)
        if odd:
            qualifiers.setdefault("exception", odd)
            self.report.summary.out_of_order += feature.type == "CDS"
        yield Feature(
            kind=feature.type,
            spans=unrolled,
            strand=location.strand,
            qualifiers=qualifiers,
            words={key: list(map(str, words)) for key, words in feature.qualifiers.items()},
            line=line,
            open_left=isinstance(ordered[0].start, BeforePosition),
            open_right=isinstance(ordered[-1].end, AfterPosition),
        )

    def _is_readable(self, kind: str, qualifiers: dict[str, str], line: int) -> bool:
        if kind != "CDS":
            return True
        start, code = qualifiers.get("codon_start", "1"), qualifiers.get("transl_table", "1")
        if start not in ("1", "2", "3"):
            self.report.reject("phase", line, f"/codon_start={start} of a CDS", "1, 2 or 3")
            return False
        if code not in _KNOWN_CODES:
            known = ", ".join(map(str, known_codes()))
            self.report.reject(
                "transl_table", line, f"/transl_table={code}", f"one of NCBI's: {known}"
            )
            return False
        return True

    def _unrolled(self, spans: list[Span]) -> tuple[list[Span], str]:
        """Spans that ascend, and the exception if they cannot in the order of the record.

        Those after the origin of a circular contig get its length added. So do those of a linear
        record that runs over its ends: it is a circular one, labelled wrongly.
        """
        length, odd = self.table.length, ""
        if length is None or spans == sorted(spans):
            return sorted(spans), odd
        if not self.table.circular:
            if not any(a[1] == length and b[0] == 0 for a, b in pairwise(spans)):
                return sorted(spans), "" if _overlap(spans) else "out_of_order"
            self.table.circular, odd = True, "origin_spanning"
        found: list[Span] = []
        shift = 0
        for start, end in spans:
            if found and start + shift < found[-1][0]:
                shift = length
            found.append((start + shift, end + shift))
        fits = found == sorted(found) and found[-1][1] - found[0][0] <= length
        return (found, odd) if fits else (sorted(spans), odd or "out_of_order")


def _overlap(spans: list[Span]) -> bool:
    """Whether spans overlap: a slippage backwards, which has a qualifier of its own."""
    ordered = sorted(spans)
    return any(right[0] < left[1] for left, right in pairwise(ordered))


def _feature_lines(text: str, first_line: int) -> Iterator[int]:
    """Line numbers of the feature keys."""
    inside = False
    for number, line in enumerate(text.splitlines(), first_line):
        if line.startswith("FEATURES"):
            inside = True
        elif inside and not line.startswith(" "):
            return
        elif inside and _FEATURE.match(line):
            yield number
