"""TensorFlow's record files of examples, without TensorFlow.

A record is its length (8 bytes, little-endian), a checksum of these, the data, and a checksum of
the data; a checksum is CRC-32C, rotated by 15 bits, plus a constant. The data are a message
`tf.train.Example` in the wire format of protocol buffers: features by name, each a list of bytes,
of floats or of whole numbers, of which bytes and numbers are read.

Example:
    for features in read_examples(Path("record_0.tfrecord")):
        features["x"]                                      # (8192,) int64
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from genet5.errors import FormatError

Value = NDArray[np.int64] | tuple[bytes, ...]
Fields = Iterator[tuple[int, int | memoryview]]

_ROTATED_BY, _ADDED = 15, 0xA282EAD8
_LONGEST = 1 << 28
"""Bytes of a record; a longer one is no window of DNA, but damage."""
_BYTES, _INTEGERS = 1, 3
"""Fields of `tf.train.Feature`."""


def read_examples(path: Path) -> Iterator[dict[str, Value]]:
    """Yield the features of each example of a file.

    Raises:
        FormatError: The file is cut off or damaged, or holds no examples; the record is named.
    """
    with path.open("rb") as file:
        number = 0
        while (data := _record(file, path, number)) is not None:
            try:
                features = dict(_features(memoryview(data)))
            except (IndexError, ValueError, TypeError) as error:
                raise FormatError(
                    f"record {number}: {error}", expected="a tf.train.Example", path=path
                ) from error
            yield features
            number += 1


def masked_checksum(data: bytes) -> int:
    """Return the checksum that follows data."""
    import google_crc32c

    crc = int(google_crc32c.value(data))
    return ((crc >> _ROTATED_BY | crc << 32 - _ROTATED_BY) + _ADDED) & 0xFFFFFFFF


def _record(file: BinaryIO, path: Path, number: int) -> bytes | None:
    head = file.read(12)
    if not head:
        return None
    length, checksum = struct.unpack("<QI", head) if len(head) == 12 else (0, 0)
    if len(head) < 12 or masked_checksum(head[:8]) != checksum or length > _LONGEST:
        raise FormatError(f"record {number}: no length", expected="a TFRecord file", path=path)
    data, end = file.read(length), file.read(4)
    if len(data) < length or len(end) < 4:
        raise FormatError(f"record {number} is cut off", expected=f"{length} bytes", path=path)
    if masked_checksum(data) != struct.unpack("<I", end)[0]:
        raise FormatError(f"record {number} is damaged", expected="its checksum", path=path)
    return data


# ---- messages ------------------------------------------------------------------------------------


def _features(example: memoryview) -> Iterator[tuple[str, Value]]:
    for _, features in _fields(example):
        for _, entry in _fields(_part(features)):
            pair = dict(_fields(_part(entry)))
            yield str(_part(pair[1]), "utf-8"), _value(_part(pair[2]))


def _value(feature: memoryview) -> Value:
    for kind, found in _fields(feature):
        values = [value for _, value in _fields(_part(found))]
        if kind == _BYTES:
            return tuple(bytes(_part(value)) for value in values)
        if kind == _INTEGERS:
            parts = [
                np.array([value], dtype=np.int64) if isinstance(value, int) else _varints(value)
                for value in values
            ]
            return np.concatenate([np.zeros(0, dtype=np.int64), *parts])
    return ()


def _part(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise TypeError("a number where a message was expected")
    return value


def _fields(message: memoryview) -> Fields:
    """Yield number and content of each field: a number, or the bytes of what it holds."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        if key & 7 == 0:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        if key & 7 != 2:
            raise ValueError(f"wire type {key & 7}")
        length, at = _varint(message, at)
        if at + length > len(message):
            raise ValueError("a field beyond the record's end")
        yield key >> 3, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _varints(packed: memoryview) -> NDArray[np.int64]:
    """Decode numbers that follow each other, each in 7 bits a byte, the lowest first."""
    found = np.frombuffer(packed, dtype=np.uint8)
    ends = np.flatnonzero(found < 128)
    if len(found) and (not len(ends) or ends[-1] != len(found) - 1):
        raise ValueError("a number is cut off")
    starts = np.concatenate([[0], ends[:-1] + 1])[: len(ends)]
    shifts = 7 * (np.arange(len(found)) - np.repeat(starts, ends - starts + 1))
    if len(found) and shifts.max() > 63:
        raise ValueError("a number of more than 64 bits")
    bits = (found & 127).astype(np.uint64) << shifts.astype(np.uint64)
    return np.add.reduceat(bits, starts).astype(np.int64) if len(ends) else bits.astype(np.int64)
