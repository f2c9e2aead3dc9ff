"""Contig names leave as they came, wherever gffread and GenomeTools accept them."""

from __future__ import annotations

import io
import logging
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genet5.genome.gene import Cds, Exon, Gene, Transcript
from genet5.genome.io.contig_names import gff3_name, gtf_name
from genet5.genome.io.fasta import read_fasta, write_fasta
from genet5.genome.io.formats import read_annotation
from genet5.genome.io.gff3_write import write_gff3
from genet5.genome.io.gtf_write import write_gtf

RAW = [
    "ScPoQx8_9972;HRSCAF=12060",
    "HG002#1#chr1",
    "gi|29366675|ref|NC_000866.4|",
    "tig(7)",
    "m64011/22/ccs",
    "a,b",
    "chr1:1-4000",
    "100%",
    "x~y",
    "[scaf]",
    "{s}",
    'say"so"',
    "a&b'c`d\\e<f>^$@!+*?",
]
DNA = "ATGAAATGGTAA"


def one_gene(contig: str) -> Gene:
    transcript = Transcript(id="t", exons=(Exon(0, 12),), cds=(Cds(0, 12, 0),))
    return Gene(id="g", contig=contig, strand=1, transcripts=(transcript,))


def written(write: Callable[..., None], *contigs: str) -> str:
    out = io.StringIO()
    write(out, [one_gene(contig) for contig in contigs], dict.fromkeys(contigs, 12))
    return out.getvalue()


@pytest.mark.parametrize("name", RAW)
def test_names_of_printable_ascii_are_not_changed(name: str) -> None:
    for write in (write_gff3, write_gtf):
        lines = written(write, name).splitlines()
        assert lines[1] == f"##sequence-region {name} 1 12"
        assert {line.split("\t")[0] for line in lines[2:]} == {name}


@pytest.mark.parametrize(
    ("name", "in_gff3", "in_gtf"),
    [
        ("#1#2", "%231#2", "%231#2"),
        (">x", "%3Ex", ">x"),
        ("a%41", "a%2541", "a%2541"),
        ("M\u00f6we", "M%C3%B6we", "M\u00f6we"),
        ("a b", "a%20b", "a%20b"),
    ],
)
def test_what_other_programs_misread_is_escaped(name: str, in_gff3: str, in_gtf: str) -> None:
    assert (gff3_name(name), gtf_name(name)) == (in_gff3, in_gtf)


def test_escapes_give_one_warning_for_each_file(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        written(write_gff3, "ok", "#1", "M\u00f6we")
    (record,) = caplog.records
    assert "would misread are escaped: 2, such as #1 as %231." in record.message
    caplog.clear()
    written(write_gtf, "ok", "M\u00f6we")
    assert not caplog.records


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@given(name=NAMES | st.from_regex(r"[#>%A-F0-9]{1,6}", fullmatch=True))
def test_any_name_is_read_back(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "names"
    for write in (write_gff3, write_gtf):
        path.write_bytes(written(write, name).encode())
        annotation = read_annotation(path)
        assert [gene.contig for gene in annotation.genes] == [name]
        assert annotation.contig_lengths == {name: 12}


@given(name=NAMES.filter(lambda name: len(name.split()) == 1 and name == name.strip()))
def test_fasta_gff3_and_gtf_agree(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "agree"
    write_fasta(path, [(name, DNA)])
    (contig,) = read_fasta(path)
    for write in (write_gff3, write_gtf):
        path.write_bytes(written(write, contig.name).encode())
        assert read_annotation(path).genes[0].contig == contig.name


@pytest.mark.skipif(shutil.which("gt") is None, reason="needs GenomeTools")
def test_genometools_accepts_all_names(tmp_path: Path) -> None:
    path = tmp_path / "a.gff3"
    path.write_text(written(write_gff3, *RAW, "#1", ">x"))
    subprocess.run(["gt", "gff3validator", path], check=True, capture_output=True)
    done = subprocess.run(["gt", "stat", path], check=True, capture_output=True, text=True)
    assert f"genes: {len(RAW) + 2}\n" in done.stdout


@pytest.mark.skipif(shutil.which("gffread") is None, reason="needs gffread")
def test_gffread_finds_the_sequences_of_raw_names(tmp_path: Path) -> None:
    write_fasta(tmp_path / "g.fa", [(name, DNA) for name in RAW])
    (tmp_path / "a.gff3").write_text(written(write_gff3, *RAW))
    command = ["gffread", "-g", "g.fa", "-x", "out.fa", "a.gff3"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "out.fa").read_text().count(DNA) == len(RAW)
