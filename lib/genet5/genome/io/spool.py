"""A genome on disk, read by spans: what is annotated is never held in memory.

`GenomeSpool` reads a FASTA file once and writes headers and bases, without line ends, to a
temporary file (TMPDIR) that has no name: nothing is left of it after a kill. It costs one byte of
disk per base and 16 bytes of memory per contig. Its contigs have the form of those in memory, but
their bases are read when a span is asked for, some microseconds each.

Example:
    >>> from genet5.genome.io.fasta import write_fasta
    >>> path = Path(tempfile.mkdtemp(), "genome.fa")
    >>> write_fasta(path, [("chr1 circular=true", "ACGTacgtNN"), ("chr2", "GG")])
    >>> with GenomeSpool.read(path) as genome:
    ...     chr1 = genome[0]
    ...     print(len(genome), genome.num_bases, chr1.name, chr1.bases[2:6].tobytes())
    2 12 chr1 b'GTac'
"""

from __future__ import annotations

import os
import tempfile
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np

from genet5.genome.io.fasta import StoredContig, header_words, read_chunks
from genet5.genome.io.files import room_for_copy
from genet5.genome.sequence import Bases

_BUFFER_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class SpooledBases:
    """A contig's bases on disk: `len` and slices of step 1, as those of an array."""

    descriptor: int
    offset: int
    length: int

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, span: slice) -> Bases:
        start, end, _ = span.indices(self.length)
        return np.frombuffer(self._read(start, max(end, start)), dtype=np.uint8)

    def _read(self, start: int, end: int) -> bytes:
        parts, at = [], start
        while at < end:  # one call gives 2 GiB at most
            parts.append(os.pread(self.descriptor, end - at, self.offset + at))
            if not parts[-1]:
                raise OSError("the copy of the genome in TMPDIR is shorter than it was")
            at += len(parts[-1])
        return parts[0] if len(parts) == 1 else b"".join(parts)


class GenomeSpool:
    """The contigs of a genome in a nameless temporary file; a context manager."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(buffering=_BUFFER_BYTES)  # noqa: SIM115
        self._headers, self._bases = array("q"), array("q")
        self._end = 0

    @classmethod
    def read(cls, path: Path) -> Self:
        """Copy a FASTA file, plain, gzip or bgzip.

        Raises:
            DataError: As `read_fasta`; or there is no room for the copy.
        """
        spool = cls()
        try:
            with room_for_copy(path):
                for chunk in read_chunks(path):
                    if isinstance(chunk, str):
                        spool.begin(chunk)
                    else:
                        spool.add(chunk)
                spool.flush()
        except BaseException:
            spool.close()
            raise
        return spool

    def begin(self, header: str) -> None:
        """Begin a contig; its bases follow."""
        self._headers.append(self._end)
        self._write(header.encode())
        self._bases.append(self._end)

    def add(self, bases: bytes) -> None:
        """Add bases to the last contig."""
        self._write(bases)

    def flush(self) -> None:
        """Make all that was added readable."""
        self._file.flush()

    def close(self) -> None:
        """Remove the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._headers)

    def __iter__(self) -> Iterator[StoredContig]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> StoredContig:
        start, end = self._headers[index], self._bases[index]
        header = os.pread(self._file.fileno(), end - start, start)
        name, description = header_words(header.decode())
        bases = SpooledBases(self._file.fileno(), end, self._length(index))
        return StoredContig(name, bases, description)

    def part(self, index: int, start: int, end: int) -> StoredContig:
        """Return an interval of a contig as a contig of its own, of the same name."""
        whole = self[index]
        offset = self._bases[index] + start
        bases = SpooledBases(self._file.fileno(), offset, end - start)
        return StoredContig(whole.name, bases, whole.description)

    def lengths(self) -> Iterable[int]:
        """Yield the contigs' lengths."""
        return (self._length(index) for index in range(len(self)))

    @property
    def num_bases(self) -> int:
        """Bases of all contigs."""
        return sum(self.lengths())

    def _length(self, index: int) -> int:
        is_last = index + 1 == len(self)
        return (self._end if is_last else self._headers[index + 1]) - self._bases[index]

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._end += len(data)
