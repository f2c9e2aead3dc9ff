"""The workflow's table and report, from the files that the commands leave."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from sheet import Genome
from summarize import COLUMNS, genes_of, main, report, row_of

GFF3 = """\
##gff-version 3
##sequence-region c1 1 600
##sequence-region c2 1 400
c1\tx\tgene\t1\t300\t0.9\t+\t.\tID=a
c1\tx\tCDS\t1\t300\t0.9\t+\t0\tParent=a
c2\tx\tgene\t11\t210\t0.5\t-\t.\tID=b
c2\tx\tCDS\t11\t110\t0.5\t-\t0\tParent=b
c2\tx\tCDS\t111\t210\t0.5\t-\t0\tParent=b
"""


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Results of two genomes, of which one is evaluated and has BUSCO and a cost."""
    for name in ("one", "Two 2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "genes.gff3").write_text(GFF3)
    levels = {"stop": {"f1": 0.97}, "exact": {"f1": 0.88}, "gene": {"f1": None}}
    (tmp_path / "one" / "scores.json").write_text(json.dumps({"levels": levels}))
    busco = {"groups": 10, "complete": 8, "fragmented": 1, "missing": 1}
    (tmp_path / "one" / "busco.json").write_text(json.dumps(busco))
    cost = "s\th:m:s\tmax_rss\tcpu_time\n2.0\t0:00:02\t310.5\t3.1\n"
    (tmp_path / "one" / "annotate.cost.tsv").write_text(cost)
    return tmp_path


def test_a_gff3_gives_contigs_bases_genes_and_coding_share(results) -> None:
    assert genes_of(results / "one" / "genes.gff3") == {
        "contigs": 2,
        "size_bp": 1000,
        "genes": 2,
        "coding_share": 0.5,
        "mean_score": 0.7,
    }


def test_a_row_has_what_the_genome_has(results) -> None:
    full = Genome(name="one", fasta="a.fa", reference="a.gff3", lineage="lineage", model="mine")
    row = row_of(full, results, "nano")
    assert set(row) <= set(COLUMNS)
    assert (row["model"], row["stop_f1"], row["busco_complete"]) == ("mine", 0.97, 8)
    assert (row["wall_s"], row["kbp_per_s"], row["peak_mib"]) == (2.0, 0.5, 310.5)
    bare = row_of(Genome(name="Two 2", fasta="a.fa"), results, "nano")
    assert bare.keys() == {"name", "model", *genes_of(results / "one" / "genes.gff3")}


@pytest.mark.slow
def test_table_and_report_are_written(results, tmp_path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("a.fa", "a.gff3"):
        (tmp_path / name).touch()
    (tmp_path / "lineage").mkdir()
    sheet = tmp_path / "genomes.tsv"
    sheet.write_text(
        "name\tfasta\treference\tlineage\none\ta.fa\ta.gff3\tlineage\nTwo 2\ta.fa\t\t\n"
    )
    table, page = tmp_path / "summary.tsv", tmp_path / "report.html"
    assert main([str(sheet), str(results), "--table", str(table), "--report", str(page)]) == 0
    with table.open(newline="") as source:
        rows = list(csv.DictReader(source, delimiter="\t"))
    assert [row["name"] for row in rows] == ["one", "Two 2"]
    assert rows[0]["exact_f1"] == "0.88"
    assert rows[1]["exact_f1"] == rows[0]["gene_f1"] == ""
    text = page.read_text()
    assert "<td>Two 2</td>" in text
    assert text.count("<svg") == 1
    assert "4 genes on 0.00 Mbp" in text


def test_a_report_without_scores_has_no_figure(results) -> None:
    text = report([row_of(Genome(name="one", fasta="a.fa"), results, "a<b")])
    assert "<svg" not in text
    assert "<td>a&lt;b</td>" in text
    assert "stop f1" not in text
