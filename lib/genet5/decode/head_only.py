"""Head-only candidates: genes that the per-base heads see and the decoder did not write.

The decoder writes genes from left to right and cannot go back: a gene that it passes over is lost
to that window, even where the per-base heads are sure of it. So every open reading frame without
introns is scored by the logits of its codon positions and of its start; those that look coding and
do not lie on decoded genes become candidates too. Start and stop codons are those of
`tokens.signals`. The candidates have no support from any window's decoder, which their score takes
into account. Cost: some passes over the six reading frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from genet5.decode.evidence import NAN, Evidence
from genet5.genome.frames import (
    five_three,
    in_reading_order,
    interval_on_strand,
    strand_index,
    three_prime,
)
from genet5.tokens.rules import Bool, GrammarOptions
from genet5.tokens.signals import Signals
from genet5.tokens.window import Part, WindowGene, WindowTranscript

LEAST_MEAN_LOGIT = -0.5
"""Open reading frames that look less coding than this are not proposed."""
LEAST_CODING_BP = 90
_COVERED_SHARE = 0.5
"""Nor those that lie on decoded genes with more than this share of their bases."""
_START_SLACK = 15.0
"""Lowest start logit, with its sign turned: a quick test may not lose what the exact one keeps."""


def find_head_only(
    signals: Signals,
    row: int,
    options: GrammarOptions,
    codon_logits: NDArray[np.float32],
    boundaries: NDArray[np.float32],
    decoded: Sequence[WindowGene],
) -> list[tuple[WindowGene, Evidence]]:
    """Return complete genes of a window that were not decoded, with their per-base evidence.

    At level "off", where any base may start or stop a gene, there are no open reading frames, and
    none is found.

    Args:
        signals: Of a batch of windows.
        row: The window.
        options: Gene types.
        codon_logits: (2 strands, 3 codon positions, L).
        boundaries: (8, L) boundary logits.
        decoded: Genes that the decoder wrote.
    """
    if signals.free:
        return []
    length = int(signals.lengths[row])
    covered, stops = _decoded_bases(decoded, length)
    found = []
    for strand in (1, -1):
        side = strand_index(strand)
        starts = in_reading_order(signals.start_codons(row, side), strand)
        ends = in_reading_order(signals.stop_codons(row, side), strand)
        logits = in_reading_order(codon_logits[side].T, strand).T
        start_logits = in_reading_order(boundaries[side], strand)
        for begin, end, total in _frames(starts, ends, logits, start_logits):
            start, stop = interval_on_strand(begin, end, length, strand)
            five, three = five_three(start, stop - 1, strand)
            if (strand, three) in stops or covered[start:stop].mean() > _COVERED_SHARE:
                continue
            evidence = Evidence(
                type_logp=NAN,
                state=total,
                coding=end - begin,
                start_boundary=float(boundaries[side, five]),
                stop_boundary=float(boundaries[2 + side, three]),
            )
            transcript = WindowTranscript((Part("cds", start, stop - 1),))
            found.append((WindowGene(options.coding_types[0], strand, (transcript,)), evidence))
    return found


def _decoded_bases(
    decoded: Sequence[WindowGene], length: int
) -> tuple[NDArray[np.bool_], set[tuple[int, int]]]:
    """Which bases lie on decoded genes, and their 3' ends."""
    covered = np.zeros(length, dtype=bool)
    stops = set()
    for gene in decoded:
        parts = gene.transcripts[0].parts
        for part in parts:
            covered[part.first : part.last + 1] = True
        if parts:
            ends = (parts[0].first, parts[-1].last)
            stops.add((gene.strand, three_prime(ends, gene.strand)))
    return covered, stops


def _frames(
    starts: Bool,
    ends: Bool,
    logits: NDArray[np.float32],
    start_logits: NDArray[np.float32],
) -> Iterator[tuple[int, int, float]]:
    """Yield (start, end, sum of logits) of the best start of each open frame, left to right.

    Args:
        starts: (L,) first bases of start codons, all in one strand's reading direction.
        ends: (L,) last bases of stop codons.
        logits: (3 codon positions, L).
        start_logits: (L,).
    """
    length = len(starts)
    for frame in range(3):
        count = (length - frame) // 3
        last = np.flatnonzero(ends[frame + 2 :: 3][:count])  # codons that are stops
        if not len(last):
            continue
        block = slice(frame, frame + 3 * count)
        by_codon = sum(logits[k, block].reshape(count, 3)[:, k] for k in range(3))
        before = np.concatenate(([0.0], np.cumsum(by_codon, dtype=np.float64)))
        gain = np.where(
            starts[frame::3][:count], start_logits[block][::3] - before[:count], -np.inf
        )
        gain = gain[: last[-1] + 1]
        begins = np.concatenate(([0], last[:-1] + 1))
        best = np.maximum.reduceat(gain, begins) + before[last + 1]
        longest = 3 * (last + 1 - begins)
        hopeful = (longest >= LEAST_CODING_BP) & (best >= LEAST_MEAN_LOGIT * longest - _START_SLACK)
        for i in np.flatnonzero(hopeful & np.isfinite(best)).tolist():
            first = int(begins[i] + gain[begins[i] : last[i] + 1].argmax())
            size, total = 3 * (int(last[i]) + 1 - first), float(before[last[i] + 1] - before[first])
            if size >= LEAST_CODING_BP and total >= LEAST_MEAN_LOGIT * size:
                yield frame + 3 * first, frame + 3 * first + size, total
