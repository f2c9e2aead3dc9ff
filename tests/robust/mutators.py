"""Seeded damage: a mutated copy of some bytes, the same one for the same generator.

`mutate` is for texts as readers get them: bits and bytes, pieces cut out, doubled or moved, words
that readers stumble over, lines without end. `flip_bit` changes one bit, as a disk does.
"""

from __future__ import annotations

import gzip
import random

WORDS = (
    *(b"", b"\t", b"\n", b"\r", b"\0", b"\x1b[31m", b"\x9b", b"\xff\xfe", b"\xef\xbb\xbf", b"%"),
    *(b"%00", b"%zz", b"=", b";", b",", b'"', b"\\", b"{", b"[", b"]]", b"null", b"true", b"NaN"),
    *(b"-Infinity", b"1e999", b"-1", b"0", b"4294967296", b"99999999999999999999", b"9" * 5000),
    *(b"1.5", b".", b"+", b"-", b">", b"//", b"ORIGIN", b"join(", b"complement(", b"1..", b"<1"),
    *(b"Parent=", b"ID=", b"gene_id", b"../x", b"/", b"\xe2\x80\xae", b"\xed\xa0\x80"),
    *(b"a" * 3000, b"[" * 3000, b"(" * 3000),
)
"""What is put in."""


_SEPARATORS = b'\t\n =;,:"{}[]()'


def mutate(content: bytes, draw: random.Random) -> bytes:
    """Return a copy with one to four changes, a tenth of them compressed, some of these cut."""
    for _ in range(draw.choice((1, 1, 1, 2, 2, 4))):
        content = draw.choice(_CHANGES)(content, draw)
    if draw.random() < 0.1:
        content = gzip.compress(content, mtime=0)
        if draw.random() < 0.7:
            content = draw.choice((flip_bit, _cut_end))(content, draw)
    return content


def flip_bit(content: bytes, draw: random.Random) -> bytes:
    """Change one bit."""
    if not content:
        return b"\0"
    at = draw.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << draw.randrange(8)]) + content[at + 1 :]


def _set_byte(content: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(content) + 1)
    return content[:at] + bytes([draw.randrange(256)]) + content[at + 1 :]


def _cut_end(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(len(content) + 1)]


def _cut_out(content: bytes, draw: random.Random) -> bytes:
    begin, end = _span(content, draw)
    return content[:begin] + content[end:]


def _double(content: bytes, draw: random.Random) -> bytes:
    begin, end = _span(content, draw)
    return content[:end] + content[begin:end] * draw.choice((1, 2, 30)) + content[end:]


def _move(content: bytes, draw: random.Random) -> bytes:
    begin, end = _span(content, draw)
    rest = content[:begin] + content[end:]
    at = draw.randrange(len(rest) + 1)
    return rest[:at] + content[begin:end] + rest[at:]


def _put_word(content: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(content) + 1)
    return content[:at] + draw.choice(WORDS) + content[at + draw.choice((0, 0, 1, 4)) :]


def _replace_field(content: bytes, draw: random.Random) -> bytes:
    """Put a word in the place of one that stands between separators."""
    separators = [
        at for at, byte in enumerate(content) if byte in b'\t\n =;,:"' or byte in b"{}[]()"
    ]
    if len(separators) < 2:
        return _put_word(content, draw)
    first = draw.randrange(len(separators) - 1)
    begin, end = separators[first] + 1, separators[first + 1]
    word = draw.choice(WORDS) if draw.random() < 0.7 else _other_field(content, separators, draw)
    return content[:begin] + word + content[end:]


def _other_field(content: bytes, separators: list[int], draw: random.Random) -> bytes:
    first = draw.randrange(len(separators) - 1)
    return content[separators[first] + 1 : separators[first + 1]]


def _shuffle_lines(content: bytes, draw: random.Random) -> bytes:
    lines = content.split(b"\n")
    begin = draw.randrange(len(lines))
    piece = lines[begin : begin + draw.choice((2, 5, 50))]
    draw.shuffle(piece)
    return b"\n".join(lines[:begin] + piece + lines[begin + len(piece) :])


def _double_line(content: bytes, draw: random.Random) -> bytes:
    lines = content.split(b"\n")
    at = draw.randrange(len(lines))
    return b"\n".join(lines[:at] + [lines[at]] * draw.choice((2, 3, 20)) + lines[at + 1 :])


def _other_line_ends(content: bytes, draw: random.Random) -> bytes:
    return content.replace(b"\n", draw.choice((b"\r\n", b"\r", b"\n\n", b" \n", b"")))


def _span(content: bytes, draw: random.Random) -> tuple[int, int]:
    begin = draw.randrange(len(content) + 1)
    return begin, min(len(content), begin + draw.choice((1, 3, 10, 100, 1000)))


_CHANGES = (
    *(flip_bit, flip_bit, _set_byte, _cut_end, _cut_out, _double, _move, _put_word, _put_word),
    *(_replace_field, _replace_field, _replace_field, _shuffle_lines, _double_line),
    _other_line_ends,
)
