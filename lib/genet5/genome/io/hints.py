"""Read hints as the field's programs write them, and write them as Augustus reads them.

GFF3 and GTF, plain or compressed: hints of Augustus, BRAKER and ProtHint (`intron`, `CDSpart`,
`start`, `stop`, with `mult=`, `src=`), junctions of portcullis (`intron`), alignments of miniprot
(`CDS`, `stop_codon`; introns lie between the parts of one parent), transcripts of StringTie
(introns lie between the exons of one transcript, multiplicity is the coverage). Other features are
passed over and counted. A start or stop hint that is no single codon says too little, and is passed
over, too.

Example:
    hints = list(read_hints(Path("hintsfile.gff")))
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TextIO

from genet5.errors import DataError
from genet5.genome.frames import strand_sign
from genet5.genome.hints import Hint, HintKind
from genet5.genome.io.attributes import Attributes, parse_attributes, unescape
from genet5.genome.io.contig_names import gff3_name
from genet5.genome.io.files import open_text
from genet5.genome.io.gtf_lines import parse_gtf_attributes

log = logging.getLogger(__name__)

_KINDS: dict[str, HintKind] = {
    "intron": "intron",
    "cds": "coding",
    "cdspart": "coding",
    "start": "start",
    "start_codon": "start",
    "stop": "stop",
    "stop_codon": "stop",
}
"""Feature, in small letters -> kind."""
_FEATURES: dict[HintKind, str] = {
    "intron": "intron", "coding": "CDSpart", "start": "start", "stop": "stop",
}  # fmt: skip
_STRANDS = {"+": 1, "-": -1, ".": 0, "?": 0}
_CODON = 3
_PLACE = re.compile(r"[0-9]{1,12}")
_MOST_READS = 1e9
"""A larger multiplicity is no count."""


@dataclass(frozen=True, slots=True)
class _Line:
    """One feature of a file."""

    contig: str
    feature: str
    start: int
    end: int
    score: float | None
    strand: int
    phase: int | None
    attributes: Attributes
    source: str

    @property
    def multiplicity(self) -> int:
        for key in ("mult", "cov"):
            text = self.attributes.get(key, "")
            if (number := _number(text)) is not None and 0 <= number <= _MOST_READS:
                return max(1, round(number))
        return 1

    @property
    def parent(self) -> str:
        return self.attributes.get("Parent") or self.attributes.get("transcript_id", "")


def read_hints(path: Path) -> Iterator[Hint]:
    """Yield the hints of a file; those between the parts of a transcript come last.

    Raises:
        DataError: The file cannot be read, or a line is no feature.
    """
    passed, count = Counter[str](), 0
    parts: dict[tuple[str, str, int, str], list[_Line]] = {}
    with open_text(path) as file:
        for line in _lines(file, path):
            kind = _KINDS.get(line.feature.lower())
            if line.parent and line.feature.lower() in ("exon", "cds"):
                key = line.contig, line.parent, line.strand, line.feature.lower()
                parts.setdefault(key, []).append(line)
            if kind is None or (kind in ("start", "stop") and line.end - line.start != _CODON):
                passed[line.feature] += 1
                continue
            count += 1
            yield _hint(line, kind, line.start, line.end, line.multiplicity)
    for key, lines in parts.items():
        if key[3] == "cds" and (*key[:3], "exon") in parts:
            continue
        for first, second in pairwise(sorted(lines, key=lambda line: line.start)):
            if first.end < second.start:
                count += 1
                number = min(first.multiplicity, second.multiplicity)
                yield _hint(first, "intron", first.end, second.start, number)
    others = ", ".join(f"{number} {name}" for name, number in passed.most_common(5))
    log.info("%s: %d hints%s", path, count, f" (without {others})" if others else "")


def write_hints(out: TextIO, hints: Iterable[Hint]) -> None:
    """Write hints as GFF for Augustus, BRAKER and `annotate --hints`.

    Args:
        out: Where to.
        hints: In the order in which they are written.
    """
    for hint in hints:
        attributes = f"mult={hint.multiplicity};src={hint.source or 'M'}"
        columns = (
            gff3_name(hint.contig), "GeneT5", _FEATURES[hint.kind], hint.start + 1, hint.end,
            "." if hint.score is None else f"{hint.score:g}",
            strand_sign(hint.strand) if hint.strand else ".",
            "." if hint.phase is None else hint.phase, attributes,
        )  # fmt: skip
        out.write("\t".join(map(str, columns)) + "\n")


def _hint(line: _Line, kind: HintKind, start: int, end: int, multiplicity: int) -> Hint:
    phase = line.phase if kind == "coding" else None
    source = line.attributes.get("src") or line.attributes.get("source") or line.source
    return Hint(line.contig, kind, start, end, line.strand, phase, multiplicity, source, line.score)


def _lines(file: Iterable[str], path: Path) -> Iterator[_Line]:
    for number, text in enumerate(file, 1):
        if text.startswith("##FASTA"):
            return
        if text.strip() and not text.startswith("#"):
            yield _parsed(text.rstrip("\r\n").split("\t"), path, number)


def _parsed(columns: list[str], path: Path, number: int) -> _Line:
    if len(columns) != 9:
        raise DataError(
            f"{len(columns)} columns", expected="nine, separated by tabs: GFF3 or GTF",
            path=path, line=number,
        )  # fmt: skip
    contig, source, feature, first, last, score, strand, phase, more = columns
    are_numbers = _PLACE.fullmatch(first) and _PLACE.fullmatch(last)
    if not are_numbers or not 1 <= int(first) <= int(last):
        raise DataError(
            f"place {first} to {last}", expected="1-based numbers, the smaller first",
            path=path, line=number,
        )  # fmt: skip
    if strand not in _STRANDS:
        raise DataError(f"strand {strand}", expected="+, - or .", path=path, line=number)
    return _Line(
        unescape(contig), feature, int(first) - 1, int(last), _number(score), _STRANDS[strand],
        int(phase) if phase in ("0", "1", "2") else None,
        parse_attributes(more) if "=" in more else parse_gtf_attributes(more), source,
    )  # fmt: skip


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
