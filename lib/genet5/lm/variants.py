"""Variants from VCF files and tables, checked against the genome; what cannot be scored is counted.

A record has one or more alternative alleles, each of which is scored or skipped by a named cause:
`.` (no allele), `*` (spanning deletion), symbolic alleles and breakends, letters other than A, C,
G, T, a contig that the genome lacks, and a REF that the genome does not have there. Order does not
matter: the genome is read at random. Positions are 0-based from here on.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from genet5.errors import DataError, clipped
from genet5.genome.io.contig_lines import whole_number
from genet5.genome.io.files import open_text
from genet5.lm.reference import ReferenceGenome
from genet5.lm.tables import read_rows

log = logging.getLogger(__name__)

Cause = Literal[
    "no alternative allele",
    "spanning deletion",
    "symbolic allele or breakend",
    "allele with letters other than A, C, G, T",
    "contig not in the genome",
    "REF differs from the genome",
    "not a single base",
    "no context",
    "alternative equal to REF",
]
MISMATCH: Cause = "REF differs from the genome"
_UNKNOWN: Cause = "contig not in the genome"
_FEWEST_ALLELES = 20
_COLUMNS = ("chrom", "pos", "ref", "alt")
_DNA = frozenset("ACGT")


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a file of variants."""

    contig: str
    """As the file names it."""
    start: int
    """First base of REF."""
    ref: str
    """Upper case."""
    alts: tuple[str, ...]
    """Upper case, as in the file."""
    line: int
    fields: Mapping[str, Any]
    """Of a table, the row's values; of a VCF, ID, and INFO by key."""
    text: str = ""
    """Of a VCF, the line."""


def is_vcf(path: Path) -> bool:
    """Whether a file's name is a VCF's."""
    name = path.name.lower()
    return name.endswith((".vcf", ".vcf.gz", ".vcf.bgz"))


def read_variants(path: Path) -> Iterator[Record]:
    """Yield the records of a VCF or a table.

    Raises:
        DataError: The file is neither, or a record is no variant.
    """
    return _read_vcf(path) if is_vcf(path) else _read_table(path)


def vcf_header(path: Path) -> list[str]:
    """Return the lines of a VCF before its records.

    Raises:
        DataError: There is no #CHROM line.
    """
    header = []
    with open_text(path) as lines:
        for line in lines:
            if not line.startswith("#"):
                break
            header.append(line.rstrip("\n"))
    if not header or not header[-1].startswith("#CHROM"):
        raise DataError("no #CHROM line", expected="a VCF file", path=path)
    return header


def _read_vcf(path: Path) -> Iterator[Record]:
    vcf_header(path)
    with open_text(path) as lines:
        for number, line in enumerate(lines, 1):
            if line.startswith("#") or not line.strip():
                continue
            words = line.rstrip("\n").split("\t")
            if len(words) < 8:
                raise DataError(
                    f"{len(words)} columns", expected="at least 8, tab-separated", path=path,
                    line=number,
                )  # fmt: skip
            info = {}
            for item in words[7].split(";"):
                key, equals, value = item.partition("=")
                info[key] = value if equals else "true"
            yield Record(
                contig=words[0],
                start=_position(words[1], path, number),
                ref=words[3].upper(),
                alts=tuple(words[4].upper().split(",")),
                line=number,
                fields={"id": words[2], **info},
                text=line.rstrip("\n"),
            )


def _read_table(path: Path) -> Iterator[Record]:
    for number, row in read_rows(path):
        lower = {name.lower().lstrip("#"): value for name, value in row.items()}
        missing = [name for name in _COLUMNS if name not in lower]
        if missing:
            raise DataError(
                f"no column {', '.join(missing)}",
                expected=f"the columns {', '.join(_COLUMNS)}", path=path,
                remedy="A VCF's name ends in .vcf or .vcf.gz",
            )  # fmt: skip
        yield Record(
            contig=str(lower["chrom"]),
            start=_position(lower["pos"], path, number),
            ref=str(lower["ref"]).upper(),
            alts=tuple(str(lower["alt"]).upper().split(",")),
            line=number,
            fields=row,
        )


