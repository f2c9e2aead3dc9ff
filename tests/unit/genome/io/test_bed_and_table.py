"""BED12 and tables of transcripts: coordinates, blocks, and other programs' reading of them."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import pytest

from builders import make_gene, make_transcript
from genet5.genome.gene import Gene, Transcript
from genet5.genome.io.table_write import COLUMNS
from genet5.genome.io.write import write_annotation

LENGTHS = {"c": 100, "d": 50}


def written(kind: str, *genes: Gene) -> list[list[str]]:
    out = io.StringIO()
    write_annotation(out, kind, genes, LENGTHS)  # type: ignore[arg-type]
    return [line.split("\t") for line in out.getvalue().splitlines()]


def test_bed_is_half_open_with_blocks_from_the_start() -> None:
    (line,) = written("bed", make_gene((10, 20), (30, 45), strand=-1, score=0.876))
    assert line == ["c", "10", "45", "t", "876", "-", "10", "45", "0", "2", "10,15", "0,20"]


def test_untranslated_exons_are_thin() -> None:
    coding = make_transcript((20, 29))
    gene = make_gene((20, 29))
    wide = Transcript(id="t", exons=(coding.exons[0],), cds=coding.cds)
    assert written("bed", gene)[0][6:8] == ["20", "29"]
    silent = Gene(id="r", contig="c", strand=1, type="tRNA",
                  transcripts=(Transcript(id="r", exons=wide.exons, type="tRNA"),))  # fmt: skip
    assert written("bed", silent)[0][6:8] == ["20", "20"]


def test_each_isoform_has_a_line_and_genes_are_sorted() -> None:
    genes = make_gene((60, 69), id="b"), make_gene((10, 19), id="a", others=[((10, 16),)])
    assert [line[1:3] for line in written("bed", *genes)] == [
        ["10", "19"], ["10", "16"], ["60", "69"],
    ]  # fmt: skip


def test_a_gene_over_the_origin_is_cut_there() -> None:
    lines = written("bed", make_gene((94, 106), strand=1))
    assert [line[1:3] for line in lines] == [["94", "100"], ["0", "6"]]
    assert [line[10] for line in lines] == ["6", "6"]


@pytest.mark.skipif(shutil.which("bedtools") is None, reason="bedtools is not installed")
def test_bedtools_cuts_out_the_same_bases(tmp_path: Path) -> None:
    bases = "ACGTTGCA" * 13
    (tmp_path / "g.fa").write_text(f">c\n{bases[:100]}\n")
    gene = make_gene((10, 20), (30, 45), strand=-1)
    (tmp_path / "g.bed").write_text("\t".join(written("bed", gene)[0]) + "\n")
    call = ["bedtools", "getfasta", "-split", "-s", "-fi", "g.fa", "-bed", "g.bed"]
    out = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    joined = bases[10:20] + bases[30:45]
    assert out.split()[1] == joined[::-1].translate(str.maketrans("ACGT", "TGCA"))


def test_a_table_is_one_based_with_a_row_for_each_transcript() -> None:
    head, row = written("tsv", make_gene((10, 19), id="g", score=0.5, start_score=0.25, name="x"))
    assert tuple(head) == COLUMNS
    cells = dict(zip(head, row, strict=True))
    assert (cells["start"], cells["end"], cells["strand"]) == ("11", "19", "+")
    assert (cells["cds_bp"], cells["amino_acids"]) == ("9", "2")
    assert (cells["score"], cells["start_score"]) == ("0.5000", "0.2500")
    assert (cells["name"], cells["partial"], cells["product"]) == ("x", "", "")


def test_a_table_names_missing_ends_and_products_and_keeps_its_columns() -> None:
    transcript = make_transcript(
        (10, 19), partial_5=True, partial_3=True, cds_attributes=(("product", "an\toxidase\n"),)
    )
    gene = Gene(id="g", contig="c", strand=1, transcripts=(transcript,), pseudo=True)
    head, row = written("tsv", gene)
    cells = dict(zip(head, row, strict=True))
    assert cells["partial"] == "5',3'"
    assert cells["product"] == "an oxidase"
    assert cells["amino_acids"] == "3"
    assert cells["type"] == "pseudogene"
