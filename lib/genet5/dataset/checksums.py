"""Checksums of a packed file: one of each record batch, and those of all that lies around them.

They stand between the last record batch and the footer of the Arrow file, where a reader of Arrow
does not look, so that any Arrow program opens the file:

    schema | record batches | end of stream | JSON, padded | its length, its CRC-32, MARK | footer

The JSON holds [bytes, CRC-32] of each piece from the beginning of the file on, and the CRC-32 of
footer and end. So each byte of the file is covered; the schema holds the header. A reader checks
schema and footer before Arrow sees them, and each record batch when it is first used: 3 GiB a
second and core.

Example:
    sink = SummedSink(file)
    writer = pa.ipc.new_file(sink, schema)
    writer.write_batch(batch)
    sink.end_piece()
    sink.hold()
    writer.close()
    sink.finish()
    Checksums.of(view).check(view, 1)
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

MARK = b"GT5SUMS\n"
_FRAME = struct.Struct("<II8s")
"""Length and CRC-32 of the JSON, MARK."""
_END = struct.Struct("<i6s")
"""How an Arrow file ends: length of the footer, magic."""
_SCHEMA_AT = 16
"""Magic (8), continuation mark (4), length of the schema (4); then the schema."""
_ALIGNMENT = 8


class DamageError(Exception):
    """The file's bytes are not those that were written; the text says which."""


class SummedSink(io.RawIOBase):
    """Passes on what an Arrow writer writes, and sums it up piece by piece.

    Args:
        out: Where all goes to.
    """

    def __init__(self, out: BinaryIO) -> None:
        super().__init__()
        self._out, self._head = out, bytearray()
        self._held: bytearray | None = None
        self._pieces: list[tuple[int, int]] = []
        self._position = self._begin = self._crc = 0

    def writable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Bytes written so far."""
        return self._position

    def write(self, data: ReadableBuffer, /) -> int:
        """Pass some bytes on."""
        piece = memoryview(data).cast("B")
        if self._held is not None:
            self._held += piece
        else:
            self._pass_on(piece)
        return len(piece)

    def end_piece(self) -> None:
        """Begin the next piece: the record batch is complete."""
        self._pieces.append((self._position - self._begin, self._crc))
        self._begin, self._crc = self._position, 0

    def hold(self) -> None:
        """Keep what follows, the file's end, until `finish`."""
        self._held = bytearray()

    def finish(self) -> None:
        """Write the checksums and the end that was held back."""
        assert self._held is not None
        held, self._held = bytes(self._held), None
        size, _ = _END.unpack(held[-_END.size :])
        body = len(held) - _END.size - size
        self._pass_on(memoryview(held)[:body])
        self.end_piece()
        values = {"pieces": self._pieces, "end": zlib.crc32(held[body:])}
        text = json.dumps(values, separators=(",", ":")).encode()
        text += b" " * (-len(text) % _ALIGNMENT)
        self._out.write(text + _FRAME.pack(len(text), zlib.crc32(text), MARK) + held[body:])

    def _pass_on(self, data: memoryview) -> None:
        """Write and sum up; the schema is a piece of its own."""
        if not self._pieces:
            self._head += data[: _SCHEMA_AT - len(self._head)]
            if len(self._head) == _SCHEMA_AT:
                end = _SCHEMA_AT + int.from_bytes(self._head[-4:], "little")
                if self._position < end <= self._position + len(data):
                    cut = end - self._position
                    self._put(data[:cut])
                    self.end_piece()
                    data = data[cut:]
        self._put(data)

    def _put(self, data: memoryview) -> None:
        self._out.write(data)
        self._crc = zlib.crc32(data, self._crc)
        self._position += len(data)


@dataclass(frozen=True, slots=True)
class Checksums:
    """What a packed file says of its own bytes."""

    pieces: tuple[tuple[int, int, int], ...]
    """Begin, end and CRC-32: of the schema, of each record batch, of the end of the stream."""

    @staticmethod
    def of(view: memoryview) -> Checksums | None:
        """Return a file's checksums; None if it holds none.

        Raises:
            DamageError: They, the schema or the footer are damaged.
        """
        end = len(view) - _END.size
        if end < 0:
            return None
        end -= _END.unpack(view[-_END.size :])[0]
        begin = end - _FRAME.size
        if begin < 0 or end > len(view) or view[end - len(MARK) : end] != MARK:
            return None
        length, crc, _ = _FRAME.unpack(view[begin:end])
        text = bytes(view[max(0, begin - length) : begin])
        if len(text) != length or zlib.crc32(text) != crc:
            raise DamageError("its checksums are damaged")
        values = json.loads(text)
        found = Checksums(tuple(_placed(values["pieces"])))
        if found.pieces[-1][1] != begin - length:
            raise DamageError("its parts do not fill the file")
        if zlib.crc32(view[end:]) != values["end"]:
            raise DamageError("its footer is damaged")
        found.check(view, 0)
        found.check(view, len(found.pieces) - 1)
        return found

    @property
    def num_batches(self) -> int:
        """Record batches of the file."""
        return len(self.pieces) - 2

    def check(self, view: memoryview, piece: int) -> None:
        """Compare a piece with its checksum; 0 is the schema, then come the record batches.

        Raises:
            DamageError: It differs.
        """
        begin, end, crc = self.pieces[piece]
        if zlib.crc32(view[begin:end]) != crc:
            what = "the header" if piece == 0 else f"bytes {begin:,} to {end:,}"
            raise DamageError(f"{what}: another checksum than was written")


def _placed(pieces: list[list[int]]) -> list[tuple[int, int, int]]:
    placed, begin = [], 0
    for length, crc in pieces:
        placed.append((begin, begin + length, crc))
        begin += length
    return placed
