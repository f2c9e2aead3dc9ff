"""Loops over the codons of a strand, compiled: starts of genes, open reading frames, hexamers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from genet5.annotate.adapt.ragged import Floats, Ints
from genet5.decode.compiled import compiled

Flags = NDArray[np.bool_]
Codons = NDArray[np.int8]


@compiled
def read_codons(index: NDArray[np.uint8], codons: Codons) -> None:
    """Fill in the codon that begins at each base: 0..63, -1 where one of its bases is unknown.

    Args:
        index: (W,) 0..3 for A, C, G, T, 4 for others.
        codons: (W,), filled.
    """
    for place in range(len(index)):
        codons[place] = -1
        if place + 2 < len(index):
            first, second, third = index[place], index[place + 1], index[place + 2]
            if first < 4 and second < 4 and third < 4:
                codons[place] = 16 * first + 4 * second + third


@compiled
def count_hexamers(index: NDArray[np.uint8], counts: Ints) -> None:
    """Add the hexamers of bases (0..3, 4 = unknown) to their counts, (4096,)."""
    hexamer = known = 0
    for base in index:
        if base > 3:
            known = 0
            continue
        hexamer = (hexamer * 4 + base) % 4096
        known += 1
        if known >= 6:
            counts[hexamer] += 1


@compiled
def starts_around(
    codons: Codons,
    is_start: Flags,
    is_stop: Flags,
    own: Ints,
    last: Ints,
    known: Flags,
    limits: tuple[int, int, int],
    found: Ints,
) -> Any:
    """Find the starts of genes around their present ones: `StrandReader.starts_around`.

    Args:
        codons: (W,) codon at each place; -1 if ambiguous.
        is_start: (65,) which codons start a gene; the last one is the ambiguous one.
        is_stop: (65,)
        own: (n,) present starts.
        last: (n,) last places that a start may have.
        known: (n,) which genes have a start.
        limits: Least place, bases upstream, starts on either side.
        found: (n, 2 * limits[2] + 1), filled with the places in reading order.

    Returns:
        (n,) Number of starts of each.
    """
    first, reach, flank = limits
    sizes = np.zeros(len(own), dtype=np.int64)
    for i in range(len(own)):
        if not known[i] or not is_start[codons[own[i]]]:
            continue
        place = earliest = own[i]
        before, least_place = 0, max(first, own[i] - reach) + 3
        while before < flank and place >= least_place and not is_stop[codons[place - 3]]:
            place -= 3
            if is_start[codons[place]]:
                before += 1
                earliest = place
        size, after = 0, 0
        place = earliest
        while after <= flank and place <= last[i]:
            if is_start[codons[place]]:
                found[i, size] = place
                size += 1
                after += place >= own[i]
            place += 3
        sizes[i] = size
    return sizes


@compiled
def open_frames(
    codons: Codons,
    is_start: Flags,
    is_stop: Flags,
    usage: Floats,
    limits: tuple[int, int, int, int, int],
    least_coding: float,
    found: Ints,
    coding: Floats,
) -> int:
    """Find the starts of the open reading frames that look coding, with their coding scores.

    Args:
        codons: (W,) codon at each place; -1 if ambiguous.
        is_start: (65,) which codons start a gene; the last one is the ambiguous one.
        is_stop: (65,)
        usage: (4097,) score of each hexamer, the last one that of unknown ones.
        limits: First stop and one past the last, least place of a start, bases upstream, least
            length.
        least_coding: Frames none of whose starts has this score are left out.
        found: (at least the number of starts, 2), filled with starts and stops.
        coding: (as many,), filled with coding scores.

    Returns:
        How many were filled; those of a frame stand together, the last start first.
    """
    low, high, first, reach, least = limits
    size = 0
    for stop in range(low, high):
        if not is_stop[codons[stop]]:
            continue
        total, best, begin = 0.0, -np.inf, size
        place = stop - 3
        while place >= max(first, stop - reach) and not is_stop[codons[place]]:
            here, following = codons[place], codons[place + 3]
            if place < stop - 3:
                total += usage[64 * here + following if here >= 0 and following >= 0 else 4096]
            if is_start[here] and stop + 3 - place >= least:
                found[size, 0], found[size, 1], coding[size] = place, stop, total
                best, size = max(best, total), size + 1
            place -= 3
        if best < least_coding:
            size = begin
    return size
