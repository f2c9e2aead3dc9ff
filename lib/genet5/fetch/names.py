"""Kinds of accessions, names that are safe as folders, and the clade of a lineage.

Names come from a server: a folder's name is made of letters, digits and `.+-_` alone, never begins
with a dot, and is one path component, so that nothing can be written outside the folder that the
user gave.

Example:
    >>> parse_accession("gcf_000005845.2")
    Accession(text='GCF_000005845.2', kind='assembly')
    >>> safe_name("../Escherichia coli str. K-12 (MG/1655)")
    'Escherichia_coli_str._K-12_MG_1655'
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from genet5.config.clades import CLADES, Clade
from genet5.errors import ConfigError, DataError

_ASSEMBLY = re.compile(r"GC[AF]_\d{9}(\.\d+)?")
_NUCLEOTIDE = re.compile(
    r"(?:[A-Z]{2}_[A-Z]{0,6}\d{5,12}|[A-Z]\d{5}|[A-Z]{2}\d{6}(?:\d{2})?|[A-Z]{4}\d{8,10}"
    r"|[A-Z]{6}\d{9,11})(?:\.\d+)?"
)
_OTHERS = {
    r"[ANWXY]P_": "a protein",
    r"[NX][MR]_": "a transcript",
    r"[SED]R[RXSP]\d": "a sequencing run",
    r"[A-Z]{3}\d{5}": "a protein",
    r"PRJ[EDN]": "a project",
    r"SAM[EDN]": "a sample",
}
"""Beginnings of accessions that name no genome."""
_EXPECTED = (
    "an assembly (GCF_000005845.2, GCA_...) or a nucleotide record (NC_000913.3, CP009273.1)"
)
_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class Accession:
    """An accession as the user gave it, in upper case."""

    text: str
    kind: Literal["assembly", "nucleotide"]

    @property
    def has_version(self) -> bool:
        """Whether it names one version (`.2`) and not the latest."""
        return "." in self.text

    def names(self, full: str) -> bool:
        """Whether `full` (with version) is what this names."""
        return full == self.text or (not self.has_version and full.split(".")[0] == self.text)


def parse_accession(text: str) -> Accession:
    """Recognise an accession's kind.

    Raises:
        ConfigError: It names no assembly and no nucleotide record.
    """
    word = text.strip().upper()
    if _ASSEMBLY.fullmatch(word):
        return Accession(word, "assembly")
    for start, kind in _OTHERS.items():
        if re.match(start, word):
            raise ConfigError("ACCESSION", text, f"names {kind}; must be {_EXPECTED}")
    if _NUCLEOTIDE.fullmatch(word):
        return Accession(word, "nucleotide")
    raise ConfigError("ACCESSION", text, f"must be {_EXPECTED}")


def safe_name(*words: str) -> str:
    """Return one path component made of a server's words.

    It has at most 100 characters: ASCII letters, digits and `.+-_`.
    """
    parts = [part for word in words if (part := _plain(word))]
    return _plain("_".join(parts)[:_LONGEST_NAME]) or "unnamed"


def _plain(text: str) -> str:
    ascii_only = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9.+-]+", "_", ascii_only)
    return re.sub(r"\.{2,}|_(?:[._]*_)?", lambda m: m[0][0], name).strip("._-+")


def clade_of(lineage: Collection[int], organism: str) -> Clade:
    """Return the clade of an organism by the NCBI identifiers of its lineage.

    Example:
        >>> clade_of({131567, 2, 1224, 562}, "Escherichia coli")
        'prokaryotes'

    Raises:
        DataError: It is a virus, or no organism at all.
    """
    for clade, traits in reversed(CLADES.items()):  # narrow groups before those they belong to
        if not {*lineage}.isdisjoint(traits.taxonomy_ids):
            return clade
    raise DataError(
        f"{organism} is no cellular organism", expected="a bacterium, archaeon or eukaryote",
        remedy="Give its clade with --clade",
    )  # fmt: skip
