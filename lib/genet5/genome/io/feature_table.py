"""The features of one contig as the readers hold them before they make genes.

Coordinates are 0-based half-open on the forward strand. A `Node` is a gene or a transcript, `Parts`
are the exons and CDS lines of one parent, and a `ContigTable` holds both for one contig.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from genet5.genome.io.attributes import Attributes

Span: TypeAlias = tuple[int, int]
"""Start and end."""


@dataclass(slots=True)
class CdsLine:
    """One CDS line."""

    start: int
    end: int
    strand: int
    phase: int | None
    """As written; None for "."."""
    id: str
    attributes: Attributes
    line: int
    marked: bool
    """The attributes state something unusual (partial, pseudo, exception ...)."""


@dataclass(slots=True)
class Parts:
    """The exons and CDS lines of one parent."""

    line: int
    exons: list[Span] = field(default_factory=list)
    cds: list[CdsLine] = field(default_factory=list)
    utrs: list[Span] = field(default_factory=list)
    stop_codons: list[CdsLine] = field(default_factory=list)
    strands: set[int] = field(default_factory=set)
    score: float | None = None
    """Of the first CDS line, when it has no parent."""
    recoded: bool = False
    """A child feature states that a stop codon is read as an amino acid."""

    @property
    def has_extent(self) -> bool:
        """Whether they give the parent's extent; stop codons alone do not."""
        return bool(self.exons or self.utrs or self.cds)


@dataclass(slots=True)
class Node:
    """A gene, a transcript, or something that may turn out to be one."""

    kind: str
    id: str
    spans: list[Span]
    """More than one when several lines share the ID."""
    strand: int
    score: float | None
    attributes: Attributes
    parents: list[str]
    line: int
    marked: bool
    """As in `CdsLine`."""
    is_inferred: bool = False
    """It has no line of its own."""


@dataclass(slots=True)
class ContigTable:
    """The features of one contig."""

    name: str
    line: int
    """The line that names it first."""
    nodes: dict[str, Node] = field(default_factory=dict)
    parts: dict[str, Parts] = field(default_factory=dict)
    orphans: dict[str, Parts] = field(default_factory=dict)
    """CDS lines without a parent, by their ID."""
    length: int | None = None
    has_directive: bool = False
    """The length is that of a ##sequence-region."""
    circular: bool = False
    genetic_code: int | None = None
    broken: set[str] = field(default_factory=set)
    """IDs with a bad line that was skipped: no gene is made of them."""
