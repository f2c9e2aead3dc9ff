"""NCBI's feature table."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest

from builders import make_gene
from genet5.annotate.finish import with_locus_tag
from genet5.cli import main
from genet5.genome.gene import Exon, Gene, Transcript
from genet5.genome.io.tbl_write import TblWriter


def table(*genes: Gene, length: int = 1000, prokaryote: bool = True) -> list[str]:
    out = io.StringIO()
    TblWriter(out, prokaryote=prokaryote).contig("c", length, genes)
    return out.getvalue().splitlines()


def test_a_gene_on_each_strand_has_its_positions_in_reading_direction() -> None:
    plus, minus = make_gene((0, 90), genetic_code=11), make_gene((200, 290), strand=-1)
    lines = table(with_locus_tag(plus, "AB1_00001"), minus)
    assert lines[:8] == [
        ">Feature c",
        "1\t90\tgene",
        "\t\t\tlocus_tag\tAB1_00001",
        "1\t90\tCDS",
        "\t\t\tproduct\thypothetical protein",
        "\t\t\ttransl_table\t11",
        "\t\t\tprotein_id\tgnl|AB1|AB1_00001.1",
        "290\t201\tgene",
    ]


@pytest.mark.parametrize(("strand", "first"), [(1, "<1\t80\tCDS"), (-1, "80\t>1\tCDS")])
def test_an_end_that_a_contig_cuts_is_marked(strand: int, first: str) -> None:
    gene = make_gene((0, 80), strand=strand)
    cds = replace(gene.transcripts[0].cds[0], phase=2 if strand > 0 else 0)
    cut = replace(gene.transcripts[0], cds=(cds,), partial_5=strand > 0, partial_3=strand < 0)
    lines = table(replace(gene, transcripts=(cut,)))
    assert first in lines
    assert ("\t\t\tcodon_start\t3" in lines) is (strand > 0)


def test_an_mrna_without_utr_is_partial_and_its_cds_is_not() -> None:
    lines = table(make_gene((0, 40), (100, 150), strand=-1), prokaryote=False)
    at = lines.index("<150\t101\tmRNA")
    assert lines[at + 1] == "40\t>1"
    assert "<150\t>1\tgene" in lines
    at = lines.index("150\t101\tCDS")
    assert lines[at + 1] == "40\t1"
    assert lines.count("\t\t\ttranscript_id\tgnl|genet5|t.mrna") == 2


def test_a_gene_over_the_origin_has_two_intervals() -> None:
    lines = table(make_gene((90, 120)), length=100)
    assert lines[1:4] == ["91\t100\tgene", "1\t20", "\t\t\tlocus_tag\tg"]


def test_rna_genes_have_their_key_and_product() -> None:
    transcript = Transcript(
        id="r.1", exons=(Exon(9, 81),), type="tRNA",
        attributes=(("product", "tRNA-Ala"), ("inference", "profile:aragorn:1.2")),
    )  # fmt: skip
    gene = Gene(id="r", contig="c", strand=1, transcripts=(transcript,), type="tRNA")
    assert table(gene)[3:] == [
        "10\t81\ttRNA", "\t\t\tproduct\ttRNA-Ala", "\t\t\tinference\tprofile:aragorn:1.2",
    ]  # fmt: skip


def test_a_contig_without_genes_is_not_named() -> None:
    assert table() == []


def test_convert_writes_the_table(tmp_path: Path) -> None:
    gff = tmp_path / "a.gff3"
    gff.write_text("c\t.\tCDS\t1\t9\t.\t+\t0\tID=x;product=RNase P;locus_tag=Q_1\n")
    assert main(["convert", str(gff), str(tmp_path / "a.tbl")]) == 0
    assert "product\tRNase P" in (tmp_path / "a.tbl").read_text()
