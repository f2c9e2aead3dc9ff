from __future__ import annotations

from pathlib import PurePosixPath
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genet5.cli.fetch import FetchConfig
from genet5.config.clades import CLADES, Clade
from genet5.errors import ConfigError, DataError
from genet5.fetch.names import clade_of, parse_accession, safe_name
from genet5.fetch.urls import is_safe_url


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("GCF_000005845.2", "assembly"),
        ("gca_000005845", "assembly"),
        ("NC_000913.3", "nucleotide"),
        ("NZ_AAAA01000001.1", "nucleotide"),
        ("CP009273", "nucleotide"),
        ("U00096.3", "nucleotide"),
        (" CAJNNU010000001.1 ", "nucleotide"),
    ],
)
def test_accessions_of_genomes_are_distinguished(text: str, kind: str) -> None:
    assert parse_accession(text).kind == kind


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("NP_414542.1", "names a protein"),
        ("AAC73112.1", "names a protein"),
        ("NM_000546.6", "names a transcript"),
        ("SRR000001", "names a sequencing run"),
        ("PRJNA57779", "names a project"),
        ("GCF_12", "must be an assembly"),
        ("../../etc/passwd", "must be an assembly"),
        ("NC_000913.3&db=x", "must be an assembly"),
        ("", "must be an assembly"),
    ],
)
def test_other_words_are_refused(text: str, found: str) -> None:
    with pytest.raises(ConfigError, match=found):
        parse_accession(text)


def test_an_accession_without_version_names_every_version() -> None:
    assert parse_accession("GCF_000005845").names("GCF_000005845.7")
    assert not parse_accession("GCF_000005845.2").names("GCF_000005845.7")
    assert not parse_accession("GCF_000005845").names("GCF_000005846.1")


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("Escherichia coli str. K-12", "ASM584v2"), "Escherichia_coli_str._K-12_ASM584v2"),
        (("../../../etc", "passwd"), "etc_passwd"),
        (("..", ".."), "unnamed"),
        (("", ""), "unnamed"),
        (("Café\u0301 'x'\x00/", "a\\b"), "Cafe_x_a_b"),
    ],
)
def test_names_are_safe(words: tuple[str, ...], name: str) -> None:
    assert safe_name(*words) == name


@pytest.mark.slow
@given(st.text(), st.text())
def test_any_name_is_one_plain_path_component(first: str, second: str) -> None:
    name = safe_name(first, second)
    assert len(PurePosixPath(name).parts) == 1
    assert not name.startswith((".", "-"))
    assert 0 < len(name) <= 100
    assert name.isascii()
    assert not set(name) & set("/\\:*?\"<>|'$`;& \n")


@pytest.mark.parametrize(
    ("lineage", "clade"),
    [
        ({131567, 2, 1224}, "prokaryotes"),
        ({2157}, "prokaryotes"),
        ({2759, 33090, 3701}, "plants"),
        ({2759, 33208, 7742, 9606}, "vertebrates"),
        ({2759, 33208, 6656}, "invertebrates"),
        ({2759, 4751}, "unicellular"),
        ({2759, 5794}, "unicellular"),
    ],
)
def test_the_lineage_decides_about_the_clade(lineage: set[int], clade: str) -> None:
    assert clade_of(lineage, "Testus") == clade


def test_a_virus_needs_a_clade() -> None:
    with pytest.raises(DataError, match="--clade"):
        clade_of({10239}, "Tobacco mosaic virus")


def test_clades_are_those_of_the_table() -> None:
    assert get_args(Clade) == tuple(CLADES)


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://example.org/x", True),
        ("http://127.0.0.1:8000", True),
        ("http://[::1]:8000/x", True),
        ("http://example.org", False),
        ("http://127.0.0.1.example.org", False),
        ("ftp://ftp.ncbi.nlm.nih.gov", False),
        ("file:///etc/passwd", False),
        ("https://", False),
        ("http://[", False),
        ("", False),
    ],
)
def test_only_https_and_this_machine_are_safe(url: str, safe: bool) -> None:
    assert is_safe_url(url) is safe


def test_settings_refuse_plain_http() -> None:
    with pytest.raises(ConfigError, match="genomes_url"):
        FetchConfig(accessions=("NC_000913.3",), genomes_url="http://example.org")
    with pytest.raises(ConfigError, match="give at least one"):
        FetchConfig(accessions=())
