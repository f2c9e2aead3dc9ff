"""Hints as the field's programs write them: one form, whatever the file."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from genet5.cli.hints import main
from genet5.errors import DataError
from genet5.genome.hints import Hint, merged
from genet5.genome.io.hints import read_hints, write_hints
from genet5.genome.io.junctions import read_junctions

AUGUSTUS = """\
# hints of BRAKER
c1\tb2h\tintron\t101\t200\t0\t+\t.\tmult=12;pri=4;src=E
c1\tProtHint\tCDSpart\t11\t40\t.\t-\t2\tsrc=P; grp=x; pri=4
c1\tProtHint\tstart\t301\t303\t1\t+\t0\tsrc=P;mult=3
c1\tProtHint\tstop\t301\t333\t1\t+\t0\tsrc=P
c1\tb2h\tep\t5\t9\t.\t.\t.\tsrc=E
"""
MINIPROT = """\
##gff-version 3
##PAF\tq\t30\t0\t30\t+\tc1\t900\t10\t400
c1\tminiprot\tmRNA\t11\t400\t99\t+\t.\tID=MP1;Rank=1;Identity=0.9
c1\tminiprot\tCDS\t11\t40\t50\t+\t0\tParent=MP1;Rank=1
c1\tminiprot\tCDS\t101\t160\t49\t+\t0\tParent=MP1;Rank=1
c1\tminiprot\tstop_codon\t158\t160\t0\t+\t0\tParent=MP1;Rank=1
"""
STRINGTIE = """\
c1\tStringTie\ttranscript\t1\t90\t1000\t-\t.\tgene_id "G.1"; transcript_id "G.1.1"; cov "7.2";
c1\tStringTie\texon\t61\t90\t1000\t-\t.\tgene_id "G.1"; transcript_id "G.1.1"; cov "6.6";
c1\tStringTie\texon\t1\t30\t1000\t-\t.\tgene_id "G.1"; transcript_id "G.1.1"; cov "9.0";
c1\tStringTie\texon\t1\t30\t1000\t-\t.\tgene_id "G.1"; transcript_id "G.1.2"; cov "2.0";
"""


def read(folder: Path, text: str) -> list[Hint]:
    path = folder / "hints.gff"
    path.write_text(text)
    return list(read_hints(path))


def test_hints_of_augustus_keep_source_and_multiplicity(tmp_path: Path) -> None:
    assert read(tmp_path, AUGUSTUS) == [
        Hint("c1", "intron", 100, 200, 1, None, 12, "E", 0.0),
        Hint("c1", "coding", 10, 40, -1, 2, 1, "P"),
        Hint("c1", "start", 300, 303, 1, None, 3, "P", 1.0),
    ]


def test_miniprot_gives_parts_stops_and_the_introns_between(tmp_path: Path) -> None:
    found = [(h.kind, h.start, h.end, h.phase) for h in read(tmp_path, MINIPROT)]
    assert found == [
        ("coding", 10, 40, 0), ("coding", 100, 160, 0), ("stop", 157, 160, None),
        ("intron", 40, 100, None),
    ]  # fmt: skip


def test_introns_of_stringtie_lie_between_exons_as_deep_as_the_shallower(tmp_path: Path) -> None:
    (hint,) = read(tmp_path, STRINGTIE)
    assert (hint.kind, hint.start, hint.end, hint.strand) == ("intron", 30, 60, -1)
    assert (hint.multiplicity, hint.source) == (7, "StringTie")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("c1\tx\tintron\t5\t9\t.\t+\t.", "8 columns"),
        ("c1\tx\tintron\t9\t5\t.\t+\t.\t", "place 9 to 5"),
        ("c1\tx\tintron\t5\t9\t.\tplus\t.\t", "strand plus"),
    ],
)
def test_a_line_that_is_no_feature_is_named(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        read(tmp_path, f"# one\n{line}\n")
    assert caught.value.line == 2


def test_written_hints_are_read_back(tmp_path: Path) -> None:
    hints = read(tmp_path, AUGUSTUS)
    out = io.StringIO()
    write_hints(out, hints)
    assert read(tmp_path, out.getvalue()) == hints


def test_equal_hints_of_one_source_count_together() -> None:
    one = Hint("c", "intron", 5, 9, 1, multiplicity=2, source="E")
    other = Hint("c", "intron", 5, 9, 1, source="P")
    assert [hint.multiplicity for hint in merged([one, other, one])] == [4, 1]


def write_bam(path: Path) -> None:
    """Reads over an intron: with and without strand, of short overhang, and a secondary one."""
    pysam = pytest.importorskip("pysam", reason="the extra `hints` is not installed")
    header = {"HD": {"VN": "1.6"}, "SQ": [{"SN": "c1", "LN": 1000}]}
    with pysam.AlignmentFile(str(path), "wb", header=header) as out:
        for flag, cigar, tags in (
            (0, "10M2I50N10M", [("XS", "-")]),
            (16, "12M50N10M", [("ts", "+")]),
            (0, "3M50N19M", [("XS", "-")]),
            (256, "12M50N10M", [("XS", "-")]),
            (0, "12M60N10M", []),
        ):
            read = pysam.AlignedSegment(out.header)
            read.query_name, read.flag, read.reference_id = "r", flag, 0
            read.reference_start = 100 if cigar.startswith("10M") else 98
            read.query_sequence, read.cigarstring = "A" * 22, cigar
            read.set_tags(tags)
            out.write(read)


def test_introns_of_split_reads_have_the_strand_of_their_tags(tmp_path: Path) -> None:
    write_bam(tmp_path / "rna.bam")
    found = [(h.start, h.end, h.strand, h.multiplicity, h.source)
             for h in read_junctions(tmp_path / "rna.bam", overhang=8)]  # fmt: skip
    assert found == [(110, 160, -1, 2, "E"), (110, 170, 0, 1, "E")]


def test_the_command_joins_files_and_leaves_rare_introns_out(tmp_path: Path) -> None:
    write_bam(tmp_path / "rna.bam")
    (tmp_path / "p.gff").write_text(MINIPROT)
    words = [str(tmp_path / "rna.bam"), str(tmp_path / "p.gff"), "-o", str(tmp_path / "h.gff")]
    assert main([*words, "--least", "2"]) == 0
    lines = [line.split("\t") for line in (tmp_path / "h.gff").read_text().splitlines()]
    assert [line[2] for line in lines] == ["CDSpart", "CDSpart", "intron", "stop"]
    assert lines[2][3:7] == ["111", "160", ".", "-"]
    assert lines[2][8] == "mult=2;src=E"


@pytest.mark.parametrize("word", ["inf", "nan", "1e400", "-3", "x"])
def test_a_multiplicity_that_is_no_count_counts_once(tmp_path: Path, word: str) -> None:
    path = tmp_path / "h.gff"
    path.write_text(f"c\tb\tintron\t11\t90\t.\t+\t.\tmult={word}\n")
    assert [hint.multiplicity for hint in read_hints(path)] == [1]


@pytest.mark.parametrize("place", ["\N{SUPERSCRIPT TWO}", "9" * 5000, "-1", ""])
def test_a_place_that_is_no_number_is_named(tmp_path: Path, place: str) -> None:
    path = tmp_path / "h.gff"
    path.write_text(f"c\tb\tintron\t{place}\t90\t.\t+\t.\t.\n", encoding="utf-8")
    with pytest.raises(DataError, match="1-based numbers, the smaller first"):
        list(read_hints(path))
