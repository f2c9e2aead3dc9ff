"""How evidence counts on the best path of the per-base heads (`decode.best_path`)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class PathWeights:
    """How much each kind of evidence counts in a path's score, beside the boundary head's logits.

    `genet5 calibrate` fits `state` and `intron` to a model.
    """

    state: float = 0.01
    """Weight of the logarithms of the state head's probabilities: neighbouring bases nearly
    repeat each other, so that their sum over a gene is far too sure (measured on validation genes:
    1 finds 74 of 109, 0.1 81, 0.01 90)."""
    intron: float = 0.0
    """What an intron adds, half at each of its sites: the head judges every base by itself, and
    is less sure of two sites than a reading frame is that goes on only between them."""
    edge: float = -6.0
    """Added to a path that begins the window inside a gene."""
