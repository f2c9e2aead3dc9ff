"""What one window shows of one gene: the form in which decoding hands over genes.

A fragment is a gene, whole or cut at the window's edges, with the evidence for it. Decoding makes
it in coordinates of the window as the model got it; `placed` is the one conversion, to the contig's
forward strand. Fragments are what the stitcher joins and counts, and what an interrupted run keeps.
Intervals are 0-based half-open; a codon position ("frame") counts in the gene's reading direction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field, replace
from typing import Any, NamedTuple

from genet5.decode.evidence import Evidence
from genet5.genome.frames import five_three, frame_to_right, leftmost_frame, mirrored, mirrored_base
from genet5.tokens.window import Kind, WindowGene

Starts = tuple[tuple[int, float], ...]
"""Bases that may be a gene's 5' end, each with its probability given the rest."""


class Interval(NamedTuple):
    """One part of a transcript."""

    kind: Kind
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class GeneFragment:
    """One gene as one window shows it."""

    type: str
    strand: int
    parts: tuple[Interval, ...]
    cut_left: bool = False
    cut_right: bool = False
    frame: int | None = None
    """Codon position of the leftmost coding base at or right of the window's left edge; None unless
    cut there."""
    evidence: Evidence = field(default_factory=Evidence)
    starts: Starts = ()
    """Possible 5' ends, the chosen one among them; empty where the window does not show it."""
    head_only: bool = False
    """Whether only the per-base heads support it; False: the decoder wrote it."""

    @classmethod
    def of(
        cls,
        gene: WindowGene,
        evidence: Evidence | None = None,
        starts: Starts = (),
        *,
        head_only: bool = False,
    ) -> GeneFragment:
        """Make a fragment of a gene of the structure language; its first transcript counts."""
        transcript = gene.transcripts[0]
        return cls(
            gene.type,
            gene.strand,
            tuple(Interval(p.kind, p.first, p.last + 1) for p in transcript.parts),
            transcript.cut_left,
            transcript.cut_right,
            transcript.frame,
            evidence or Evidence(),
            starts,
            head_only,
        )

    def placed(self, start: int, end: int, *, reverse: bool = False) -> GeneFragment:
        """Return the fragment of the window [start, end) in coordinates of the contig.

        Args:
            start: First base of the window.
            end: One past its last base.
            reverse: The fragment counts on the window's reverse complement.
        """
        fragment = self.mirrored(end - start) if reverse else self
        return replace(
            fragment,
            parts=moved(fragment.parts, start),
            starts=tuple((start + base, share) for base, share in fragment.starts),
        )

    def mirrored(self, window_bp: int) -> GeneFragment:
        """Return the fragment as counted on the reverse complement of its window."""
        parts = tuple(
            Interval(p.kind, *mirrored(p.start, p.end, window_bp)) for p in self.parts[::-1]
        )
        frame = None
        if (
            self.cut_right
        ):  # of the last coding base left of the right edge: one before that of the next base
            frame = frame_to_right(self.first_frame, coding_bases(self.parts) - 1, self.strand)
        return replace(
            self,
            strand=-self.strand,
            parts=parts,
            cut_left=self.cut_right,
            cut_right=self.cut_left,
            frame=frame,
            starts=tuple((mirrored_base(base, window_bp), share) for base, share in self.starts),
        )

    @property
    def shows_start(self) -> bool:
        """Whether the 5' end lies in the window."""
        return not five_three(self.cut_left, self.cut_right, self.strand)[0]

    @property
    def shows_stop(self) -> bool:
        """Whether the 3' end lies in the window."""
        return not five_three(self.cut_left, self.cut_right, self.strand)[1]

    @property
    def first_frame(self) -> int:
        """Codon position of the leftmost coding base in the window, or beyond its right edge.

        A gene without coding bases on one side of an edge counts as being between two codons there.
        """
        if self.cut_left and self.frame is not None:
            return self.frame
        return leftmost_frame(self.strand)

    def frame_at(self, position: int) -> int:
        """Codon position of the leftmost coding base at or right of `position`."""
        before = coding_bases(clip(self.parts, 0, position))
        return frame_to_right(self.first_frame, before, self.strand)

    def is_in_part(self, position: int) -> bool:
        """Whether the base at `position` belongs to a part."""
        return any(part.start <= position < part.end for part in self.parts)

    def last_before(self, position: int) -> int:
        """One past the last base left of `position`; 0 if there is none."""
        ends = [min(part.end, position) for part in self.parts if part.start < position]
        return max(ends, default=0)

    def to_json(self) -> list[Any]:
        """Return plain JSON values; floats keep all their digits."""
        numbers = [
            None if isinstance(x, float) and math.isnan(x) else x for x in astuple(self.evidence)
        ]
        return [
            self.type,
            self.strand,
            [list(part) for part in self.parts],
            self.cut_left,
            self.cut_right,
            self.frame,
            numbers,
            [list(pair) for pair in self.starts],
            self.head_only,
        ]

    @classmethod
    def from_json(cls, values: Sequence[Any]) -> GeneFragment:
        """Rebuild a fragment from `to_json`."""
        kind, strand, parts, cut_left, cut_right, frame, numbers, starts, head_only = values
        return cls(
            kind,
            strand,
            tuple(Interval(*part) for part in parts),
            cut_left,
            cut_right,
            frame,
            Evidence(*[math.nan if x is None else x for x in numbers]),  # type: ignore[arg-type]
            tuple((base, share) for base, share in starts),
            head_only,
        )


def moved(parts: Sequence[Interval], by_bp: int) -> tuple[Interval, ...]:
    """Return the parts moved to the right."""
    return tuple(Interval(p.kind, p.start + by_bp, p.end + by_bp) for p in parts)


def clip(parts: Sequence[Interval], start: int, end: int) -> tuple[Interval, ...]:
    """Return what of the parts lies in [start, end)."""
    return tuple(
        Interval(p.kind, max(p.start, start), min(p.end, end))
        for p in parts
        if p.start < end and p.end > start
    )


def merge_touching(parts: Sequence[Interval]) -> tuple[Interval, ...]:
    """Return the parts with neighbours of one kind that touch made one."""
    merged: list[Interval] = []
    for part in parts:
        if merged and merged[-1].end == part.start and merged[-1].kind == part.kind:
            merged[-1] = merged[-1]._replace(end=part.end)
        else:
            merged.append(part)
    return tuple(merged)


def coding_bases(parts: Sequence[Interval]) -> int:
    """Count the bases of coding parts."""
    return sum(part.end - part.start for part in parts if part.kind == "cds")
