"""Genes that the per-base heads see and the decoder left out.

The decoder writes genes from left to right and cannot go back: a gene that it passes over is lost to that window, even where
the per-base heads are sure of it. So every open reading frame without introns is scored by the logits of its codon positions
and of its start; those that look coding and do not lie on decoded genes become candidates too. They have no support from any
window's decoder, which their score takes into account (`score`). Cost: some passes over the six reading frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from genet5.decode.evidence import NAN, Evidence
from genet5.genome.codes import codon_table, genetic_code
from genet5.genome.sequence import Bases, codon_index, reverse_complement
from genet5.tokens.grammar import GrammarOptions
from genet5.tokens.window import Part, WindowGene, WindowTranscript

LEAST_MEAN_LOGIT = -0.5
"""Open reading frames that look less coding than this are not proposed."""
LEAST_CODING_BP = 90
_START_SLACK = 15.0
"""Lowest start logit, with its sign turned: a quick test may not lose what the exact one keeps."""
_COVERED_SHARE = 0.5
"""Nor those that lie on decoded genes with more than this share of their bases."""


def find_overlooked(
    bases: Bases,
    code: int,
    options: GrammarOptions,
    codon_logits: NDArray[np.float32],
    boundaries: NDArray[np.float32],
    decoded: Sequence[WindowGene],
) -> list[tuple[WindowGene, Evidence]]:
    """Return complete genes of one window that were not decoded, with the per-base evidence for them.

    Args:
        bases: The window.
        code: NCBI number of the genetic code.
        options: Start codons and gene types.
        codon_logits: (2 strands, 3 codon positions, L).
        boundaries: (8, L) boundary logits.
        decoded: Genes that the decoder wrote.
    """
    covered, stops = _decoded_bases(decoded, len(bases))
    found = []
    for strand in (1, -1):
        row = 0 if strand > 0 else 1
        read = bases if strand > 0 else reverse_complement(bases)
        logits = codon_logits[row] if strand > 0 else codon_logits[row][:, ::-1]
        start_logits = boundaries[row] if strand > 0 else boundaries[row][::-1]
        for begin, end, total in _frames(read, code, options, logits, start_logits):
            first, last = (
                (begin, end - 1) if strand > 0 else (len(bases) - end, len(bases) - 1 - begin)
            )
            five, three = (first, last) if strand > 0 else (last, first)
            if (strand, three) in stops or covered[first : last + 1].mean() > _COVERED_SHARE:
                continue
            evidence = Evidence(
                type_logp=NAN,
                state=total,
                coding=end - begin,
                start_boundary=float(boundaries[row, five]),
                stop_boundary=float(boundaries[2 + row, three]),
            )
            transcript = WindowTranscript((Part("cds", first, last),))
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
            stops.add((gene.strand, parts[-1].last if gene.strand > 0 else parts[0].first))
    return covered, stops


def _frames(
    bases: Bases,
    code: int,
    options: GrammarOptions,
    logits: NDArray[np.float32],
    start_logits: NDArray[np.float32],
) -> Iterator[tuple[int, int, float]]:
    """Yield (start, end, sum of logits) of the best reading of each open frame of one strand, left to right."""
    codons = codon_index(bases)
    known = codons >= 0
    is_stop = known & genetic_code(code).stop_table[codons]
    is_start = known & codon_table(options.start_codons)[codons]
    for frame in range(3):
        count = (len(bases) - frame) // 3
        ends = np.flatnonzero(is_stop[frame::3][:count])
        if not len(ends):
            continue
        block = slice(frame, frame + 3 * count)
        by_codon = sum(logits[k, block].reshape(count, 3)[:, k] for k in range(3))
        before = np.concatenate(([0.0], np.cumsum(by_codon, dtype=np.float64)))
        gain = np.where(
            is_start[frame::3][:count], start_logits[block][::3] - before[:count], -np.inf
        )
        gain = gain[: ends[-1] + 1]
        begins = np.concatenate(([0], ends[:-1] + 1))
        best = np.maximum.reduceat(gain, begins) + before[ends + 1]
        longest = 3 * (ends + 1 - begins)
        hopeful = (longest >= LEAST_CODING_BP) & (best >= LEAST_MEAN_LOGIT * longest - _START_SLACK)
        for i in np.flatnonzero(hopeful & np.isfinite(best)).tolist():
            first = int(begins[i] + gain[begins[i] : ends[i] + 1].argmax())
            size, total = 3 * (int(ends[i]) + 1 - first), float(before[ends[i] + 1] - before[first])
            if size >= LEAST_CODING_BP and total >= LEAST_MEAN_LOGIT * size:
                yield frame + 3 * first, frame + 3 * first + size, total
