"""Mitochondria and plastids among the contigs of a genome, and the genetic codes that they use.

A contig is an organelle's by its FASTA header and its length. The header must name the organelle as
the place of the sequence ("mitochondrion, complete genome", `[location=mitochondrion]`, chrM): of
a "nuclear gene for mitochondrial product", or of mitochondrial DNA in a chromosome, it does not.
Plastids use code 11. Mitochondria read TGA as tryptophan (code 4 and others) but in plants, whose
are long (1); where AGA and AGG end open frames, too, it is a vertebrate's (2). Codes whose stops
are the same (3, 4, 5 and others) cannot be told apart so: the clade decides where it is known, and
the genus of a budding yeast in the header (3).

Example:
    >>> organelle_of("chrM", ""), organelle_of("NC_1.1", "Zea mays chloroplast, complete genome")
    ('mitochondrion', 'plastid')
"""

from __future__ import annotations

import re
from dataclasses import dataclass
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

_STANDARD, _VERTEBRATE, _YEAST, _INVERTEBRATE = 1, 2, 3, 5
_CLADE_CODES = {"vertebrates": _VERTEBRATE, "invertebrates": _INVERTEBRATE, "plants": _STANDARD}
_NAMES: tuple[tuple[Organelle, re.Pattern[str]], ...] = (
    ("mitochondrion", re.compile(r"(?:chr)?_?(?:m|mt|mito|mtdna|mitochondri(?:on|al?))", re.I)),
    ("plastid", re.compile(r"(?:chr)?_?(?:c|p|pt|ptdna|cpdna|plastid|chloroplast)", re.I)),
)
_SINGLE_LETTER = re.compile(r"[cmp]", re.I)
"""Too short a name to say so."""
_WHOLE = r"(?:\s+(?:genome|chromosome|dna,? complete)\b)"
_WORDS: tuple[tuple[Organelle, re.Pattern[str]], ...] = (
    (
        "mitochondrion",
        re.compile(rf"\b(?:mitochondrion|kinetoplast|mitochondrial{_WHOLE})", re.I),
    ),
    (
        "plastid",
        re.compile(r"\b(?:chloroplast|plastid|plastome|cyanelle|chromoplast)\b", re.I),
    ),
)
_ELSEWHERE = re.compile(
    r"\b(?:nuclear|nucleus|chromosomal|integrated|insert(?:ed|ion)?|transferred|numts?|nupts?|"
    r"pseudogenes?|like|mrna|protein|product|gene for)\b",
    re.I,
)
"""Words of a sequence that lies elsewhere, or of a part of one."""
_NUCLEAR = re.compile(r"\b(?:chromosome|linkage group|plasmid)\b", re.I)
"""Before the organelle's name; "mitochondrion chromosome 2" is one of its own."""
_CODE_3 = re.compile(
    r"\b(?:Saccharomyces|Kazachstania|Kluyveromyces|Lachancea|Nakaseomyces|Naumovozyma|"
    r"Tetrapisispora|Torulaspora|Vanderwaltozyma|Zygosaccharomyces|Candida glabrata)\b"
)
"""Genera of the Saccharomycetaceae, whose mitochondria read CTN as threonine."""


def organelle_of(name: str, description: str) -> Organelle | None:
    """Return what a contig's header says it is; None = nothing, or part of a nucleus.

    Args:
        name: The contig's name: chrM, MT, Pt ...
        description: The rest of its header, as NCBI writes it, or `[location=mitochondrion]`.
    """
    for organelle, words in _WORDS:
        found = words.search(description)
        if found and not _NUCLEAR.search(description[: found.start()]):
            return None if _ELSEWHERE.search(description) else organelle
    for organelle, names in _NAMES:
        if names.fullmatch(name) and not _SINGLE_LETTER.fullmatch(name):
            return organelle
    return None


@dataclass(frozen=True, slots=True)
class OrganelleCode:
    """A genetic code, and what speaks for it."""

    code: int
    """NCBI number."""
    reason: str


def organelle_code(
    organelle: Organelle, bases: Bases, clade: str | None = None, description: str = ""
) -> OrganelleCode:
    """Return an organelle's genetic code.

    Args:
        organelle: Its kind.
        bases: Its sequence.
        clade: Clade of the genome, where it is known.
        description: Its FASTA header, which may name the species.
    """
    if organelle == "plastid":
        return OrganelleCode(STANDARD, "as all plastids")
    if genus := _CODE_3.search(description):
        return OrganelleCode(_YEAST, f"as {genus[0]}, a budding yeast")
    if clade in _CLADE_CODES:
        return OrganelleCode(_CLADE_CODES[clade], f"as those of {clade}")
    survey = survey_block(bases)
    reads_tga = survey.tga_open.covered >= TGA_COVERAGE * max(1, survey.standard.covered)
    if len(bases) > MOST_ANIMAL_BP and not reads_tga:
        return OrganelleCode(_STANDARD, "long as those of plants, and TGA ends its open frames")
    if survey.codons >= LEAST_CODONS and survey.agr <= MOST_AGR * survey.codons:
        return OrganelleCode(_VERTEBRATE, "AGA and AGG end its open frames, as in vertebrates")
    shown = "its open frames read through TGA" if reads_tga else "not shown by its open frames"
    return OrganelleCode(TGA_TRP, f"{shown}; 3, of budding yeasts, has the same stops")
