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


def test_the_probability_of_a_start_survives_gtf(files: Path) -> None:
    text = GFF3.replace("ID=g;", "ID=g;start_score=0.9000;start_alternatives=+6:0.0500;")
    (files / "in.gff3").write_text(text)
    for source, target in (("in.gff3", "a.gtf"), ("a.gtf", "b.gff3")):
        assert main([str(files / source), str(files / target)]) == 0
    (gene,) = read_annotation(files / "b.gff3")
    assert (gene.start_score, gene.start_alternatives) == (0.9, ((6, 0.05),))


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
    assert main([*words, "--skip_bad"]) == 1
    assert "none of 1 genes lies in the genome" in capsys.readouterr().err


def test_damaged_input_is_one_line(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (files / "in.gff3").write_text(GFF3.replace("11\t31\t.\t-\t0", "31\t11\t.\t-\t0"))
    assert main([str(files / "in.gff3"), str(files / "a.gtf")]) == 1
    error = capsys.readouterr().err
    assert "in.gff3:4: start '31', end '11' of a CDS" in error
    assert "--skip_bad" in error
    assert len(error.splitlines()) == 1
    assert not (files / "a.gtf").exists()


KEPT = """\
##gff-version 3
##sequence-region c1 1 60
c1 . gene 1 30 . + . ID=gene-A;locus_tag=A_1;Note=n%2C1;Dbxref=X:1
c1 . CDS 1 30 . + 0 ID=cds-A;Parent=gene-A;product=a%3B b;protein_id=P.1;Dbxref=Y:1,Z:2;\
transl_except=(pos:4..6%2Caa:Sec);transl_table=11
c1 . gene 31 60 . - . ID=gene-B
c1 . mRNA 31 60 . - . ID=rna-B;Parent=gene-B;product=b;transcript_id=T.1
c1 . exon 31 60 . - . Parent=rna-B
c1 . CDS 34 57 . - 0 ID=cds-B;Parent=rna-B;inference=i;exception=RNA%20editing
"""


@pytest.mark.parametrize("name", ["a.gff3", "a.gtf", "a.gb"])
def test_attributes_survive_every_format(files: Path, name: str) -> None:
    lines = (
        line if line.startswith("#") else "\t".join(line.split(" ", 8))
        for line in KEPT.splitlines()
    )
    (files / "in.gff3").write_text("\n".join(lines) + "\n")
    genome = ["--genome", str(files / "g.fa")]
    assert main([str(files / "in.gff3"), str(files / name), *genome]) == 0
    first, second = read_annotation(files / name, keep_attributes=True).genes
    assert set(first.attributes) >= {("locus_tag", "A_1"), ("note", "n,1"), ("db_xref", "X:1")}
    coding = dict(first.canonical.cds_attributes)
    assert (coding["product"], coding["protein_id"]) == ("a; b", "P.1")
    assert coding["transl_except"] == "(pos:4..6,aa:Sec)"
    assert [v for k, v in first.canonical.cds_attributes if k == "db_xref"] == ["Y:1", "Z:2"]
    assert ("product", "b") in second.canonical.attributes
    assert second.canonical.exceptions == ("RNA_editing",)


def test_genbank_has_no_values_that_insdc_does_not_define(files: Path) -> None:
    text = GFF3.replace("ID=c;", "ID=c;exception=my own reason;").replace(
        "ID=g;", "ID=g;locus_tag=L;"
    )
    (files / "in.gff3").write_text(
        text + "c1\t.\tgene\t41\t50\t.\t+\t.\tID=r\nc1\t.\tmy_RNA\t41\t50\t.\t+\t.\tID=t;Parent=r\n"
    )
    words = [str(files / "in.gff3"), str(files / "a.gb"), "--genome", str(files / "g.fa")]
    assert main(words) == 0
    written = (files / "a.gb").read_text()
    assert '/locus_tag="L"' in written
    assert "/exception" not in written
    assert '/note="exception: my own reason"' in written
    assert '/ncRNA_class="other"' in written
    coding, rna = read_annotation(files / "a.gb").genes
    assert coding.canonical.exceptions == ("my_own_reason",)
    assert rna.canonical.type == "my_RNA"


def _genome(files: Path, last_codons: str) -> list[str]:
    """Words that convert a gene on the reverse strand, whose last two codons are given."""
    (files / "in.gff3").write_text(GFF3.replace(";transl_table=11", ""))
    text = "A" * 10 + last_codons + "A" * 12 + "CAT" + "A" * 29
    (files / "g.fa").write_text(f">c1\n{text}\n")
    return [str(files / "in.gff3"), str(files / "a.gff3"), "--genome", str(files / "g.fa")]


def test_cds_are_translated_with_the_code_of_their_contig(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = _genome(files, "CTATCA")
    assert main(words) == 0
    assert "1 of 1 complete CDS do not translate" in capsys.readouterr().err
    assert main([*words, "--contig_codes", "c1=4"]) == 0
    assert "0 of 1 complete CDS do not translate" in capsys.readouterr().err
    assert "transl_table=4" in (files / "a.gff3").read_text()
    assert main([*words, "--contig_codes", "c1:4"]) == 2


def test_stop_codons_outside_the_cds_are_reported_and_added(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = _genome(files, "CTATTT")
    (files / "in.gff3").write_text(GFF3.replace("11\t31", "14\t31"))
    assert main(words) == 0
    assert "1 of 1 CDS (100 %) end 3 bases before their stop codon" in capsys.readouterr().err
    assert main([*words, "--stop_codon_outside"]) == 0
    assert "0 of 1 complete CDS do not translate" in capsys.readouterr().err
