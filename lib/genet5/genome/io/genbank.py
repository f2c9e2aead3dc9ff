"""Read GenBank flat files into the same genes as GFF3; Biopython parses the records.

Genes are `gene` features with the mRNA, CDS and RNA features of the same /locus_tag (or else /gene) on the same strand;
an mRNA and a CDS are one transcript if they share a /transcript_id or else fit each other. Features without a gene make
one. `<` and `>` say which ends are missing, /codon_start the phase, /transl_table the code, and /ribosomal_slippage,
/transl_except, /exception and order() that a CDS is not read by the rules.

Example:
    for gene in read_genbank(Path("genome.gbff.gz")).genes:
        print(gene.id, gene.start, gene.end)
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from genet5.genome.codes import known_codes
from genet5.genome.gene import Gene
from genet5.genome.io.annotation import Annotation, without_garbage_collection
from genet5.genome.io.feature_table import ContigTable, Span
from genet5.genome.io.files import damage_as_data_error, open_text
from genet5.genome.io.genbank_genes import Builder, Feature, is_used
from genet5.genome.io.record_errors import RecordErrors
from genet5.genome.io.unique_ids import Names

if TYPE_CHECKING:
    from Bio.SeqFeature import SeqFeature
    from Bio.SeqRecord import SeqRecord

_KNOWN_CODES = frozenset(map(str, known_codes()))
_FEATURE = re.compile(r"     [^ \n]")


def read_genbank(path: Path, *, skip_bad: bool = False) -> Annotation:
    """Read all genes of a plain, gzip or bgzip GenBank file; arguments and errors as those of `read_gff3`."""
    with damage_as_data_error(path), open_text(path) as lines:
        return parse_genbank(lines, path, skip_bad=skip_bad)


def parse_genbank(lines: Iterable[str], path: Path, *, skip_bad: bool = False) -> Annotation:
    """Read all genes from the lines of a GenBank file; `path` is for messages."""
    errors, names = RecordErrors(path, skip_bad), Names()
    tables: dict[str, ContigTable] = {}
    genes: list[Gene] = []
    with without_garbage_collection():
        for first_line, text in _split(lines):
            record = _parse(text, first_line, errors)
            if record is None:
                continue
            table = _table(record, first_line)
            if table.name in tables:
                errors.reject(
                    "duplicate contig", first_line, f'record "{table.name}" for the second time',
                    "records of different names",
                )  # fmt: skip
                continue
            tables[table.name] = table
            features = _Locator(table, errors).features(record, text, first_line)
            found = Builder(table, errors, names).genes(features)
            genes += sorted(found, key=lambda gene: (gene.start, gene.end))
    return Annotation.of(tables.values(), genes, errors)


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


def _parse(text: str, first_line: int, errors: RecordErrors) -> SeqRecord | None:
    """Let Biopython read one record; whatever it throws at damaged text is a bad record."""
    from Bio import BiopythonWarning, SeqIO  # here: they cost other formats a third of a second

    found = f"record {text[:40].splitlines()[0]!r}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BiopythonWarning)
            records = list(SeqIO.parse(io.StringIO(text), "genbank"))
    # Biopython names no errors of its own for damaged text, and its checks are asserts and look-ups too: random damage
    # ended in ValueError, AssertionError and IndexError. All of them go into the message.
    except Exception as error:
        records, found = [], f"{found} that cannot be read ({error or type(error).__name__})"
    if len(records) == 1 and text.rstrip().endswith("//"):
        record: SeqRecord = records[0]
        return record
    errors.reject("record", first_line, found, "a whole GenBank record, LOCUS to //")
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
    """Turns Biopython's features of one record into ours: one strand, 0-based spans, the origin unrolled."""

    def __init__(self, table: ContigTable, errors: RecordErrors) -> None:
        self.table, self.errors = table, errors

    def features(self, record: SeqRecord, text: str, first_line: int) -> Iterator[Feature]:
        """Yield the features that genes are made of."""
        lines = list(_feature_lines(text, first_line))
        if len(lines) != len(record.features):  # a record whose lines do not tell: name the record
            lines = [first_line] * len(record.features)
        for feature, line in zip(record.features, lines, strict=True):
            if is_used(feature.type):
                yield from self._feature(feature, line)

    def _feature(self, feature: SeqFeature, line: int) -> Iterator[Feature]:
        qualifiers = {key: " ".join(map(str, words)) for key, words in feature.qualifiers.items()}
        location = feature.location
        if location is None:
            self.errors.reject("coordinates", line, f"location of a {feature.type}", "a location")
            return
        if any(part.ref is not None for part in location.parts):
            self.errors.count("location in another record")
            return
        if location.strand is None or "trans_splicing" in qualifiers:
            self.errors.count("trans-splicing")
            return
        spans = [(int(part.start), int(part.end)) for part in location.parts]
        if not all(0 <= start < end for start, end in spans):
            self.errors.reject(
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
        yield Feature(
            kind=feature.type,
            spans=self._unrolled(spans if forward else spans[::-1]),
            strand=location.strand,
            qualifiers=qualifiers,
            line=line,
            open_left=isinstance(ordered[0].start, BeforePosition),
            open_right=isinstance(ordered[-1].end, AfterPosition),
        )

    def _is_readable(self, kind: str, qualifiers: dict[str, str], line: int) -> bool:
        if kind != "CDS":
            return True
        start, code = qualifiers.get("codon_start", "1"), qualifiers.get("transl_table", "1")
        if start not in ("1", "2", "3"):
            self.errors.reject("phase", line, f"/codon_start={start} of a CDS", "1, 2 or 3")
            return False
        if code not in _KNOWN_CODES:
            known = ", ".join(map(str, known_codes()))
            self.errors.reject(
                "transl_table", line, f"/transl_table={code}", f"one of NCBI's: {known}"
            )
            return False
        return True

    def _unrolled(self, spans: list[Span]) -> list[Span]:
        """Spans that ascend: those behind the origin of a circular contig get its length added."""
        length = self.table.length
        if not self.table.circular or length is None:
            return sorted(spans)
        found: list[Span] = []
        shift = 0
        for start, end in spans:
            if found and start + shift < found[-1][0]:
                shift = length
            found.append((start + shift, end + shift))
        fits = found == sorted(found) and found[-1][1] - found[0][0] <= length
        return found if fits else sorted(spans)


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
