"""Our reader against the database of gffutils, which shares no code with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from genet5.genome.gene import Gene
from genet5.genome.io.gff3 import read_gff3

gffutils = pytest.importorskip("gffutils")

SAMPLE = """\
##gff-version 3
##sequence-region chr%201 1 9000
chr%201|s|gene|1000|9000|.|+|.|ID=gene1;Name=EDEN;biotype=protein_coding
chr%201|s|TF_binding_site|1000|1012|.|+|.|Parent=gene1
chr%201|s|mRNA|1050|9000|.|+|.|ID=mRNA1;Parent=gene1
chr%201|s|mRNA|1300|9000|.|+|.|ID=mRNA3;Parent=gene1
chr%201|s|exon|1300|1500|.|+|.|Parent=mRNA3
chr%201|s|exon|1050|1500|.|+|.|Parent=mRNA1
chr%201|s|exon|3000|3902|.|+|.|Parent=mRNA1,mRNA3
chr%201|s|exon|5000|5500|.|+|.|Parent=mRNA1,mRNA3
chr%201|s|exon|7000|9000|.|+|.|Parent=mRNA1,mRNA3
chr%201|s|CDS|1201|1500|.|+|0|ID=cds1;Parent=mRNA1
chr%201|s|CDS|3000|3902|.|+|0|ID=cds1;Parent=mRNA1
chr%201|s|CDS|5000|5500|.|+|0|ID=cds1;Parent=mRNA1
chr%201|s|CDS|7000|7600|.|+|0|ID=cds1;Parent=mRNA1
chr%201|s|CDS|3301|3902|.|+|0|ID=cds3;Parent=mRNA3
chr%201|s|CDS|5000|5500|.|+|1|ID=cds3;Parent=mRNA3
chr%201|s|CDS|7000|7600|.|+|1|ID=cds3;Parent=mRNA3
chr%201|s|gene|8500|8800|.|-|.|ID=g%3B2;Name=two%2C half;biotype=protein_coding
chr%201|s|CDS|8501|8800|.|-|0|ID=cds4;Parent=g%3B2
chr%201|s|gene|8900|8970|.|-|.|ID=g3;biotype=tRNA
chr%201|s|tRNA|8900|8970|.|-|.|ID=t3;Parent=g3
chr%201|s|exon|8900|8970|.|-|.|Parent=t3
"""


def _spans(features: list[object]) -> list[tuple[int, int]]:
    return sorted((f.start - 1, f.end) for f in features)  # type: ignore[attr-defined]


def _compare(path: Path, genes: tuple[Gene, ...]) -> int:
    """Compare all transcripts that both know; return their number."""
    database = gffutils.create_db(
        str(path), ":memory:", merge_strategy="create_unique", keep_order=False,
        disable_infer_genes=True, disable_infer_transcripts=True,
    )  # fmt: skip
    compared = 0
    for gene in genes:
        row = database[gene.id]
        assert row.strand == ("+" if gene.strand > 0 else "-")
        for transcript in gene.transcripts:
            parent = gene.id if gene.id and transcript.id.startswith("cds") else transcript.id
            cds = _spans(list(database.children(parent, level=1, featuretype="CDS")))
            exons = _spans(list(database.children(parent, level=1, featuretype="exon")))
            assert [(c.start, c.end) for c in transcript.cds] == cds
            assert [(e.start, e.end) for e in transcript.exons] == (
                exons or cds or _spans([database[parent]])
            )
            compared += 1
    return compared


def test_same_transcripts_as_gffutils(tmp_path: Path) -> None:
    path = tmp_path / "sample.gff3"
    path.write_text(SAMPLE.replace("|", "\t"))
    genes = read_gff3(path).genes
    assert [gene.name for gene in genes] == ["EDEN", "two, half", ""]
    assert [gene.contig for gene in genes] == ["chr 1"] * 3
    assert _compare(path, genes) == 4


@pytest.mark.data
@pytest.mark.parametrize(
    "genome",
    ["unicellular/Plasmodium_falciparum_3D7_v3_chr1-2", "plants/Arabidopsis_thaliana_TAIR10_1pct",
     "prokaryotes/Portiera_aleyrodidarum_BT-B-HRs"],
)  # fmt: skip
def test_same_transcripts_as_gffutils_on_real_genomes(genome: str) -> None:
    path = Path(__file__).parents[4] / "../shared/data/raw" / genome / "annotation.gff3.gz"
    if not path.exists():
        pytest.skip(f"no shared data at {path}")
    genes = tuple(g for g in read_gff3(path).genes if not g.transcripts[0].id.endswith(".t1"))
    assert _compare(path.resolve(), genes) > 200
