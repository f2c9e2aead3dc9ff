from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from genet5.errors import DataError
from genet5.genome.io.formats import format_of_name, read_annotation, recognise_format

GFF3 = "c1\ta\tCDS\t1\t30\t.\t+\t0\tID=c;Parent=g\nc1\ta\tgene\t1\t30\t.\t+\t.\tID=g\n"
GTF = 'c1\ta\tCDS\t1\t30\t.\t+\t0\tgene_id "g"; transcript_id "c";\n'
GENBANK = (
    "LOCUS       c1   900 bp    DNA     linear BCT 01-JAN-2020\nACCESSION   c1\n"
    "FEATURES             Location/Qualifiers\n     CDS             1..30\n"
    '                     /locus_tag="g"\n                     /protein_id="c"\nORIGIN\n//\n'
)


@pytest.mark.parametrize(
    "text", [GFF3, GTF, GENBANK, "\ufeff" + GFF3, "\ufeff" + GTF, "\n" + GENBANK]
)
@pytest.mark.parametrize("change", ["plain", "gzip", "CRLF"])
def test_the_content_tells_the_format(tmp_path: Path, text: str, change: str) -> None:
    path = tmp_path / "no_suffix"
    data = text.replace("\n", "\r\n" if change == "CRLF" else "\n").encode()
    path.write_bytes(gzip.compress(data) if change == "gzip" else data)
    (gene,) = read_annotation(path).genes
    assert (gene.id, gene.contig, gene.canonical.cds[0].end) == ("g", "c1", 30)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("##gff-version 3", "gff3"),
        ("##gff-version 2", "gtf"),
        ("#gtf-version 2.2", "gtf"),
        ("c\ta\tgene\t1\t9\t.\t+\t.\tg1", "gff3"),
        (
            "c\ta\tgene\t1\t9\t.\t+\t.\tg1\n"
            'c\ta\tCDS\t1\t9\t.\t+\t0\ttranscript_id "g1.t1"; gene_id "g1";',
            "gtf",
        ),
        ('c\ta\tgene\t1\t9\t.\t+\t.\tID=g;Note=has gene_id "x"', "gff3"),
        ("LOCUS       x", "genbank"),
    ],
)  # fmt: skip
def test_how_formats_are_told(line: str, expected: str) -> None:
    lines = [f"{text}\n" for text in line.split("\n")]
    assert recognise_format(lines, Path("x")) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"",
            "x: an empty file; expected GFF3, GTF or GenBank. A file without genes needs a header",
        ),
        (b"\n \n", "x: an empty file"),
        (b"\n>c1\nACGT\n", "x:2: a FASTA file; expected GFF3, GTF or GenBank"),
        (b"ID   X56734; SV 1;\n", "x:1: an EMBL file"),
        (b"c1\t1\t9\tg\n", "x:1: 4 columns in"),
        (gzip.compress(GFF3.encode() * 99, mtime=0)[:-20], "x: damaged gzip file"),
        (b"BZh91AY&SY", "x: a bzip2 file"),
    ],
    ids=["empty", "blank", "fasta", "embl", "columns", "damaged_gzip", "bzip2"],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_annotation(path)
    assert message in str(caught.value).replace(f"{tmp_path}/", "")


def test_names_of_files() -> None:
    names = ("a.gff3", "a.gff.gz", "a.GTF", "a.gbff.gz", "a.gb", "a.bed.gz", "a.tsv", "a.txt", "-")
    assert [format_of_name(Path(name)) for name in names] == [
        "gff3", "gff3", "gtf", "genbank", "genbank", "bed", "tsv", None, None,
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["chr one", "a;b=c", "x" * 10_240])
def test_odd_names_of_contigs(tmp_path: Path, name: str) -> None:
    path = tmp_path / "x"
    for text in (GFF3, GTF):
        path.write_text(text.replace("c1", name))
        (gene,) = read_annotation(path).genes
        assert gene.contig == name
        path.write_text(text.replace("c1", name).replace("ID=c;Parent=g", f"ID=c;Parent={name}"))
    path.write_text(GFF3.replace("c1", name).replace("Parent=g", "Parent=h"))
    with pytest.raises(DataError) as caught:
        read_annotation(path)
    assert len(str(caught.value)) < 1000