def _position(value: Any, path: Path, line: int) -> int:
    text = str(value)
    position = whole_number(text)
    if not position:
        found = f"position {clipped(text)!r}"
        raise DataError(found, expected="a number from 1 on", path=path, line=line)
    return position - 1


class Skipped:
    """Counts alleles that are not scored, by cause.

    Args:
        path: The file, for messages.
        most_mismatches: Share of alleles whose REF may differ from the genome.
    """

    def __init__(self, path: Path, most_mismatches: float) -> None:
        self._path, self._most = path, most_mismatches
        self.counts: Counter[str] = Counter()
        self.first: dict[str, str] = {}
        self.alleles = 0

    def add(self, cause: Cause, record: Record, detail: str = "") -> None:
        """Count an allele."""
        self.counts[cause] += 1
        where = f"line {record.line}, {record.contig}:{record.start + 1}"
        self.first.setdefault(cause, f"{where}{detail}")

    def check(self, *, is_final: bool = True) -> None:
        """Refuse a genome that most alleles do not belong to.

        Raises:
            DataError: More alleles differ from the genome than may, or no contig is known.
        """
        if self.alleles < _FEWEST_ALLELES and not is_final:
            return
        wrong, unknown = self.counts[MISMATCH], self.counts[_UNKNOWN]
        if self.alleles and unknown == self.alleles:
            raise DataError(
                f"no contig of the variants is in the genome ({self.first[_UNKNOWN]})",
                path=self._path, remedy="Is it the right genome?",
            )  # fmt: skip
        if wrong > self._most * self.alleles and (wrong > 1 or self._most == 0):
            raise DataError(
                f"{wrong} of {self.alleles} alleles have a REF that is not in the genome, the"
                f" first in {self.first[MISMATCH]}",
                expected=f"at most {100 * self._most:g} % (--most_mismatches)", path=self._path,
                remedy="Is it the right assembly?",
            )  # fmt: skip

    def report(self) -> None:
        """Log one line for each cause."""
        for cause, count in self.counts.most_common():
            log.warning("skipped %d alleles: %s (first: %s)", count, cause, self.first[cause])


def scorable(
    record: Record, genome: ReferenceGenome, skipped: Skipped
) -> tuple[str, list[str | None]]:
    """Return the genome's name of a record's contig, and its alleles: None where one is skipped."""
    skipped.alleles += len(record.alts)
    contig = genome.find(record.contig)
    alts = [_checked(alt, record, skipped) for alt in record.alts]
    if contig is None:
        return "", _all_skipped(alts, _UNKNOWN, record, skipped)
    found = genome.bases(contig, record.start, record.start + len(record.ref))
    letters = found.tobytes().decode("ascii").upper()
    if letters != record.ref:
        detail = f": REF {record.ref[:20]}, genome {letters[:20] or 'ends before'}"
        return contig, _all_skipped(alts, MISMATCH, record, skipped, detail)
    if not set(record.ref) <= _DNA:
        cause: Cause = "allele with letters other than A, C, G, T"
        return contig, _all_skipped(alts, cause, record, skipped)
    return contig, alts


def _checked(alt: str, record: Record, skipped: Skipped) -> str | None:
    cause: Cause | None = None
    if alt in (".", ""):
        cause = "no alternative allele"
    elif alt == "*":
        cause = "spanning deletion"
    elif set(alt) & set("<>[]."):
        cause = "symbolic allele or breakend"
    elif not set(alt) <= _DNA:
        cause = "allele with letters other than A, C, G, T"
    elif alt == record.ref:
        cause = "alternative equal to REF"
    if cause is None:
        return alt
    skipped.add(cause, record)
    return None


def _all_skipped(
    alts: list[str | None], cause: Cause, record: Record, skipped: Skipped, detail: str = ""
) -> list[str | None]:
    for alt in alts:
        if alt is not None:
            skipped.add(cause, record, detail)
    return [None] * len(alts)
