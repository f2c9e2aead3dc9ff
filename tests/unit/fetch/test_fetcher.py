from __future__ import annotations

import fcntl
import gzip
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from bakes import read_genome
from genet5.errors import DataError, ServerError
from genet5.fetch.folder import GenomeFolder, md5_of
from genet5.genome.io.formats import read_annotation
from genet5.genome.sequence import decode_bases

FASTA = b">c1 Testus probus\n" + b"ACGTTGCA" * 500 + b"\n"
GFF = (
    b"##gff-version 3\n##sequence-region c1 1 4000\n"
    b"c1\tRefSeq\tgene\t11\t31\t.\t-\t.\tID=g;gene_biotype=protein_coding\n"
    b"c1\tRefSeq\tCDS\t11\t31\t.\t-\t0\tID=c;Parent=g;transl_table=11\n"
)
ASSEMBLY = "GCF_000005845.2"
FOLDER = "prokaryotes/Testus_probus_str._K-1_ASM584v2"
LETTERS = "acgt" * 15
RECORD = f"""LOCUS       NC_000913                 60 bp    DNA     circular CON 01-JAN-2026
DEFINITION  Testus probus strain K-1, complete genome.
ACCESSION   NC_000913
VERSION     NC_000913.3
FEATURES             Location/Qualifiers
     source          1..60
     gene            complement(11..31)
                     /locus_tag="b1"
     CDS             complement(11..31)
                     /locus_tag="b1"
                     /transl_table=11
ORIGIN
        1 {LETTERS}
//
""".encode()


@pytest.fixture
def assembly(ncbi: Any) -> str:
    path: str = ncbi.add_assembly(ASSEMBLY, "ASM584v2", FASTA, GFF)
    return path


def facts(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "provenance.json").read_text())
    return found


@pytest.mark.usefixtures("assembly")
def test_an_assembly_is_laid_out_for_bake(setup: Any) -> None:
    folder = setup.fetcher().fetch(ASSEMBLY)
    assert folder == setup.out_dir / FOLDER
    assert {p.name for p in folder.iterdir()} == {
        "genome.fa.gz", "annotation.gff3.gz", "provenance.json",
    }  # fmt: skip
    assert len(read_genome(folder / "genome.fa.gz")["c1"].bases) == 4000
    assert read_annotation(folder / "annotation.gff3.gz").genes[0].id == "g"


def test_the_provenance_records_the_origin(ncbi: Any, setup: Any, assembly: str) -> None:
    folder = setup.fetcher(email="me@example.org").fetch("gcf_000005845")
    found = facts(folder)
    assert found["complete"] is True
    assert found["accession"] == ASSEMBLY
    assert found["requested"] == "GCF_000005845"
    assert (found["organism"], found["taxid"]) == ("Testus probus str. K-1", 562)
    assert found["lineage"] == ["cellular organisms", "Bacteria", "Pseudomonadota"]
    assert (found["genetic_code"], found["mitochondrial_genetic_code"]) == (11, None)
    assert found["tool"].startswith("genet5 ")
    file = found["files"]["genome.fa.gz"]
    assert file["url"] == f"{ncbi.url}{assembly}/{ASSEMBLY}_ASM584v2_genomic.fna.gz"
    assert file["md5"] == md5_of(folder / "genome.fa.gz")
    assert file["bytes"] == (folder / "genome.fa.gz").stat().st_size
    assert "me@example.org" not in json.dumps(found)


@pytest.mark.usefixtures("assembly")
def test_what_is_there_is_not_fetched_again(ncbi: Any, setup: Any) -> None:
    first = setup.fetcher().fetch(ASSEMBLY)
    ncbi.requests.clear()
    assert setup.fetcher().fetch(ASSEMBLY) == first
    assert ncbi.requests == []
    assert setup.fetcher().fetch("GCF_000005845") == first  # asks for the latest version only
    assert not [path for path in ncbi.paths() if path.startswith("/genomes")]


@pytest.mark.usefixtures("assembly")
def test_a_damaged_file_is_fetched_again_and_only_it(ncbi: Any, setup: Any) -> None:
    folder = setup.fetcher().fetch(ASSEMBLY)
    (folder / "annotation.gff3.gz").write_bytes(b"damaged")
    ncbi.requests.clear()
    setup.fetcher().fetch(ASSEMBLY)
    assert read_annotation(folder / "annotation.gff3.gz").genes
    files = [path for path in ncbi.paths() if path.endswith(".gz")]
    assert len(files) == 1
    assert files[0].endswith("_genomic.gff.gz")


@pytest.mark.usefixtures("assembly")
def test_a_killed_run_resumes(ncbi: Any, setup: Any) -> None:
    folder = setup.out_dir / FOLDER
    body = gzip.compress(FASTA, mtime=0)
    folder.mkdir(parents=True)
    GenomeFolder(folder).save({"accession": ASSEMBLY}, {})
    (folder / "genome.fa.gz.part").write_bytes(body[:20])
    (folder / "annotation.gff3.gz.123.tmp").write_bytes(b"scratch")
    assert setup.fetcher().fetch(ASSEMBLY) == folder
    ranges = [r.headers.get("Range") for r in ncbi.requests if r.path.endswith("fna.gz")]
    assert ranges == ["bytes=20-"]
    assert sorted(p.name for p in folder.iterdir()) == [
        "annotation.gff3.gz", "genome.fa.gz", "provenance.json",
    ]  # fmt: skip


