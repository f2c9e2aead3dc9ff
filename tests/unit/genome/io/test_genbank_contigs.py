from __future__ import annotations

from pathlib import Path

import pytest

from genet5.errors import DataError
from genet5.genome.io.genbank_contigs import read_genbank_contigs
from genet5.genome.sequence import decode_bases

RECORD = """LOCUS       NC_1                      12 bp    DNA     circular BCT 01-JAN-2026
DEFINITION  Testus probus strain K-1,
            complete genome.
ACCESSION   NC_1
VERSION     NC_1.2
FEATURES             Location/Qualifiers
     source          1..12
ORIGIN
        1 acgtnryacg
       11 tt
//
"""


def write(path: Path, text: str) -> Path:
    (path / "x.gb").write_text(text)
    return path / "x.gb"


def test_a_record_is_a_contig_in_upper_case(tmp_path: Path) -> None:
    (contig,) = read_genbank_contigs(write(tmp_path, RECORD))
    assert contig.name == "NC_1.2"
    assert contig.description == "Testus probus strain K-1, complete genome [topology=circular]"
    assert decode_bases(contig.bases) == "ACGTNRYACGTT"


def test_a_linear_record_says_nothing_of_a_circle(tmp_path: Path) -> None:
    (contig,) = read_genbank_contigs(write(tmp_path, RECORD.replace("circular", "linear")))
    assert contig.description == "Testus probus strain K-1, complete genome"


def test_records_follow_each_other(tmp_path: Path) -> None:
    text = RECORD + "\n" + RECORD.replace("NC_1", "NC_2")
    names = [contig.name for contig in read_genbank_contigs(write(tmp_path, text))]
    assert names == ["NC_1.2", "NC_2.2"]


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("//\n", "", r"x\.gb:10: record 'NC_1\.2' ends without //"),
        ("       11 tt\n", "", r"x\.gb:1: record NC_1\.2 has 10 bases; expected 12"),
        ("acgtnryacg", "acgtnry*cg", r"x\.gb:9: letter '\*' in a sequence"),
        ("  12 bp", "  rc", r"x\.gb:1: line 'LOCUS"),
        ("LOCUS", "Error", r"x\.gb:1: line 'Error"),
    ],
)
def test_torn_records_are_errors(tmp_path: Path, old: str, new: str, found: str) -> None:
    with pytest.raises(DataError, match=found):
        list(read_genbank_contigs(write(tmp_path, RECORD.replace(old, new))))


def test_a_record_without_sequence_is_told(tmp_path: Path) -> None:
    start, _, _ = RECORD.partition("ORIGIN")
    with pytest.raises(DataError, match="lists others has no sequence"):
        list(read_genbank_contigs(write(tmp_path, start + "WGS         NZ_1\n//\n")))
