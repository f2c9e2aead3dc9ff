"""Genetic codes by NCBI number, from Biopython's tables.

Example:
    >>> genetic_code(4).is_stop("TGA"), genetic_code(11).is_stop("TGA")
    (False, True)
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from Bio.Data import CodonTable
from numpy.typing import NDArray

from genet5.errors import ConfigError
from genet5.genome.sequence import Bases, codon_index

_LETTERS = "ACGT"
CODONS = tuple(a + b + c for a in _LETTERS for b in _LETTERS for c in _LETTERS)
"""The 64 codons in the order of `codon_index`."""


@dataclass(frozen=True, slots=True)
class GeneticCode:
    """One of NCBI's translation tables."""

    number: int
    amino_acids: str
    """64 letters in the order of CODONS; "*" where the codon may stop translation."""

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop codons."""
        return tuple(c for c, a in zip(CODONS, self.amino_acids, strict=True) if a == "*")

    def is_stop(self, codon: str) -> bool:
        """Whether `codon` (three upper-case letters A, C, G, T) is a stop."""
        return codon in self.stops

    @property
    def stop_table(self) -> NDArray[np.bool_]:
        """(64,) bool in the order of CODONS."""
        return np.array([a == "*" for a in self.amino_acids])

    def translate(self, bases: Bases) -> str:
        """Translate whole codons; "X" for ambiguous codons, "*" for stops."""
        codons = codon_index(bases)[: len(bases) // 3 * 3 : 3]
        table = np.frombuffer((self.amino_acids + "X").encode(), dtype=np.uint8)
        return table[codons].tobytes().decode()


def known_codes() -> tuple[int, ...]:
    """NCBI numbers of all genetic codes."""
    return tuple(sorted(CodonTable.unambiguous_dna_by_id))


def parse_contig_codes(words: Sequence[str]) -> dict[str, int]:
    """Read NAME=NUMBER words: the genetic code of single contigs.

    Example:
        >>> parse_contig_codes(["chrM=2", "chrP=11"])
        {'chrM': 2, 'chrP': 11}

    Raises:
        ConfigError: A word has another form, or NCBI has no such number.
    """
    found: dict[str, int] = {}
    for word in words:
        name, _, number = word.rpartition("=")
        if not name or not number.isdecimal():
            raise ConfigError("contig_codes", word, "must be CONTIG=NUMBER, as in chrM=2")
        found[name] = genetic_code(int(number)).number
    return found


@functools.cache
def genetic_code(number: int) -> GeneticCode:
    """Return the genetic code with this NCBI number.

    A codon that is both sense and stop (codes 27, 28 and 31) counts as a stop.

    Raises:
        ConfigError: NCBI has no such number.
    """
    if number not in CodonTable.unambiguous_dna_by_id:
        known = ", ".join(map(str, known_codes()))
        raise ConfigError("genetic_code", number, f"must be one of NCBI's numbers: {known}")
    table = CodonTable.unambiguous_dna_by_id[number]
    stops = set(table.stop_codons)
    letters = ("*" if codon in stops else table.forward_table[codon] for codon in CODONS)
    return GeneticCode(number=number, amino_acids="".join(letters))
