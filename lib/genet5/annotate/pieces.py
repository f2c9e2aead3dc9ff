"""What one window says about one gene, in coordinates of the axis.

A piece is a gene as its window shows it, whole or cut at the window's edges, with the evidence for it. Pieces are what
the stitcher joins and counts, and what a run saves to be able to resume. Coordinates are 0-based half-open on the
axis; a position of the codon ("frame") counts in the gene's reading direction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field, replace
from typing import Any, NamedTuple

from genet5.annotate.windows import Window
from genet5.decode.evidence import Evidence
from genet5.tokens.window import Kind, WindowGene


class Stretch(NamedTuple):
    """One part of a transcript on the axis."""

    kind: Kind
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Piece:
    """One gene of one window on the axis."""

    window: int
    """Index of the window."""
    type: str
    strand: int
    parts: tuple[Stretch, ...]
    cut_left: bool = False
    cut_right: bool = False
    frame: int | None = None
    """Codon position of the leftmost coding base at or right of the window's left edge; None unless cut there."""
    evidence: Evidence = field(default_factory=Evidence)
    starts: tuple[tuple[int, float], ...] = ()
    """Bases that may be the 5' end instead, each with its probability given the rest; the chosen one is among them."""
    decoded: bool = True
    """Whether the decoder wrote it; False: only the per-base heads see it."""

    @property
    def shows_start(self) -> bool:
        """Whether the 5' end lies in the window."""
        return not (self.cut_left if self.strand > 0 else self.cut_right)

    @property
    def shows_stop(self) -> bool:
        """Whether the 3' end lies in the window."""
        return not (self.cut_right if self.strand > 0 else self.cut_left)

    @property
    def first_frame(self) -> int:
        """Codon position of the leftmost coding base that is in the window or beyond its right edge.

        A gene without coding bases on one side of an edge counts as being between two codons there.
        """
        if self.cut_left and self.frame is not None:
            return self.frame
        return 0 if self.strand > 0 else 2

    def frame_at(self, position: int) -> int:
        """Codon position of the leftmost coding base at or right of `position`."""
        before = coding_bases(clip(self.parts, 0, position))
        return (self.first_frame + self.strand * before) % 3

    def is_in_part(self, position: int) -> bool:
        """Whether the base at `position` belongs to a part."""
        return any(part.start <= position < part.end for part in self.parts)

    def reaches_over(self, position: int, window: Window) -> bool:
        """Whether the gene has bases on both sides of `position` (between position - 1 and position)."""
        left = window.start if self.cut_left else self.parts[0].start
        right = window.end if self.cut_right else self.parts[-1].end
        return (left < position or self.cut_left) and (right > position or self.cut_right)


def piece_of(
    gene: WindowGene,
    window: Window,
    evidence: Evidence | None = None,
    starts: Sequence[tuple[int, float]] = (),
    *,
    decoded: bool = True,
) -> Piece:
    """Put a window's gene (its first transcript) on the axis; `starts` are in the window's coordinates."""
    transcript = gene.transcripts[0]
    return Piece(
        window.index,
        gene.type,
        gene.strand,
        tuple(
            Stretch(p.kind, window.start + p.first, window.start + p.last + 1)
            for p in transcript.parts
        ),
        transcript.cut_left,
        transcript.cut_right,
        transcript.frame,
        evidence or Evidence(),
        tuple((window.start + base, probability) for base, probability in starts),
        decoded,
    )


def mirror(piece: Piece, window: Window) -> Piece:
    """Return the piece of a window that was read on its reverse strand, on the forward strand.

    `piece` is as `piece_of` made it: its coordinates count from `window.start` on the reverse strand.
    """
    total = window.start + window.end
    parts = tuple(Stretch(p.kind, total - p.end, total - p.start) for p in reversed(piece.parts))
    frame = None
    if piece.cut_right:
        # Codon position of the last coding base left of the right edge: one before that of the next base.
        frame = (piece.first_frame + piece.strand * (coding_bases(piece.parts) - 1)) % 3
    return replace(
        piece,
        strand=-piece.strand,
        parts=parts,
        cut_left=piece.cut_right,
        cut_right=piece.cut_left,
        frame=frame,
        starts=tuple((total - 1 - base, probability) for base, probability in piece.starts),
    )


def clip(parts: Sequence[Stretch], start: int, end: int) -> tuple[Stretch, ...]:
    """Return what of the parts lies in [start, end)."""
    return tuple(
        Stretch(p.kind, max(p.start, start), min(p.end, end))
        for p in parts
        if p.start < end and p.end > start
    )


def merge_touching(parts: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """Return the parts with neighbours of one kind that touch made one."""
    merged: list[Stretch] = []
    for part in parts:
        if merged and merged[-1].end == part.start and merged[-1].kind == part.kind:
            merged[-1] = merged[-1]._replace(end=part.end)
        else:
            merged.append(part)
    return tuple(merged)


def coding_bases(parts: Sequence[Stretch]) -> int:
    """Count the bases of coding parts."""
    return sum(part.end - part.start for part in parts if part.kind == "cds")


def piece_to_json(piece: Piece) -> list[Any]:
    """Return plain JSON values; floats keep all their digits."""
    numbers = [
        None if isinstance(x, float) and math.isnan(x) else x for x in astuple(piece.evidence)
    ]
    return [
        piece.type,
        piece.strand,
        [list(part) for part in piece.parts],
        piece.cut_left,
        piece.cut_right,
        piece.frame,
        numbers,
        [list(pair) for pair in piece.starts],
        piece.decoded,
    ]


def piece_from_json(window: int, values: Sequence[Any]) -> Piece:
    """Rebuild a piece of window `window` from `piece_to_json`."""
    kind, strand, parts, cut_left, cut_right, frame, numbers, starts, decoded = values
    return Piece(
        window,
        kind,
        strand,
        tuple(Stretch(*part) for part in parts),
        cut_left,
        cut_right,
        frame,
        Evidence(*[math.nan if x is None else x for x in numbers]),  # type: ignore[arg-type]
        tuple((base, probability) for base, probability in starts),
        decoded,
    )
