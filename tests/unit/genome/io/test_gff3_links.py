"""Which gene a feature of GFF3 belongs to, whatever names it: Parent, Derives_from, locus_tag."""

from __future__ import annotations

from pathlib import Path

import pytest

from genet5.errors import DataError
from genet5.genome.io.gff3 import Annotation, read_gff3
from genet5.genome.io.read_options import ReadOptions


def read(folder: Path, *features: str, skip_bad: bool = False) -> Annotation:
    """Read features `TYPE START END ATTRIBUTES` of the forward strand of c1."""
    path = folder / "x.gff3"
    lines = []
    for feature in features:
        kind, start, end, *score, attributes = feature.split()
        phase = "0" if kind == "CDS" else "."
        lines.append(
            "\t".join(["c1", ".", kind, start, end, *(score or "."), "+", phase, attributes])
        )
    path.write_text("\n".join(lines) + "\n")
    return read_gff3(path, ReadOptions(skip_bad=skip_bad))


def shape(annotation: Annotation) -> dict[str, dict[str, list[tuple[int, int]]]]:
    """Genes, their transcripts and the CDS of these."""
    return {
        gene.id: {t.id: [(cds.start, cds.end) for cds in t.cds] for t in gene.transcripts}
        for gene in annotation.genes
    }


GENE, CODING = "gene 1 9 ID=g;locus_tag=L", [(0, 9)]
MRNA, CDS = "mRNA 1 9 ID=t;Parent=g", "CDS 1 9 ID=x;Parent=u"


@pytest.mark.parametrize(
    "features",
    [
        pytest.param(["mRNA 1 9 ID=t;Derives_from=g"], id="derives from the gene"),
        pytest.param(["mRNA 1 9 ID=t;locus_tag=L"], id="has the gene's locus_tag"),
        pytest.param([MRNA, "CDS 1 9 ID=y;Parent=g"], id="its CDS names the gene, too"),
    ],
)
def test_a_transcript_finds_its_gene(tmp_path: Path, features: list[str]) -> None:
    found = read(tmp_path, GENE, *features, "CDS 1 9 ID=x;Parent=t")
    assert shape(found)["g"]["t"] == CODING
    assert len(found.genes) == 1


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("mRNA 1 9 ID=u;Parent=t", {"t": [], "u": CODING}),  # an isoform
        ("polypeptide 1 9 ID=u;Parent=t", {"t": CODING}),
        ("polypeptide 1 9 ID=u;Derives_from=t", {"t": CODING}),
    ],
)
def test_what_lies_below_a_transcript_is_an_isoform_or_its_protein(
    tmp_path: Path, link: str, expected: dict[str, list[tuple[int, int]]]
) -> None:
    assert shape(read(tmp_path, GENE, MRNA, link, CDS)) == {"g": expected}


@pytest.mark.parametrize(
    ("above", "transcript"),
    [
        ("mRNA 1 9 ID=t", "mRNA 1 9 ID=u;Parent=t"),
        ("island 1 9 ID=i", "mRNA 1 9 ID=u;Parent=i"),
        ("gene 101 109 ID=g;locus_tag=L", "mRNA 1 9 ID=u;locus_tag=L"),  # elsewhere
    ],
)
def test_a_transcript_without_a_gene_line_is_a_gene(
    tmp_path: Path, above: str, transcript: str
) -> None:
    assert shape(read(tmp_path, above, transcript, CDS))["gene-u"] == {"u": CODING}


def test_cds_of_the_gene_beside_its_transcript_are_a_second_one(tmp_path: Path) -> None:
    own = ["CDS 1 9 ID=x;Parent=t", "CDS 31 39 ID=y;Parent=g"]
    found = read(tmp_path, "gene 1 99 ID=g", MRNA, *own)
    assert shape(found) == {"g": {"t": CODING, "y": [(30, 39)]}}


def test_cds_of_the_gene_are_those_of_its_only_transcript_without(tmp_path: Path) -> None:
    found = read(tmp_path, "gene 1 99 ID=g", "mRNA 1 99 ID=t;Parent=g", "CDS 1 9 ID=y;Parent=g")
    assert shape(found) == {"g": {"t": CODING}}


def test_exons_of_a_gene_are_one_transcript_of_it(tmp_path: Path) -> None:
    found = read(tmp_path, "gene 1 99 ID=g", "exon 1 9 Parent=g", "exon 31 39 Parent=g")
    (transcript,) = found.genes[0].transcripts
    assert [(exon.start, exon.end) for exon in transcript.exons] == [(0, 9), (30, 39)]


def test_a_transcript_of_a_gene_that_is_not_there_is_a_bad_record(tmp_path: Path) -> None:
    lines = ["mRNA 1 9 ID=u;Parent=g", CDS]
    with pytest.raises(DataError, match='parent "g" that is not on contig "c1"'):
        read(tmp_path, *lines)
    found = read(tmp_path, *lines, skip_bad=True)
    assert (found.genes, found.skipped) == ((), {"parent": 1})


@pytest.mark.parametrize("below", ["CDS 1 9 ID=x;Parent=g", "mRNA 1 9 ID=u;Parent=g"])
def test_what_lies_below_a_bad_gene_goes_with_it(tmp_path: Path, below: str) -> None:
    found = read(tmp_path, "gene 1 9 inf ID=g", below, skip_bad=True)
    assert (found.genes, found.skipped) == ((), {"score": 1})
