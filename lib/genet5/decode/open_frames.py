"""Open reading frames of a window, each with the start that the per-base heads prefer.

A frame reaches from one stop codon to the next, or over the window's edges. Its score is the sum of
the logits of its codon positions, weighted as neighbouring bases repeat each other, and of the
boundary logits at its two ends. Cost: some passes over the six reading frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genet5.genome.frames import in_reading_order
from genet5.tokens.rules import Bool
from genet5.tokens.signals import Signals

Float = NDArray[np.float32]

_CUT = -1


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
        frames = _frames(
            in_reading_order(signals.start_codons(row, side), strand),
            in_reading_order(signals.stop_codons(row, side), strand),
            in_reading_order(codon_logits[side].T, strand).T,
            in_reading_order(boundaries[side], strand),
            in_reading_order(boundaries[2 + side], strand),
            weights,
        )
        found += [_placed(strand, length, *frame) for frame in frames]
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


def _frames(
    is_start: Bool, is_stop: Bool, logits: Float, starts: Float, stops: Float, weights: FrameWeights
) -> Iterator[tuple[int, int, int, float]]:
    """Yield the open frames of one strand.

    Args:
        is_start: (L,) first bases of start codons, in reading direction like all that follows.
        is_stop: (L,) last bases of stop codons.
        logits: (3, L) of the codon positions.
        starts: (L,) boundary logits of starts.
        stops: (L,) those of stops.
        weights: Of the two heads.

    Yields:
        Reading frame, 5' and 3' end, which may be _CUT, and score.
    """
    length = len(is_start)
    for frame in range(min(3, length)):
        count = (length - frame) // 3
        codons = slice(frame, frame + 3 * count)
        by_codon = sum(logits[k, codons].reshape(count, 3)[:, k] for k in range(3))
        cut = sum(logits[k - frame + 3, k] for k in range(frame))  # of a codon that the edge cuts
        before = weights.state * (cut + np.cumsum(np.append(0.0, by_codon)))
        gain = np.where(is_start[codons][::3], starts[codons][::3] - before[:-1], -np.inf)
        last = np.flatnonzero(is_stop[codons][2::3])
        begins = np.append(0, last + 1)
        best = np.maximum.reduceat(np.append(gain, -np.inf), begins)
        best[0] = max(best[0], weights.edge)
        tail = range(frame + 3 * count, length)
        rest = sum(logits[k, base] for k, base in enumerate(tail))
        score = best + before[np.append(last + 1, count)]
        score += np.append(stops[frame + 3 * last + 2], weights.edge + weights.state * rest)
        for index in np.flatnonzero(score >= weights.least).tolist():
            first, end = int(begins[index]), int(last[index]) if index < len(last) else _CUT
            inside = gain[first : end + 1 if end >= 0 else count]
            is_cut = index == 0 and not (inside > weights.edge).any()
            five = _CUT if is_cut else frame + 3 * (first + int(inside.argmax()))
            yield frame, five, frame + 3 * end + 2 if end >= 0 else _CUT, float(score[index])
