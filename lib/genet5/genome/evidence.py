"""Hints as channels of evidence: what speaks for each part of a gene at each base of a window.

For each of two origins (transcripts, proteins) and each strand there are eight channels: the bases
of introns; the last exon base before an intron and the first one after it, in reading direction;
coding bases by their place in the codon (three channels; all three where the phase is not known);
the first base of start codons, and the last one of stop codons. The borders are the bases that the
labels of a window name. The value is the strength of the strongest hint, 32 * log2(1 + m) for a
multiplicity m, at most 255: 32 for one read, 255 from 250 reads on. A hint whose strand is not
known speaks for both. Hints that a window cuts show what lies in it.

Example:
    >>> channels = paint([Hint("c", "intron", 4, 8, 1), Hint("c", "start", 0, 3, 1)], 0, 10)
    >>> [channels[kind].nonzero()[0].tolist() for kind in (0, 1, 2, 6)]
    [[4, 5, 6, 7], [3], [8], [0]]
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from genet5.config.model import EVIDENCE_CHANNELS
from genet5.genome.frames import five_prime_base, five_three, strand_index, three_prime_base
from genet5.genome.hints import Hint, is_protein

Channels = NDArray[np.uint8]
"""(EVIDENCE_CHANNELS, L) strengths."""
INTRON, DONOR, ACCEPTOR, CODING, START, STOP = 0, 1, 2, 3, 6, 7
"""Channels of one strand; the places in a codon are CODING to CODING + 2."""
KINDS = 8
"""Channels of each origin and strand."""
_STEP = 32
_MOST = 255
_STRANDS = (1, -1)


def paint(hints: Iterable[Hint], start: int, length: int) -> Channels:
    """Paint hints onto a window.

    Args:
        hints: In coordinates of the contig; those beyond the window leave no trace.
        start: The window's first base.
        length: Its bases.
    """
    channels = np.zeros((2, 2, KINDS, length), np.uint8)
    for hint in hints:
        for strand in (hint.strand,) if hint.strand else _STRANDS:
            rows = channels[int(is_protein(hint)), strand_index(strand)]
            _paint(rows, hint, hint.start - start, hint.end - start, strand)
    return channels.reshape(EVIDENCE_CHANNELS, length)


def mirrored_channels(channels: Channels) -> Channels:
    """Return the channels of the reverse complement."""
    turned = channels.reshape(2, 2, KINDS, -1)[:, ::-1, :, ::-1]
    return np.ascontiguousarray(turned).reshape(channels.shape)


def strength(multiplicity: int) -> int:
    """Return what a channel holds for a multiplicity.

    Example:
        >>> [strength(m) for m in (1, 3, 15, 1000)]
        [32, 64, 128, 255]
    """
    return min(_MOST, round(_STEP * math.log2(1 + multiplicity)))


def _paint(rows: Channels, hint: Hint, start: int, end: int, strand: int) -> None:
    """Paint one hint, in coordinates of the window, onto the rows of its origin and strand."""
    value = strength(hint.multiplicity)
    if hint.kind == "intron":
        _raise(rows[INTRON], start, end, value)
        donor, acceptor = five_three(start - 1, end, strand)
        _raise(rows[DONOR], donor, donor + 1, value)
        _raise(rows[ACCEPTOR], acceptor, acceptor + 1, value)
    elif hint.kind == "coding":
        _paint_coding(rows[CODING : CODING + 3], hint.phase, (start, end), strand, value)
    else:
        outer = five_prime_base if hint.kind == "start" else three_prime_base
        base = outer(start, end, strand)
        _raise(rows[START if hint.kind == "start" else STOP], base, base + 1, value)


def _paint_coding(
    rows: Channels, phase: int | None, span: tuple[int, int], strand: int, value: int
) -> None:
    start, end = max(span[0], 0), min(span[1], rows.shape[1])
    if start >= end:
        return
    if phase is None:
        for row in rows:
            _raise(row, start, end, value)
        return
    bases = np.arange(start, end)
    before = (bases - span[0]) if strand > 0 else (span[1] - 1 - bases)
    place = (before - phase) % 3
    rows[place, bases] = np.maximum(rows[place, bases], value)


def _raise(row: Channels, start: int, end: int, value: int) -> None:
    """Raise some bases of a row to a value; they may lie beyond it."""
    part = row[max(start, 0) : max(end, 0)]
    np.maximum(part, np.uint8(value), out=part)
