"""Bases as NumPy arrays of ASCII bytes: case keeps the soft mask, IUPAC letters keep what they are.

Example:
    >>> decode_bases(reverse_complement(encode_bases("ACGTn")))
    'nACGT'
"""

from __future__ import annotations

from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from genet5.errors import DataError

DNA_LETTERS = b"ACGTUNRYSWKMBDHVXacgtunryswkmbdhvx"
"""Letters that a sequence may hold: IUPAC codes and X."""
_SPACE = b" \t\r\n\v\f"

Bases: TypeAlias = NDArray[np.uint8]
"""(L,) ASCII bytes of DNA letters, upper or lower case."""


class AnyBases(Protocol):
    """Bases that are read by slices: an array in memory, or a contig on disk."""

    def __len__(self) -> int:
        """Return the number of bases."""

    def __getitem__(self, span: slice, /) -> Bases:
        """Return the bases of a span; its step is 1."""


_COMPLEMENT_FROM = b"ACGTUNRYSWKMBDHVacgtunryswkmbdhv"
_COMPLEMENT_TO = b"TGCAANYRSWMKVHDBtgcaanyrswmkvhdb"
_COMPLEMENT = np.arange(256, dtype=np.uint8)
_COMPLEMENT[np.frombuffer(_COMPLEMENT_FROM, np.uint8)] = np.frombuffer(_COMPLEMENT_TO, np.uint8)

BASE_INDEX = np.full(256, 4, dtype=np.uint8)
"""ASCII byte -> 0..3 for A, C, G, T (either case; U counts as T), 4 for anything else."""
for _index, _letters in enumerate((b"Aa", b"Cc", b"Gg", b"TtUu")):
    BASE_INDEX[np.frombuffer(_letters, np.uint8)] = _index


def encode_bases(text: str) -> Bases:
    """Turn DNA letters into an array of ASCII bytes (a copy that may be written to)."""
    return np.frombuffer(text.encode("ascii"), dtype=np.uint8).copy()


def checked_bases(text: str | bytes) -> Bases:
    """Turn DNA letters into a read-only array; white space is left out.

    Raises:
        DataError: A letter is no DNA.

    Example:
        >>> checked_bases("ACG t").tobytes()
        b'ACGt'
    """
    letters = text.encode("utf-8") if isinstance(text, str) else bytes(text)
    strange = letters.translate(None, DNA_LETTERS + _SPACE)
    if strange:
        position = letters.index(strange[:1]) + 1
        raise DataError(
            f"letter {strange[:1].decode('latin-1')!r} at position {position} of a sequence",
            expected="DNA letters (IUPAC codes, X)",
        )
    return np.frombuffer(letters.translate(None, _SPACE), dtype=np.uint8)


def decode_bases(bases: Bases) -> str:
    """Turn an array of ASCII bytes back into letters."""
    return bases.tobytes().decode("ascii")


def reverse_complement(bases: Bases) -> Bases:
    """Return the other strand, read 5' to 3'; case and IUPAC letters are kept."""
    return _COMPLEMENT[bases[::-1]]


def on_strand(bases: Bases, strand: int) -> Bases:
    """Return forward-strand bases as a strand has them: unchanged, or reverse-complemented.

    Example:
        >>> decode_bases(on_strand(encode_bases("AAC"), -1))
        'GTT'
    """
    return bases if strand > 0 else reverse_complement(bases)


def codon_index(bases: Bases) -> NDArray[np.int16]:
    """Return the index of the codon at each base, 16 a + 4 b + c in the order A, C, G, T.

    Returns:
        (L,) int16 in 0..63; -1 where a base of the codon is ambiguous or lies beyond the end.
    """
    index = BASE_INDEX[bases].astype(np.int16)
    codons = np.full(len(bases), -1, dtype=np.int16)
    if len(bases) >= 3:
        first, second, third = index[:-2], index[1:-1], index[2:]
        known = (first < 4) & (second < 4) & (third < 4)
        codons[:-2] = np.where(known, 16 * first + 4 * second + third, -1)
    return codons