@pytest.mark.usefixtures("assembly")
def test_what_an_older_version_left_is_thrown_away(setup: Any) -> None:
    folder = setup.out_dir / FOLDER
    folder.mkdir(parents=True)
    GenomeFolder(folder).save({"accession": ASSEMBLY}, {})
    (folder / "genome.fa.gz.part").write_bytes(b"of another file")
    setup.fetcher().fetch(ASSEMBLY)
    assert "c1" in read_genome(folder / "genome.fa.gz")


@pytest.mark.usefixtures("assembly")
def test_a_wrong_checksum_is_repaired_or_reported(ncbi: Any, setup: Any) -> None:
    ncbi.fail("_genomic.fna.gz", body=b"altered on the way")
    folder = setup.fetcher().fetch(ASSEMBLY)
    assert "c1" in read_genome(folder / "genome.fa.gz")
    (folder / "genome.fa.gz").unlink()
    ncbi.fail("_genomic.fna.gz", 2, body=b"altered on the way")
    with pytest.raises(
        DataError, match=r"_genomic\.fna\.gz: MD5 \w+; expected \w+, as in md5check"
    ):
        setup.fetcher().fetch(ASSEMBLY)
    assert not (folder / "genome.fa.gz").exists()


@pytest.mark.usefixtures("assembly")
def test_an_interrupted_genome_is_not_whole(ncbi: Any, setup: Any) -> None:
    ncbi.fail("_genomic.gff.gz", 9, status=500)
    with pytest.raises(ServerError, match="HTTP 500"):
        setup.fetcher().fetch(ASSEMBLY)
    folder = setup.out_dir / FOLDER
    assert facts(folder)["complete"] is False
    ncbi.failures.clear()
    ncbi.requests.clear()
    setup.fetcher().fetch(ASSEMBLY)
    assert facts(folder)["complete"] is True
    assert not [path for path in ncbi.paths() if path.endswith("fna.gz")]


def test_no_annotation_is_reported_with_a_remedy(ncbi: Any, setup: Any) -> None:
    ncbi.add_assembly("GCA_000005845.2", "ASM584v2", FASTA, None, twin=ASSEMBLY)
    with pytest.raises(DataError, match=r"no annotation.*--fasta_only.*GCF_000005845\.2"):
        setup.fetcher().fetch("GCA_000005845.2")
    folder = setup.fetcher(fasta_only=True).fetch("GCA_000005845.2")
    assert (folder / "genome.fa.gz").exists()
    assert not (folder / "annotation.gff3.gz").exists()


@pytest.mark.usefixtures("assembly")
def test_the_annotation_may_come_later(setup: Any) -> None:
    folder = setup.fetcher(fasta_only=True).fetch(ASSEMBLY)
    assert setup.fetcher().fetch(ASSEMBLY) == folder
    assert set(facts(folder)["files"]) == {"genome.fa.gz", "annotation.gff3.gz"}


def test_genbank_and_refseq_do_not_share_a_folder(ncbi: Any, setup: Any, assembly: str) -> None:
    ncbi.add_assembly("GCA_000005845.2", "ASM584v2", FASTA, GFF)
    first, second = (setup.fetcher().fetch(a) for a in (ASSEMBLY, "GCA_000005845.2"))
    assert first != second
    assert second.name.endswith("_GCA_000005845.2")
    assert facts(second)["accession"] == "GCA_000005845.2"
    assert setup.fetcher().fetch("GCA_000005845") == second


def test_folders_of_the_user_are_left_alone(setup: Any, assembly: str) -> None:
    mine = setup.out_dir / FOLDER
    mine.mkdir(parents=True)
    (mine / "genome.fa").write_text(">mine\nA\n")
    folder = setup.fetcher().fetch(ASSEMBLY)
    assert folder != mine
    assert [path.name for path in mine.iterdir()] == ["genome.fa"]


@pytest.mark.parametrize("group", ["plants", "vertebrates", "invertebrates", "unicellular"])
def test_the_taxonomy_decides_about_the_clade(ncbi: Any, setup: Any, group: str) -> None:
    ncbi.add_taxon(77, "Altera altera", group, code=1)
    ncbi.add_assembly("GCF_000000077.1", "A1", FASTA, GFF, taxid=77)
    assert setup.fetcher().fetch("GCF_000000077.1").parent.name == group


def test_the_user_may_decide_about_the_clade(ncbi: Any, setup: Any) -> None:
    ncbi.add_taxon(88, "Some virus", "virus", code=1)
    ncbi.add_assembly("GCF_000000088.1", "V1", FASTA, GFF, taxid=88)
    with pytest.raises(DataError, match="--clade"):
        setup.fetcher().fetch("GCF_000000088.1")
    folder = setup.fetcher(clade="vertebrates").fetch("GCF_000000088.1")
    assert folder.parent.name == "vertebrates"


