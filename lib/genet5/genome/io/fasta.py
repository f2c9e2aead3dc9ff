"""Read and write FASTA.

The reader streams blocks of 1 MiB and works on whole blocks (no loop over lines): a contig costs
one byte of memory per base, and a plain file is read at several hundred Mbp/s. Case is kept (it is
the soft mask).

Example:
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "genome.fa.gz")
    >>> write_fasta(path, [("chr1 a description", "ACGTacgtNN")])
    >>> for contig in read_fasta(path):
    ...     print(contig.name, len(contig.bases), contig.description)
    chr1 10 a description
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import numpy as np

from genet5.errors import DataError
from genet5.genome.io.files import damage_as_data_error, open_binary
from genet5.genome.sequence import DNA_LETTERS, Bases
from genet5.outputs import atomic_writer

_SPACE = b" \t\r\n\v\f"
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Contig:
    """One sequence of a genome."""

    name: str
    """The header up to the first blank."""
    bases: Bases
    """(L,) ASCII bytes as in the file, without white space; read-only."""
    description: str = ""
    """The rest of the header."""


def read_fasta(path: Path) -> Iterator[Contig]:
    """Yield the contigs of a plain, gzip or bgzip FASTA file one by one, in the file's order.

    IUPAC letters, X and lower case are kept; an empty contig is yielded as such.

    Raises:
        DataError: The file is no FASTA or damaged, a letter is no DNA, or a name is missing or
            occurs twice.
    """
    parser = _Parser(path)
    with damage_as_data_error(path), open_binary(path) as source:
        mark = codecs.BOM_UTF8
        while block := source.read(_BLOCK_BYTES):
            block += source.readline()  # whole lines only
            yield from parser.feed(block.removeprefix(mark))
            mark = b""
    yield from parser.finish()


def write_fasta(
    out: Path | TextIO, records: Iterable[tuple[str, str]], width: int | None = 60
) -> None:
    """Write (header, sequence) pairs, `width` letters to a line (None: one line each)."""
    if isinstance(out, Path):
        with atomic_writer(out) as stream:
            write_fasta(stream, records, width)
        return
    for header, sequence in records:
        step = width or max(len(sequence), 1)
        lines = (sequence[i : i + step] for i in range(0, len(sequence), step))
        out.write(f">{header}\n" + "".join(f"{line}\n" for line in lines))


@dataclass
class _Parser:
    """Keeps the current contig across blocks."""

    path: Path
    header: str | None = None
    parts: list[bytes] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    lines: int = 0
    """Lines before the current part of the block."""

    def feed(self, block: bytes) -> Iterator[Contig]:
        """Take a block of whole lines; yield the contigs that it completes."""
        start = 0
        while start < len(block):
            if block[start] == ord(">"):
                yield from self._complete()
                end = _end_of_line(block, start)
                self._begin(block[start + 1 : end])
                self.lines += 1
                start = end + 1
            else:
                found = block.find(b"\n>", start)
                end = len(block) if found < 0 else found + 1
                self._add(block[start:end])
                start = end

    def finish(self) -> Iterator[Contig]:
        """Yield the last contig."""
        if self.header is None:
            raise DataError(
                "no sequence in the file",
                expected="FASTA",
                path=self.path,
                remedy="Is it the right file?",
            )
        yield from self._complete()

    def _begin(self, header: bytes) -> None:
        text = header.decode("utf-8", "replace").strip()
        name = text.split(maxsplit=1)[0] if text else ""
        if not name:
            raise self._error("a header without a name", "'>NAME'", 1, "Name the sequence")
        if "\r" in text:
            raise self._error(
                "line ends of old Macintosh (CR)", "LF or CRLF", 1, "Convert the file"
            )
        if name in self.names:
            raise self._error(
                f"contig {name!r} for the second time", "names that occur once", 1,
                "Rename or remove one of them",
            )  # fmt: skip
        self.names.add(name)
        self.header = text

    def _add(self, body: bytes) -> None:
        strange = body.translate(None, DNA_LETTERS + _SPACE)
        if self.header is None and body.strip(_SPACE):
            line = 1 + body[: len(body) - len(body.lstrip(_SPACE))].count(b"\n")
            found = body.split(maxsplit=1)[0][:20].decode("utf-8", "replace")
            raise self._error(
                f"text {found!r} before the first header",
                "'>NAME' (FASTA)",
                line,
                "Is this a FASTA file?",
            )
        if strange:
            letter = strange[:1]
            line = 1 + body[: body.index(letter)].count(b"\n")
            raise self._error(
                f"letter {letter.decode('latin-1')!r} in a sequence",
                "DNA letters (IUPAC codes, X)",
                line,
                "Is this a DNA file? Take out gaps and stop signs",
            )
        self.parts.append(body.translate(None, _SPACE))
        self.lines += body.count(b"\n")

    def _complete(self) -> Iterator[Contig]:
        if self.header is not None:
            bases = np.frombuffer(b"".join(self.parts), dtype=np.uint8)
            name, *description = self.header.split(maxsplit=1)
            self.parts.clear()
            yield Contig(name, bases, "".join(description))

    def _error(self, found: str, expected: str, offset: int, remedy: str = "") -> DataError:
        return DataError(
            found, expected=expected, path=self.path, line=self.lines + offset, remedy=remedy
        )


def _end_of_line(block: bytes, start: int) -> int:
    end = block.find(b"\n", start)
    return len(block) if end < 0 else end
