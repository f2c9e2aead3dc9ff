"""Column 9 of GFF3, and what its attributes state about a feature; GTF and GenBank are brought to the same keys."""

from __future__ import annotations

from typing import TypeAlias
from urllib.parse import unquote

Attributes: TypeAlias = dict[str, str]

_MARKS = frozenset(
    {"partial", "start_range", "end_range", "exception", "transl_except", "ribosomal_slippage", "pseudo", "pseudogene", "origin_spanning"}
)  # fmt: skip


def parse_attributes(text: str) -> Attributes:
    """Parse column 9; a repeated key keeps its first value, text without "=" is dropped.

    Values stay escaped (a comma separates values, an escaped comma does not): `unescape` and `values` decode them.
    """
    if "; " in text:
        text = text.replace("; ", ";")
    pairs = [pair.split("=", 1) for pair in text.strip().split(";") if "=" in pair]
    pairs.reverse()
    return dict(pairs)


def unescape(text: str) -> str:
    """Decode %XX."""
    return unquote(text) if "%" in text else text


def values(text: str) -> list[str]:
    """Split a value at commas and decode its parts."""
    if "," not in text and "%" not in text:
        return [text] if text else []
    return [unescape(part) for part in text.split(",")]


def has_marks(attributes: Attributes) -> bool:
    """Whether the attributes say something out of the ordinary (partial, pseudo, exception ...)."""
    return not _MARKS.isdisjoint(attributes)


def is_true(attributes: Attributes, key: str) -> bool:
    """Whether the attribute says true."""
    return attributes.get(key, "").lower() in ("true", "yes", "1")


def is_pseudo(attributes: Attributes) -> bool:
    """Whether the attributes mark a pseudogene."""
    return is_true(attributes, "pseudo") or "pseudogene" in attributes
