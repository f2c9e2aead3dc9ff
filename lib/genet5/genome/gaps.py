"""Gaps of an assembly: runs of N, at which a contig may be cut.

Example:
    >>> from genet5.genome.sequence import encode_bases
    >>> list(between_gaps(encode_bases("NNACGTNNNNACNG"), 4))
    [(0, 6), (10, 14)]
    >>> list(between_gaps(encode_bases("NNACGTNNNNACNG"), 2))
    [(2, 6), (10, 14)]
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from genet5.genome.sequence import AnyBases

Span = tuple[int, int]

_BLOCK_BP = 1 << 22
_UNKNOWN = np.frombuffer(b"Nn", np.uint8)


def between_gaps(
    bases: AnyBases, least_gap_bp: int, *, block_bp: int = _BLOCK_BP
) -> Iterator[Span]:
    """Yield what lies between gaps: start and end, 0-based half-open; never an empty one.

    Args:
        bases: A contig, read block by block.
        least_gap_bp: Shorter runs of N are no gaps.
        block_bp: How much is read at a time.
    """
    start = 0
    for gap_start, gap_end in _gaps(bases, least_gap_bp, block_bp):
        if gap_start > start:
            yield start, gap_start
        start = gap_end
    if start < len(bases):
        yield start, len(bases)


def _gaps(bases: AnyBases, least_bp: int, block_bp: int) -> Iterator[Span]:
    """Yield the runs of N of a least length, ascending."""
    open_start = open_end = 0
    for at in range(0, len(bases), block_bp):
        block = bases[at : at + block_bp]
        is_unknown = np.isin(block, _UNKNOWN)
        edges = np.flatnonzero(np.diff(is_unknown, prepend=False, append=False))
        starts, ends = edges[::2], edges[1::2]
        kept = (ends - starts >= least_bp) | (starts == 0) | (ends == len(block))
        for start, end in zip(
            (starts[kept] + at).tolist(), (ends[kept] + at).tolist(), strict=True
        ):
            if start > open_end:
                if open_end - open_start >= least_bp:
                    yield open_start, open_end
                open_start = start
            open_end = end
    if open_end - open_start >= least_bp:
        yield open_start, open_end
