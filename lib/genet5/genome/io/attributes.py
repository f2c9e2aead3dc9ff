r"""Column 9 of GFF3, what its attributes state about a feature, and which of them are kept.

GTF and GenBank are brought to the same keys. Attributes that describe a product and not a gene's
structure (`KEPT`) travel with genes where a reader is asked to keep them, under INSDC's names; each
writer gives them its own format's word.

Example:
    >>> attributes = parse_attributes("ID=g1;Dbxref=A:1,B:2;Note=x%3By")
    >>> attributes["Note"]
    'x%3By'
    >>> kept_attributes(attributes)
    (('db_xref', 'A:1'), ('db_xref', 'B:2'), ('note', 'x;y'))
"""

from __future__ import annotations

from typing import TypeAlias
from urllib.parse import unquote

from genet5.genome.gene import KeptAttributes

Attributes: TypeAlias = dict[str, str]

GTF_SEPARATOR = "\t"
"""Between the values of a repeated GTF key: no column holds one."""
KEPT = (
    "locus_tag", "old_locus_tag", "gene_synonym", "product", "protein_id", "transcript_id",
    "EC_number", "db_xref", "inference", "transl_except", "note",
)  # fmt: skip
"""Attributes that are kept, in INSDC's words."""
_NAMES = {name.lower(): name for name in KEPT} | {"dbxref": "db_xref"}
GFF3_WORDS = {name: name for name in KEPT} | {"db_xref": "Dbxref", "note": "Note"}
"""INSDC's word -> that of GFF3."""
_MARKS = frozenset({
    "partial", "start_range", "end_range", "exception", "transl_except", "ribosomal_slippage",
    "pseudo", "pseudogene", "origin_spanning",
})  # fmt: skip


def parse_attributes(text: str) -> Attributes:
    """Parse column 9; a repeated key keeps its first value, text without "=" is dropped.

    Values stay escaped (a comma separates values, an escaped comma does not): `unescape` and
    `values` decode them. Blanks around keys and values do not count.
    """
    found: Attributes = {}
    has_blanks = " " in text
    for pair in text.strip().split(";"):
        key, equals, value = pair.partition("=")
        if has_blanks:
            key, value = key.strip(), value.strip()
        if equals and key not in found:
            found[key] = value
    return found


def unescape(text: str) -> str:
    """Decode %XX."""
    return unquote(text) if "%" in text else text


def values(text: str) -> list[str]:
    """Split a value at commas and decode its parts."""
    if "," not in text and "%" not in text:
        return [text] if text else []
    return [unescape(part.strip()) for part in text.split(",")]


def unquoted(text: str) -> str:
    r"""Column 9 without the quotes that a spreadsheet put around it.

    Example:
        >>> unquoted('"gene_id ""a""; note b"'), unquoted("ID=a")
        ('gene_id "a"; note b', 'ID=a')
    """
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    return text[1:-1].replace('""', '"')


def kept_attributes(attributes: Attributes, *, separator: str = ",") -> KeptAttributes:
    """The attributes to keep: one pair for each value, in the order of `KEPT`.

    Args:
        attributes: Of one feature, escaped.
        separator: Between the values of one key.
    """
    found: dict[str, list[str]] = {}
    for key, text in attributes.items():
        name = _NAMES.get(key.lower())
        if name is not None and text:
            found.setdefault(name, []).extend(unescape(v.strip()) for v in text.split(separator))
    return tuple((name, value) for name in KEPT for value in found.get(name, ()) if value)


def has_marks(attributes: Attributes) -> bool:
    """Whether the attributes state something unusual (partial, pseudo, exception ...)."""
    return not _MARKS.isdisjoint(attributes)


def is_true(attributes: Attributes, key: str) -> bool:
    """Whether the value of the attribute is true."""
    return attributes.get(key, "").lower() in ("true", "yes", "1")


def is_pseudo(attributes: Attributes) -> bool:
    """Whether the attributes mark a pseudogene."""
    return is_true(attributes, "pseudo") or "pseudogene" in attributes


def is_trans_spliced(attributes: Attributes) -> bool:
    """Whether the attributes mark trans-splicing."""
    return "trans" in attributes.get("exception", "") or "trans_splicing" in attributes
