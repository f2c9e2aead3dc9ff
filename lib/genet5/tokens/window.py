"""A window's genes as objects: what the structure language writes and the grammar checks.

Positions are 0-based bases of the window, both ends *inclusive* (a position names a base). Parts
run left to right on the forward strand whatever the gene's strand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["cds", "utr", "exon"]
Frame: TypeAlias = Literal[0, 1, 2]


@dataclass(frozen=True, slots=True)
class Part:
    """One interval of a transcript: bases `first` to `last`, both included."""

    kind: Kind
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class WindowTranscript:
    """A transcript as far as the window shows it.

    `frame` belongs to `cut_left`: position within its codon, in the gene's reading direction, of
    the gene's leftmost coding base at or right of the window's left edge (it may lie beyond the
    window); None if not coding or not cut.
    """

    parts: tuple[Part, ...]
    cut_left: bool = False
    cut_right: bool = False
    frame: int | None = None


@dataclass(frozen=True, slots=True)
class WindowGene:
    """A gene as far as the window shows it; strand is +1 or -1."""

    type: str
    strand: int
    transcripts: tuple[WindowTranscript, ...]


@dataclass(frozen=True, slots=True)
class WindowStructure:
    """All that the decoder writes about one window."""

    genetic_code: int
    clade: str | None
    genes: tuple[WindowGene, ...]
