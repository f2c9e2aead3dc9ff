"""Mitochondria and plastids among the contigs of a genome, and the genetic codes that they use.

A contig is an organelle's by its FASTA header and its length. Plastids use code 11. Mitochondria
read TGA as tryptophan (code 4 and others) but in plants, whose are long (1); where AGA and AGG end
open frames, too, it is a vertebrate's (2). Codes whose stops are the same (4, 5 and others) cannot
be told apart so, and the clade decides where it is known.

Example:
    >>> organelle_of("chrM", ""), organelle_of("NC_1.1", "Zea mays chloroplast, complete genome")
    ('mitochondrion', 'plastid')
"""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

from genet5.genome.sequence import Bases
from genet5.genome.survey import STANDARD, TGA_COVERAGE, TGA_TRP, survey_block

Organelle: TypeAlias = Literal["mitochondrion", "plastid"]

MOST_BP = 2_000_000
"""A longer contig is no organelle's, whatever its header says; most have 15 to 700 kb."""
MOST_ANIMAL_BP = 150_000
"""Mitochondria of plants are longer, those of animals, fungi and most others shorter."""
MOST_AGR = 0.004
"""Share of AGA and AGG in long frames up to which they are stops; as arginine or serine they make
up some percent."""
LEAST_CODONS = 500
"""Fewer codons in long frames do not show it."""

_STANDARD, _VERTEBRATE, _INVERTEBRATE = 1, 2, 5
_CLADE_CODES = {"vertebrates": _VERTEBRATE, "invertebrates": _INVERTEBRATE, "plants": _STANDARD}
_NAMES: tuple[tuple[Organelle, re.Pattern[str]], ...] = (
    ("mitochondrion", re.compile(r"(?:chr)?_?(?:m|mt|mito|mtdna|mitochondri(?:on|al?))", re.I)),
    ("plastid", re.compile(r"(?:chr)?_?(?:c|p|pt|ptdna|cpdna|plastid|chloroplast)", re.I)),
)
_SINGLE_LETTER = re.compile(r"[cmp]", re.I)
"""Too short a name to say so."""
_WORDS: tuple[tuple[Organelle, re.Pattern[str]], ...] = (
    ("mitochondrion", re.compile(r"\b(?:mitochondri(?:on|al|a)|kinetoplast)\b", re.I)),
    ("plastid", re.compile(r"\b(?:chloroplast|plastid|plastome|cyanelle|chromoplast)\b", re.I)),
)


def organelle_of(name: str, description: str) -> Organelle | None:
    """Return what a contig's header says it is; None = nothing, or part of a nucleus.

    Args:
        name: The contig's name: chrM, MT, Pt ...
        description: The rest of its header, as NCBI writes it, or `[location=mitochondrion]`.
    """
    for organelle, words in _WORDS:
        if words.search(description):
            return organelle
    for organelle, names in _NAMES:
        if names.fullmatch(name) and not _SINGLE_LETTER.fullmatch(name):
            return organelle
    return None


def organelle_code(organelle: Organelle, bases: Bases, clade: str | None = None) -> int:
    """Return the NCBI number of an organelle's genetic code.

    Args:
        organelle: Its kind.
        bases: Its sequence.
        clade: Clade of the genome, where it is known.
    """
    if organelle == "plastid":
        return STANDARD
    if clade in _CLADE_CODES:
        return _CLADE_CODES[clade]
    survey = survey_block(bases)
    reads_tga = survey.tga_open.covered >= TGA_COVERAGE * max(1, survey.standard.covered)
    if len(bases) > MOST_ANIMAL_BP and not reads_tga:
        return _STANDARD
    if survey.codons >= LEAST_CODONS and survey.agr <= MOST_AGR * survey.codons:
        return _VERTEBRATE
    return TGA_TRP
