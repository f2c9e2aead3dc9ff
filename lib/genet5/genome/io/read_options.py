"""How an annotation file is read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """Options of all readers."""

    skip_bad: bool = False
    """Leave bad records out and count them by cause, instead of raising."""
    stop_codon_outside: bool = False
    """The file leaves stop codons out of its CDS and has no stop_codon lines: each complete CDS
    is extended by its stop codon, across an intron where it is split."""
    keep_attributes: bool = False
    """Keep products, cross-references, notes ... (`attributes.KEPT`) for writing them again."""


DEFAULT_OPTIONS = ReadOptions()