def test_names_cannot_leave_the_folder(ncbi: Any, setup: Any) -> None:
    ncbi.add_taxon(66, "../../../outside")
    ncbi.add_assembly("GCF_000000066.1", "A1", FASTA, GFF, taxid=66)
    ncbi.assemblies["1000"]["assemblyname"] = "../../x"
    folder = setup.fetcher().fetch("GCF_000000066.1")
    assert folder == setup.out_dir / "prokaryotes" / "outside_x"


@pytest.mark.usefixtures("assembly")
def test_a_dry_run_writes_nothing(setup: Any) -> None:
    folder = setup.fetcher(dry_run=True).fetch(ASSEMBLY)
    assert folder == setup.out_dir / FOLDER
    assert not setup.out_dir.exists()


@pytest.mark.usefixtures("assembly")
def test_two_runs_do_not_meet_in_a_folder(setup: Any) -> None:
    folder = setup.out_dir / FOLDER
    folder.mkdir(parents=True)
    handle = os.open(folder, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        with pytest.raises(DataError, match="another run is downloading this genome"):
            setup.fetcher().fetch(ASSEMBLY)
    finally:
        os.close(handle)
    assert setup.fetcher().fetch(ASSEMBLY) == folder


def test_a_record_becomes_fasta_and_gff3(ncbi: Any, setup: Any) -> None:
    ncbi.add_record("NC_000913.3", RECORD, 60)
    folder = setup.fetcher().fetch("NC_000913")
    assert folder.name == "Testus_probus_str._K-1_NC_000913.3"
    (contig,) = read_genome(folder / "genome.fa.gz").values()
    assert (contig.name, decode_bases(contig.bases)) == ("NC_000913.3", LETTERS.upper())
    annotation = read_annotation(folder / "annotation.gff3.gz")
    (gene,) = annotation.genes
    assert (gene.contig, gene.start, gene.end, gene.strand) == ("NC_000913.3", 10, 31, -1)
    assert gene.genetic_code == 11
    assert annotation.circular == {"NC_000913.3"}
    assert annotation.contig_lengths == {"NC_000913.3": 60}
    assert sorted(p.name for p in folder.iterdir()) == [
        "annotation.gff3.gz", "genome.fa.gz", "provenance.json",
    ]  # fmt: skip
    ncbi.requests.clear()
    assert setup.fetcher().fetch("NC_000913.3") == folder
    assert ncbi.requests == []


def test_the_key_is_in_no_file(ncbi: Any, setup: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NCBI_API_KEY", " sesame ")
    ncbi.add_record("NC_000913.3", RECORD, 60)
    folder = setup.fetcher().fetch("NC_000913.3")
    assert {r.query.get("api_key") for r in ncbi.requests} == {"sesame"}
    assert "sesame" not in (folder / "provenance.json").read_text()
    assert facts(folder)["files"]["genome.fa.gz"]["url"].endswith(
        "efetch.fcgi?db=nuccore&id=NC_000913.3&rettype=gbwithparts&retmode=text"
    )


def test_a_truncated_record_is_downloaded_again(ncbi: Any, setup: Any) -> None:
    ncbi.add_record("NC_000913.3", RECORD, 60)
    ncbi.fail("nuccore&id=NC_000913.3&rettype", body=RECORD[:-3])
    folder = setup.fetcher().fetch("NC_000913.3")
    assert facts(folder)["complete"] is True


@pytest.mark.parametrize(
    ("flat", "length", "found"),
    [
        (RECORD[:-3], 60, "ends without //"),
        (RECORD, 61, r"came with 60 bases; expected 61"),
        (
            RECORD.replace(b"000913.3", b"000914.1"),
            60,
            r"NCBI gives NC_000914\.1; expected NC_000913\.3",
        ),
        (b"Error: try later\n", 60, "expected LOCUS"),
        (b"\n", 60, "NCBI gives nothing"),
        (
            RECORD.replace(b"     CDS", b"     xyz").replace(b"     gene", b"     xyzz"),
            60,
            r"has no genes. --fasta_only",
        ),
    ],
)
def test_a_wrong_record_is_reported(
    ncbi: Any, setup: Any, flat: bytes, length: int, found: str
) -> None:
    ncbi.add_record("NC_000913.3", flat, length)
    with pytest.raises(DataError, match=found):
        setup.fetcher().fetch("NC_000913.3")
    assert not list(setup.out_dir.glob("*/*/genome.fa.gz"))


def test_checksums_must_be_listed(ncbi: Any, setup: Any) -> None:
    ncbi.add_assembly(ASSEMBLY, "ASM584v2", FASTA, GFF, checksums=b"<html>maintenance</html>")
    with pytest.raises(ServerError, match=r"lists no GCF_000005845\.2_ASM584v2_genomic\.fna\.gz"):
        setup.fetcher().fetch(ASSEMBLY)


def test_the_sums_are_those_of_md5(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(FASTA)
    assert md5_of(tmp_path / "x") == hashlib.md5(FASTA).hexdigest()
