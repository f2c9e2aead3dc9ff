"""Random access to FASTA files: regions as samtools writes them, plain and bgzip, and refusals."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from Bio import bgzf

from genet5.errors import ConfigError, DataError
from genet5.genome.io.regions import IndexedFasta, Region

TEXT = ">a first\nACGTA\nCCNgt\n>b:1-2\nTTTTT\nGG\n>c\n"


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    path = tmp_path / "genome.fa"
    path.write_text(TEXT)
    return path


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    path = tmp_path / "genome.bgz"
    with bgzf.open(str(path), "wt") as out:
        out.write(TEXT)
    return path


@pytest.mark.parametrize("kind", ["plain", "packed"])
def test_a_region_is_read_without_leaving_an_index(
    kind: str, request: pytest.FixtureRequest
) -> None:
    path = request.getfixturevalue(kind)
    with IndexedFasta(path) as fasta:
        assert fasta.lengths == {"a": 10, "b:1-2": 7, "c": 0}
        (region,) = fasta.locate(["a:4-8"])
        assert region == Region("a", 3, 8)
        assert str(region) == "a:4-8"
        assert fasta.bases(region).tobytes() == b"TACCN"
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_an_index_beside_the_file_is_used(plain: Path) -> None:
    plain.with_name("genome.fa.fai").write_text("a\t5\t9\t5\t6\n")
    with IndexedFasta(plain) as fasta:
        assert fasta.lengths == {"a": 5}


def test_regions_come_in_the_files_order(plain: Path) -> None:
    with IndexedFasta(plain) as fasta:
        found = fasta.locate(["b:1-2", "a:6-10", "a:1-5"])
    assert [str(region) for region in found] == ["a:1-5", "a:6-10", "b:1-2:1-7"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("d", "must be CONTIG or CONTIG:START-END"),
        ("a:5", "must be CONTIG or CONTIG:START-END"),
        ("d:1-2", "must be CONTIG or CONTIG:START-END"),
        ("a:0-2", "must lie within 1-10"),
        ("a:3-2", "must lie within 1-10"),
        ("a:1-11", "must lie within 1-10"),
    ],
)
def test_what_is_no_region_of_the_genome_is_refused(plain: Path, text: str, message: str) -> None:
    with IndexedFasta(plain) as fasta, pytest.raises(ConfigError, match=message):
        fasta.locate([text])


def test_regions_that_overlap_are_refused(plain: Path) -> None:
    with IndexedFasta(plain) as fasta, pytest.raises(ConfigError, match="must not overlap"):
        fasta.locate(["a:1-5", "a:5-6"])


def test_a_gzip_file_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "genome.fa.gz"
    path.write_bytes(gzip.compress(TEXT.encode()))
    with pytest.raises(DataError, match="Compress it with bgzip"), IndexedFasta(path):
        pass


def test_a_file_that_cannot_be_indexed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "genome.fa"
    path.write_text(">a\nACG\nACGTA\nAC\n")
    with pytest.raises(DataError, match="Fold all lines"), IndexedFasta(path):
        pass
