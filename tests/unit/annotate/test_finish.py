"""Genes on their way into files: repeats, RNA genes, names."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from builders import make_gene, make_transcript
from genet5.annotate.finish import Finisher, shared_bp, with_locus_tag
from genet5.genome.gene import Exon, Gene, Transcript
from genet5.genome.io.fasta import Contig
from genet5.genome.sequence import encode_bases

CONTIG = Contig("c", encode_bases("ACGTTGCA" * 100))


def rna(start: int, end: int, kind: str = "tRNA") -> Gene:
    transcript = Transcript(id="rna.1", exons=(Exon(start, end),), type=kind)
    return Gene(id="rna", contig="c", strand=1, transcripts=(transcript,), type=kind,
                source="aragorn")  # fmt: skip


def ids(finisher: Finisher, genes: list[Gene], others: list[Gene]) -> list[str]:
    return [gene.id for gene in finisher.finished(CONTIG, genes, others)]


def test_rna_genes_stand_between_the_others_by_start() -> None:
    genes = [make_gene((0, 90), id="g1"), make_gene((300, 390), id="g2")]
    done = ids(Finisher(), genes, [rna(120, 190), rna(400, 480)])
    assert done == ["g1", "rna_000001", "g2", "rna_000002"]


@pytest.mark.parametrize(("start", "kept"), [(60, True), (59, False)])
def test_a_gene_may_share_thirty_coding_bases_with_an_rna_gene(start: int, kept: bool) -> None:
    finisher = Finisher()
    assert ("g" in ids(finisher, [make_gene((0, 90))], [rna(start, 150)])) is kept
    assert finisher.num_under_rna == (not kept)


def test_a_transfer_rna_in_an_intron_is_no_rival() -> None:
    spliced = make_gene((0, 90), (300, 390))
    assert shared_bp(spliced, [rna(120, 190)], 800) == 0
    assert shared_bp(spliced, [rna(80, 310)], 800) == 20


def test_genes_over_the_origin_share_bases_with_genes_at_the_start() -> None:
    assert shared_bp(make_gene((0, 90)), [rna(760, 850)], 800) == 50
    assert shared_bp(make_gene((750, 840)), [rna(10, 60)], 800) == 30
    assert shared_bp(make_gene((750, 840)), [rna(760, 850)], 800) == 80
    assert ids(Finisher(), [make_gene((0, 90))], [rna(760, 850)]) == ["rna_000001"]


def test_locus_tags_count_all_genes_and_name_transcripts_and_products() -> None:
    finisher = Finisher("AB1")
    first, second = finisher.finished(CONTIG, [make_gene((0, 90))], [rna(120, 190)])
    assert (first.id, first.transcripts[0].id) == ("AB1_00001", "AB1_00001.1")
    assert first.attributes == (("locus_tag", "AB1_00001"),)
    assert first.transcripts[0].cds_attributes == (("product", "hypothetical protein"),)
    assert (second.id, second.transcripts[0].cds_attributes) == ("AB1_00002", ())


def test_a_product_that_is_known_stays() -> None:
    known = make_transcript((0, 9), cds_attributes=(("product", "RNase P"),))
    gene = replace(make_gene((0, 9)), transcripts=(known,))
    assert with_locus_tag(gene, "AB1_00001").transcripts[0].cds_attributes == (
        ("product", "RNase P"),
    )


def test_what_was_dropped_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    finisher = Finisher(max_masked=0.0)
    masked = Contig("c", encode_bases("a" * 400))
    list(finisher.finished(masked, [make_gene((0, 90))], []))
    list(finisher.finished(CONTIG, [make_gene((0, 90))], [rna(0, 150)]))
    with caplog.at_level(logging.INFO, "genet5"):
        finisher.log()
    assert caplog.messages == [
        "dropped 1 genes without introns in soft-masked repeats",
        "dropped 1 genes that share more than 30 coding bases with an RNA gene",
    ]


def test_genes_without_introns_in_soft_masked_repeats_are_dropped_by_wish() -> None:
    contig = Contig("c", encode_bases("a" * 60 + "C" * 340))
    genes = [make_gene((0, 90), id="masked"), make_gene((0, 60), (200, 290), id="spliced")]
    strict = Finisher(max_masked=0.5)
    assert [gene.id for gene in strict.finished(contig, genes, [])] == ["spliced"]
    assert strict.num_masked == 1
    assert len(list(Finisher(max_masked=0.7).finished(contig, genes, []))) == 2
    assert len(list(Finisher().finished(contig, genes, []))) == 2
