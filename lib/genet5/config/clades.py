"""The five clades that genomes are sorted into, and what is assumed of the genomes of each.

The order is that of the clade tokens' ids. Files call a clade `taxon`: the column and the settings
of packed files, `annotate.json`, `provenance.json`, the split table, and the tokens `<taxon_...>`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from genet5.errors import ConfigError

Clade: TypeAlias = Literal["prokaryotes", "unicellular", "invertebrates", "vertebrates", "plants"]


@dataclass(frozen=True, slots=True)
class CladeTraits:
    """Defaults for genomes of one clade."""

    taxonomy_ids: tuple[int, ...]
    """NCBI taxonomy identifiers of its groups, less those of the clades after it in the table:
    fungi and algae that are no green plants count as unicellular."""
    genetic_code: int
    """NCBI number of the genetic code of genes that do not state their own."""
    introns: bool
    """Whether genes may have introns."""
    start_codons: tuple[str, ...]
    """Codons that may start a gene."""
    window_bp: int
    """Bases of gene-centric windows."""
    max_genes: int
    """Most genes that get gene-centric windows, over all genomes of the clade."""


_BACTERIA, _ARCHAEA, _EUKARYOTA = 2, 2157, 2759
_VIRIDIPLANTAE, _VERTEBRATA, _METAZOA = 33090, 7742, 33208


def _eukaryotes(taxonomy_id: int, window_bp: int) -> CladeTraits:
    return CladeTraits((taxonomy_id,), 1, True, ("ATG",), window_bp, 15_000)


CLADES: dict[Clade, CladeTraits] = {
    "prokaryotes": CladeTraits(
        (_BACTERIA, _ARCHAEA), 11, False, ("ATG", "GTG", "TTG"), 9_000, 10_000
    ),
    "unicellular": _eukaryotes(_EUKARYOTA, 15_000),
    "invertebrates": _eukaryotes(_METAZOA, 25_000),
    "vertebrates": _eukaryotes(_VERTEBRATA, 30_000),
    "plants": _eukaryotes(_VIRIDIPLANTAE, 25_000),
}


def traits_of(clade: str) -> CladeTraits:
    """Return the defaults of a clade.

    Raises:
        ConfigError: There is no such clade.
    """
    for name, traits in CLADES.items():
        if name == clade:
            return traits
    raise ConfigError("clade", clade, f"must be one of {', '.join(CLADES)}")
