"""Mitochondria and plastids by their headers, and their genetic codes by their open frames."""

from __future__ import annotations

import numpy as np
import pytest

from genet5.genome.codes import CODONS
from genet5.genome.organelles import organelle_code, organelle_of
from genet5.genome.sequence import encode_bases


@pytest.mark.parametrize(
    ("name", "description", "expected"),
    [
        ("chrM", "", "mitochondrion"), ("MT", "", "mitochondrion"), ("Mito", "", "mitochondrion"),
        ("ChrC", "", "plastid"), ("Pt", "", "plastid"),
        ("NC_012920.1", "Homo sapiens mitochondrion, complete genome", "mitochondrion"),
        ("tig7", "[location=chloroplast]", "plastid"),
        ("M", "", None), ("chr1", "", None), ("NC_1", "nuclear chromosome 4", None),
    ],
)  # fmt: skip
def test_a_header_names_an_organelle(name: str, description: str, expected: str | None) -> None:
    assert organelle_of(name, description) == expected


def long_frames(*stops: str) -> str:
    """Ten genes of 600 codons that none of these codons interrupts, TAA after each."""
    rng = np.random.default_rng(5)
    sense = [codon for codon in CODONS if codon not in stops]
    return "".join("ATG" + "".join(rng.choice(sense, 600)) + "TAA" for _ in range(10))


@pytest.mark.parametrize(
    ("stops", "copies", "code"),
    [
        (("TAA", "TAG", "TGA"), 9, 1),
        (("TAA", "TAG", "TGA"), 1, 4),
        (("TAA", "TAG"), 9, 4),
        (("TAA", "TAG", "AGA", "AGG"), 1, 2),
    ],
    ids=["plant", "fungus without TGA", "TGA is read", "vertebrate"],
)
def test_length_and_open_frames_show_which_stops_a_mitochondrion_reads(
    stops: tuple[str, ...], copies: int, code: int
) -> None:
    bases = encode_bases(copies * long_frames(*stops))
    assert organelle_code("mitochondrion", bases) == code


def test_a_clade_decides_between_codes_of_the_same_stops() -> None:
    bases = encode_bases(long_frames("TAA", "TAG"))
    codes = [organelle_code("mitochondrion", bases, c) for c in ("invertebrates", "unicellular")]
    assert codes == [5, 4]
    assert organelle_code("plastid", bases, "plants") == 11
