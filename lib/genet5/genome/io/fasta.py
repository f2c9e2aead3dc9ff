"""Read and write FASTA.

`read_chunks` streams blocks of 1 MiB, whatever the length of lines and contigs, and works on whole
blocks (no loop over lines): a plain file is read at several hundred Mbp/s. `read_fasta` puts the
chunks of each contig together. Case is kept (it is the soft mask).

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
from typing import Protocol, TextIO

import numpy as np

from genet5.errors import DataError
from genet5.genome.io.files import damage_as_data_error, open_binary
from genet5.genome.sequence import DNA_LETTERS, AnyBases, Bases
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


class AnyContig(Protocol):
    """A contig in memory or on disk."""

    @property
    def name(self) -> str:
        """The header up to the first blank."""

    @property
    def bases(self) -> AnyBases:
        """ASCII bytes as in the file, without white space."""

    @property
    def description(self) -> str:
        """The rest of the header."""


@dataclass(frozen=True, slots=True)
class StoredContig:
    """One sequence of a genome on disk."""

    name: str
    """The header up to the first blank."""
    bases: AnyBases
    """Read when a span is asked for."""
    description: str = ""
    """The rest of the header."""


def read_fasta(path: Path) -> Iterator[Contig]:
    """Yield the contigs of a plain, gzip or bgzip FASTA file one by one, in the file's order.

    IUPAC letters, X and lower case are kept; an empty contig is yielded as such.

    Raises:
        DataError: The file is no FASTA or damaged, a letter is no DNA, or a name is missing or
            occurs twice.
    """
    header, bases = None, bytearray()
    for chunk in read_chunks(path):
        if isinstance(chunk, bytes):
            bases += chunk  # grows in place: 1.1 bytes a base where a join of chunks takes 2
            continue
        if header is not None:
            yield _contig(header, bases)
        header, bases = chunk, bytearray()
    if header is not None:
        yield _contig(header, bases)


def read_chunks(path: Path) -> Iterator[str | bytes]:
    """Yield a plain, gzip or bgzip FASTA file in small chunks, in the file's order.

    Yields:
        The header of each contig as text, without its ">"; then the contig's bases as bytes,
            without white space, some 1 MiB at a time.

    Raises:
        DataError: As `read_fasta`.
    """
    parser = _Parser(path)
    with damage_as_data_error(path), open_binary(path) as source:
        mark = codecs.BOM_UTF8
        while block := source.read(_BLOCK_BYTES):
            if b">" in block[block.rfind(b"\n") + 1 :]:
                block += source.readline()  # whole headers only
            yield from parser.feed(block.removeprefix(mark))
            mark = b""
    parser.finish()


def header_words(header: str) -> tuple[str, str]:
    """Split a header into the contig's name and its description."""
    name, *description = header.split(maxsplit=1)
    return name, "".join(description)


def _contig(header: str, text: bytearray) -> Contig:
    name, description = header_words(header)
    bases = np.frombuffer(text, dtype=np.uint8)
    bases.flags.writeable = False
    return Contig(name, bases, description)


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
    """Keeps across blocks what is needed to name a line."""

    path: Path
    names: set[str] = field(default_factory=set)
    lines: int = 0
    """Lines before the current part of the block."""
    at_line_start: bool = True

    def feed(self, block: bytes) -> Iterator[str | bytes]:
        """Take a block that ends in no header's midst; yield its headers and bases."""
        start = 0
        while start < len(block):
            if self.at_line_start and block[start] == ord(">"):
                end = _end_of_line(block, start)
                yield self._header(block[start + 1 : end])
                self.lines += 1
                start = end + 1
            else:
                found = block.find(b"\n>", start)
                end = len(block) if found < 0 else found + 1
                if bases := self._bases(block[start:end]):
                    yield bases
                start = end
                self.at_line_start = block.endswith(b"\n", 0, end)

    def finish(self) -> None:
        """Check that there was a contig."""
        if not self.names:
            raise DataError(
                "no sequence in the file",
                expected="FASTA",
                path=self.path,
                remedy="Is it the right file?",
            )

    def _header(self, header: bytes) -> str:
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
        return text

    def _bases(self, body: bytes) -> bytes:
        strange = body.translate(None, DNA_LETTERS + _SPACE)
        if not self.names and body.strip(_SPACE):
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
        self.lines += body.count(b"\n")
        return body.translate(None, _SPACE)

    def _error(self, found: str, expected: str, offset: int, remedy: str = "") -> DataError:
        return DataError(
            found, expected=expected, path=self.path, line=self.lines + offset, remedy=remedy
        )


def _end_of_line(block: bytes, start: int) -> int:
    end = block.find(b"\n", start)
    return len(block) if end < 0 else end
