"""Hints: places at which something outside the sequence speaks for a part of a gene.

Whatever wrote them (aligned RNA, aligned proteins, other predictions), a hint has one form.
Coordinates are 0-based half-open on the forward strand.

Example:
    >>> same = Hint("c", "intron", 10, 90, 1, multiplicity=2), Hint("c", "intron", 10, 90, 1)
    >>> [(hint.start, hint.multiplicity) for hint in merged(same)]
    [(10, 3)]
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

HintKind = Literal["intron", "coding", "start", "stop"]


@dataclass(frozen=True, slots=True)
class Hint:
    """One hint."""

    contig: str
    kind: HintKind
    start: int
    end: int
    """coding: a part of a coding sequence; start, stop: the codon."""
    strand: int
    """+1, -1, or 0 where the source does not know it."""
    phase: int | None = None
    """GFF3's, of coding parts; None = not known."""
    multiplicity: int = 1
    """How many reads or alignments say so."""
    source: str = ""
    """What says so, such as E (expressed) or P (protein), in Augustus' words."""
    score: float | None = None
    """As the source has it."""


_PROTEIN_SOURCES = frozenset(
    {"p", "c", "protein", "miniprot", "prothint", "spaln", "gth", "gemoma"}
)
"""Sources of protein alignments, in small letters: src= of BRAKER and ProtHint, or the program."""


def is_protein(hint: Hint) -> bool:
    """Whether a hint comes from proteins; all others count as those of transcripts.

    Example:
        >>> [is_protein(Hint("c", "start", 0, 3, 1, source=s)) for s in ("P", "miniprot", "E", "")]
        [True, True, False, False]
    """
    return hint.source.lower() in _PROTEIN_SOURCES


def merged(hints: Iterable[Hint]) -> list[Hint]:
    """Return hints sorted by place; equal ones of one source become one that counts for all."""
    found: dict[tuple[object, ...], Hint] = {}
    for hint in hints:
        key = (hint.contig, hint.kind, hint.start, hint.end, hint.strand, hint.phase, hint.source)
        former = found.get(key)
        number = hint.multiplicity + (former.multiplicity if former else 0)
        found[key] = replace(former or hint, multiplicity=number)
    return sorted(found.values(), key=lambda h: (h.contig, h.start, h.end, h.kind, h.strand))
