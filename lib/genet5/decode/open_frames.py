"""Open reading frames of a window, each with the start that the per-base heads prefer.

A frame reaches from one stop codon to the next, or over the window's edges. Its score is the sum of
the logits of its codon positions, weighted as neighbouring bases repeat each other, and of the
boundary logits at its two ends. Cost: one pass over the six reading frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genet5.decode.compiled import compiled
from genet5.genome.frames import in_reading_order
from genet5.tokens.signals import Signals

Float = NDArray[np.float32]

_CUT = -1
_NONE = -2


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameWeights:
    """How much each kind of evidence counts; measured on validation genomes."""

    state: float = 0.01
    """Weight of the logits of the codon positions."""
    edge: float = 3.0
    """Stands for the boundary logit of an end that lies beyond the window."""
    least: float = -10.0
    """Frames with lower scores are left out."""


@dataclass(frozen=True, slots=True)
class OpenFrame:
    """A gene without introns, in the window's coordinates."""

    strand: int
    first: int
    last: int
    cut_left: bool
    cut_right: bool
    frame: int
    """Codon position of the first base, in reading direction."""
    score: float


def open_frames(
    signals: Signals, row: int, codon_logits: Float, boundaries: Float, weights: FrameWeights
) -> list[OpenFrame]:
    """Return the open reading frames of a window.

    Args:
        signals: Of a batch of windows; not of level "off".
        row: The window.
        codon_logits: (2 strands, 3 codon positions, L).
        boundaries: (8, L) boundary logits.
        weights: Of the two heads.
    """
    length = int(signals.lengths[row])
    found = []
    for side, strand in enumerate((1, -1)):
        logits = in_reading_order(codon_logits[side].T, strand).T
        ends, scores = _frames(
            np.ascontiguousarray(in_reading_order(signals.start_codons(row, side), strand)),
            np.ascontiguousarray(in_reading_order(signals.stop_codons(row, side), strand)),
            np.ascontiguousarray(logits),
            np.ascontiguousarray(in_reading_order(boundaries[side], strand)),
            np.ascontiguousarray(in_reading_order(boundaries[2 + side], strand)),
            weights.state,
            weights.edge,
            weights.least,
        )
        for (frame, five, three), score in zip(ends.tolist(), scores.tolist(), strict=True):
            found.append(_placed(strand, length, frame, five, three, score))
    return found


def _placed(strand: int, length: int, frame: int, five: int, three: int, score: float) -> OpenFrame:
    """Put a frame, whose ends are in reading direction, on the window's forward strand."""
    begin = 0 if five == _CUT else five
    end = length - 1 if three == _CUT else three
    if strand > 0:
        cut_left, cut_right, first, last = five == _CUT, three == _CUT, begin, end
        position = (begin - frame) % 3
    else:
        cut_left, cut_right = three == _CUT, five == _CUT
        first, last = length - 1 - end, length - 1 - begin
        position = (end - frame) % 3
    return OpenFrame(strand, first, last, cut_left, cut_right, position, score)


@compiled
def _frames(
    is_start: NDArray[np.bool_],
    is_stop: NDArray[np.bool_],
    logits: Float,
    starts: Float,
    stops: Float,
    state: float,
    edge: float,
    least: float,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Find the open frames of one strand.

    Args:
        is_start: (L,) first bases of start codons, in reading direction like all that follows.
        is_stop: (L,) last bases of stop codons.
        logits: (3, L) of the codon positions.
        starts: (L,) boundary logits of starts.
        stops: (L,) those of stops.
        state: Weight of `logits`.
        edge: Stands for a boundary logit beyond the window.
        least: Lowest score.

    Returns:
        (n, 3) reading frame, 5' and 3' end, which may be _CUT; (n,) scores.
    """
    length = len(is_start)
    ends = np.empty((length + 3, 3), dtype=np.int64)
    scores = np.empty(length + 3, dtype=np.float64)
    count = 0
    for frame in range(min(3, length)):
        total = 0.0
        for base in range(frame):  # of a codon that the window's edge cuts
            total += state * logits[(base - frame) % 3, base]
        begin, gain = _CUT, edge
        for base in range(frame, length):
            position = (base - frame) % 3
            if position == 0 and is_start[base] and starts[base] - total > gain:
                begin, gain = base, starts[base] - total
            total += state * logits[position, base]
            closes = position == 2 and is_stop[base]
            if not closes and base < length - 1:
                continue
            score = gain + total + (stops[base] if closes else edge)
            if begin != _NONE and score >= least:
                ends[count, 0], ends[count, 1] = frame, begin
                ends[count, 2] = base if closes else _CUT
                scores[count] = score
                count += 1
            begin, gain = _NONE, -np.inf
    return ends[:count], scores[:count]
