"""What was found in one window: fragments of genes, and the per-base heads' probabilities.

Probabilities are whole per cents of the bases in the window's core: what a viewer can show, and a
twentieth of the bytes of float logits once they are compressed. They are kept only where tracks
are wanted.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genet5.decode.fragment import GeneFragment

Percents = NDArray[np.uint8]
"""(2 strands, kinds, bases) probabilities in per cent; the kinds are those of `percents_of`."""

UNSPLICED_KINDS = 5
"""Codon positions 0, 1, 2, start, stop."""
SPLICED_KINDS = 8
"""And intron, donor, acceptor."""


@dataclass(frozen=True, slots=True, eq=False)
class WindowFound:
    """One window, in its own coordinates or (fragments) in those of its contig."""

    fragments: tuple[GeneFragment, ...]
    percents: Percents | None = None
    """Of the window's core, left to right; None where no tracks are wanted."""

    def placed(self, start: int, end: int, *, reverse: bool = False) -> WindowFound:
        """Return what the window [start, end) shows in coordinates of the contig.

        Args:
            start: First base of the window.
            end: One past its last base.
            reverse: The window was read as its reverse complement.
        """
        fragments = tuple(f.placed(start, end, reverse=reverse) for f in self.fragments)
        percents = self.percents
        if percents is not None and reverse:
            percents = percents[::-1, :, ::-1]
        return WindowFound(fragments, percents)

    def to_json(self) -> list[Any]:
        """Return plain JSON values: the fragments and, if there are, number of kinds and bytes."""
        fragments = [fragment.to_json() for fragment in self.fragments]
        if self.percents is None:
            return [fragments]
        packed = zlib.compress(self.percents.tobytes())
        return [fragments, self.percents.shape[1], base64.b64encode(packed).decode()]

    @classmethod
    def from_json(cls, values: Sequence[Any]) -> WindowFound:
        """Rebuild from `to_json`."""
        fragments = tuple(GeneFragment.from_json(one) for one in values[0])
        if len(values) == 1:
            return cls(fragments)
        percents = np.frombuffer(zlib.decompress(base64.b64decode(values[2])), np.uint8)
        return cls(fragments, percents.reshape(2, values[1], -1))
