from __future__ import annotations

from pathlib import Path

import pytest

from genet5.cli.convert import main
from genet5.genome.io.formats import read_annotation

GFF3 = (
    "##gff-version 3\n##sequence-region c1 1 60\n"
    "c1\t.\tgene\t11\t31\t.\t-\t.\tID=g;gene_biotype=protein_coding\n"
    "c1\t.\tCDS\t11\t31\t.\t-\t0\tID=c;Parent=g;transl_table=11\n"
)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "in.gff3").write_text(GFF3)
    (tmp_path / "g.fa").write_text(">c1\n" + "A" * 60 + "\n")
    return tmp_path


@pytest.mark.parametrize(
    "names", [("a.gtf", "b.gff3"), ("a.gb", "b.gff3"), ("a.gtf.gz", "b.gbk", "c.gtf", "d.gff")]
)
def test_there_and_back_gives_the_same_genes(files: Path, names: tuple[str, ...]) -> None:
    source = files / "in.gff3"
    for name in names:
        assert main([str(source), str(files / name), "--genome", str(files / "g.fa")]) == 0
        source = files / name
    assert read_annotation(source) == read_annotation(files / "in.gff3")


def test_standard_output_needs_a_format(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(files / "in.gff3"), "-"]) == 2
    assert "format = 'auto': must be given" in capsys.readouterr().err
    assert main([str(files / "in.gff3"), "-", "--format", "gtf"]) == 0
    assert 'gene_id "g";' in capsys.readouterr().out


def test_genbank_needs_the_genome(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(files / "in.gff3"), str(files / "a.gb")]) == 2
    assert "genome = None: must be given" in capsys.readouterr().err


def test_genes_must_lie_in_the_genome(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [str(files / "in.gff3"), str(files / "a.gtf"), "--genome", str(files / "g.fa")]
    (files / "g.fa").write_text(">other\nACGT\n")
    assert main(words) == 1
    error = capsys.readouterr().err
    assert 'in.gff3:2: gene "g" at 11-31 of contig "c1"; expected a place in' in error
    assert main([*words, "--skip_bad"]) == 0
    assert read_annotation(files / "a.gtf").genes == ()


def test_damaged_input_is_one_line(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (files / "in.gff3").write_text(GFF3.replace("11\t31\t.\t-\t0", "31\t11\t.\t-\t0"))
    assert main([str(files / "in.gff3"), str(files / "a.gtf")]) == 1
    error = capsys.readouterr().err
    assert "in.gff3:4: start '31', end '11' of a CDS" in error
    assert "--skip_bad" in error
    assert len(error.splitlines()) == 1
    assert not (files / "a.gtf").exists()
