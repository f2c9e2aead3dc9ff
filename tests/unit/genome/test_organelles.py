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
        ("NC_9", "Lachancea waltii strain 7 mitochondrion, complete genome", "mitochondrion"),
        ("NC_8", "Silene vulgaris mitochondrion chromosome 2, complete sequence", "mitochondrion"),
        ("AP1", "Mus musculus mitochondrial DNA, complete sequence", "mitochondrion"),
        ("XX1", "Homo sapiens nuclear gene for mitochondrial product, complete cds", None),
        ("XX2", "Homo sapiens mitochondrial ribosomal protein L1 gene, complete cds", None),
        ("XX3", "Felis catus clone 7 mitochondrial DNA integrated in the nuclear genome", None),
        ("NC_3", "Arabidopsis thaliana chromosome 2, with mitochondrion insertion", None),
        ("ctg4", "mitochondrion-like sequence, NUMT", None),
        ("NC_5", "Oryza sativa chromosome 10, chloroplast DNA", None),
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
    assert organelle_code("mitochondrion", bases).code == code


def test_a_clade_decides_between_codes_of_the_same_stops() -> None:
    bases = encode_bases(long_frames("TAA", "TAG"))
    found = [organelle_code("mitochondrion", bases, c) for c in ("invertebrates", "unicellular")]
    assert [one.code for one in found] == [5, 4]
    assert organelle_code("plastid", bases, "plants").code == 11


def test_a_budding_yeast_is_known_by_its_genus_and_other_fungi_are_not_guessed() -> None:
    bases = encode_bases(long_frames("TAA", "TAG"))
    headers = (
        "Saccharomyces cerevisiae S288C mitochondrion, complete genome",
        "Schizosaccharomyces pombe mitochondrion, complete genome",
        "mitochondrion",
    )
    found = [organelle_code("mitochondrion", bases, "fungi", header) for header in headers]
    assert [one.code for one in found] == [3, 4, 4]
    assert found[0].reason == "as Saccharomyces, a budding yeast"
    assert found[1].reason.startswith("its open frames read through TGA; 3, of budding yeasts")
