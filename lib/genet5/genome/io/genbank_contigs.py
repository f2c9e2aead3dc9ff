"""Read the sequences of GenBank flat files, line by line; `genbank` reads the genes.

The ORIGIN block is lower case throughout: that is no soft mask, so bases come in upper case. The
description of a circular record ends in `[topology=circular]`, as NCBI writes it in FASTA headers.

Example:
    for contig in read_genbank_contigs(Path("genome.gbff.gz")):
        print(contig.name, len(contig.bases))
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from genet5.errors import DataError
from genet5.genome.io.contig_lines import whole_number
from genet5.genome.io.fasta import Contig
from genet5.genome.io.files import damage_as_data_error, open_text
from genet5.genome.io.genbank_locus import run_together, split_name

_LETTERS = frozenset("ACGTUNRYSWKMBDHVX")
_NOT_LETTERS = str.maketrans("", "", "0123456789 \t\r\n")


def read_genbank_contigs(path: Path) -> Iterator[Contig]:
    """Yield the sequence of each record, named as `parse_genbank` names its contig.

    Raises:
        DataError: A record is torn, has no sequence (masters of shotgun projects), or another
            length than its LOCUS line.
    """
    with damage_as_data_error(path), open_text(path) as lines:
        yield from _records(lines, path)


def _records(lines: Iterable[str], path: Path) -> Iterator[Contig]:
    record: _Record | None = None
    number = 0
    for number, line in enumerate(lines, 1):
        if line.startswith("LOCUS"):
            record = _Record(line, number, path)
        elif record is None:
            if line.strip():
                raise DataError(
                    f"line {line[:40].strip()!r}", expected="LOCUS (a GenBank record)", path=path,
                    line=number,
                )  # fmt: skip
        elif line.startswith("//"):
            yield record.contig()
            record = None
        else:
            record.add(line, number)
    if record is not None:
        raise DataError(
            f"record {record.name!r} ends without //", path=path, line=number,
            remedy="Download it again",
        )  # fmt: skip


class _Record:
    """A record that is being read."""

    def __init__(self, locus: str, number: int, path: Path) -> None:
        words = locus.split()
        word = run_together(locus)
        self.run_together = word is not None
        """The name has the length at its end, which is not known before the sequence."""
        if word is not None:
            words[1:2] = [word, "0"]
        length = whole_number(words[2]) if len(words) > 2 else None
        if length is None:
            raise DataError(
                f"line {locus[:60].strip()!r}", expected="LOCUS NAME LENGTH bp ...", path=path,
                line=number,
            )  # fmt: skip
        self.name, self.length = words[1], length
        self.path, self.line = path, number
        self.circular = "circular" in words[3:]
        self.title: list[str] = []
        self.bases: list[str] = []
        self.section = ""

    def add(self, line: str, number: int) -> None:
        """Take one more line."""
        if not line.startswith(" "):
            self.section = line.split(maxsplit=1)[0] if line.strip() else ""
            if self.section == "VERSION" and len(line.split()) > 1:
                self.name, self.run_together = line.split()[1], False
        elif self.section == "ORIGIN":
            bases = line.translate(_NOT_LETTERS).upper()
            strange = set(bases) - _LETTERS
            if strange:
                raise DataError(
                    f"letter {min(strange)!r} in a sequence", expected="DNA letters (IUPAC codes)",
                    path=self.path, line=number,
                )  # fmt: skip
            self.bases.append(bases)
        if self.section == "DEFINITION":
            self.title.append(line.removeprefix("DEFINITION").strip())

    def contig(self) -> Contig:
        """The sequence."""
        text = "".join(self.bases)
        if self.run_together:
            self.length = len(text)
            self.name = split_name(self.name, len(text)) or self.name
        if len(text) != self.length:
            raise DataError(
                f"record {self.name} has {len(text)} bases", expected=f"{self.length}, as in LOCUS",
                path=self.path, line=self.line,
                remedy="" if text else "A record that lists others has no sequence: use those",
            )  # fmt: skip
        bases = np.frombuffer(text.encode("ascii"), dtype=np.uint8)
        title = " ".join(self.title).rstrip(".")
        if self.circular:
            title = f"{title} [topology=circular]".strip()
        return Contig(self.name, bases, title)
