"""The page on an annotated genome: what is counted, and that names cannot break it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from builders import make_gene
from genet5.annotate.adapt.motif import SPACERS, Motif
from genet5.annotate.adapt.record import Learned
from genet5.annotate.genome_report import GenomeReport, n50, write_report
from genet5.annotate.report_places import open_places
from genet5.genome.gene import Exon, Gene, Transcript
from genet5.genome.io.fasta import Contig
from genet5.genome.sequence import encode_bases
from genet5.score.busco import BuscoReport, Lineage, Result
from genet5.score.busco_search import Proteins
from genet5.view.genome_view import genome_view

pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")

CONTIG = Contig("c", encode_bases("ATGAAATAA" + "CCCC" + "TTATTTCAC" + "GG"))
"""Genes at 0..9 on + (ATG ... TAA) and at 13..22 on - (GTG ... TAA)."""


def genes() -> list[Gene]:
    return [
        make_gene((0, 9), id="a", score=0.9, start_score=0.8),
        make_gene((13, 22), id="</script><b>", strand=-1, score=0.5),
    ]


def page_of(report: GenomeReport, tmp_path: Path, learned: tuple[Learned, ...] = ()) -> str:
    out = tmp_path / "report.html"
    facts = [("model", "na<no")]
    write_report(report, out, title="x & y", facts=facts, contigs=[CONTIG], learned=learned)
    return out.read_text()


def test_codons_scores_and_lengths_are_counted_on_both_strands() -> None:
    report = GenomeReport()
    report.add(CONTIG, genes()[:1])
    report.add(CONTIG, genes()[1:])
    assert report.starts == {"ATG": 1, "GTG": 1}
    assert report.stops == {"TAA": 2}
    assert report.cds_bp == [9, 9]
    assert (report.scores, report.start_scores) == ([0.9, 0.5], [0.8])


def test_ends_that_are_missing_give_no_codons() -> None:
    report = GenomeReport()
    whole = genes()[0].transcripts[0]
    report.add(CONTIG, [make_gene((0, 9))])
    cut = make_gene((0, 6), id="cut")
    cut = Gene(id="cut", contig="c", strand=1, transcripts=(
        type(whole)(id="t", exons=cut.transcripts[0].exons, cds=cut.transcripts[0].cds,
                    partial_3=True),))  # fmt: skip
    report.add(CONTIG, [cut])
    assert report.partial == 1
    assert report.starts == {"ATG": 2}
    assert report.stops == {"TAA": 1}


def test_introns_are_measured() -> None:
    report = GenomeReport()
    report.add(CONTIG, [make_gene((0, 4), (8, 13))])
    assert (report.spliced, report.intron_bp) == (1, [4])


@pytest.mark.slow
def test_the_table_of_genes_is_data_that_names_cannot_end(tmp_path: Path) -> None:
    report = GenomeReport()
    report.add(CONTIG, genes())
    page = page_of(report, tmp_path)
    found = re.search(r'id="genes">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    rows = json.loads(found[1])
    assert rows[0] == ["a", "c", "1", "9", "+", "1", "9", "0.900", "0.800"]
    assert rows[1][0] == "</script><b>"
    assert "na&lt;no" in page
    assert "x &amp; y" in page


@pytest.mark.slow
def test_the_page_shows_what_was_learned_and_needs_no_network(tmp_path: Path) -> None:
    columns = np.full((6, 4), 0.1) + 0.6 * np.eye(4)[[0, 2, 2, 0, 2, 2]]
    motif = Motif(columns, np.full(len(SPACERS), 1 / len(SPACERS)), 0.7, np.full(4, 0.25))
    learned = Learned(("c",), 2, motif, {"ATG": 1.0}, 0.1)
    report = GenomeReport()
    report.add(CONTIG, genes())
    page = page_of(report, tmp_path, (learned,))
    assert "ribosome binding site AGGAGG" in page
    assert not re.findall(r'(?:src|href)="(?!#)', page.replace("xlink:href", "href"))


def test_a_genome_without_genes_has_a_page(tmp_path: Path) -> None:
    assert "<td>genes</td><td>0</td>" in page_of(GenomeReport(), tmp_path)


def test_genes_of_rna_are_counted_apart(tmp_path: Path) -> None:
    transcript = Transcript(id="r.1", exons=(Exon(0, 70),), type="tRNA")
    report = GenomeReport()
    report.add(CONTIG, [Gene(id="r", contig=CONTIG.name, strand=1, transcripts=(transcript,),
                             type="tRNA")])  # fmt: skip
    page = page_of(report, tmp_path)
    assert "<td>genes of tRNA</td><td>1</td>" in page
    assert "<td>genes</td><td>0</td>" in page


@pytest.mark.slow
def test_only_so_many_genes_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genet5.annotate.genome_report.MOST_ROWS", 1)
    report = GenomeReport()
    report.add(CONTIG, genes())
    assert "1 more genes are in the annotation" in page_of(report, tmp_path)


def test_a_page_of_a_large_genome_leaves_out_what_would_pass_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = Contig("c", np.random.default_rng(1).choice(encode_bases("ACGT"), 400_000))
    sizes = []
    for room in (100_000, 200_000):  # it takes 140,000 bytes
        limit = len(genome_view([noise], [], most_bytes=0).html) + room
        monkeypatch.setattr("genet5.annotate.genome_report.PAGE_BYTES", limit)
        with open_places(None, ()) as places:
            report = GenomeReport(places=places)
        out = tmp_path / "report.html"
        write_report(report, out, title="t", facts=[], contigs=[noise], has_view=True)
        assert out.stat().st_size < limit
        sizes.append("too large: the sequence" in out.read_text())
    assert sizes == [True, False]


@pytest.mark.slow
def test_completeness_is_scored_on_the_proteins_and_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, str]] = []

    def scored(proteins: Proteins, lineage: Lineage, *, threads: int | None) -> BuscoReport:
        seen.extend(proteins)
        results = (Result("g1", "single"), Result("g2", "missing"))
        return BuscoReport(lineage=lineage.name, scorer="toy 1", proteins=1, results=results)

    monkeypatch.setattr("genet5.annotate.genome_report.run_busco", scored)
    report = GenomeReport(proteins=[])
    report.add(CONTIG, [*genes()[:1], make_gene((13, 14), id="without_codon")])
    report.score_completeness(Lineage(tmp_path, "toy_odb10", {}), 1)
    page = page_of(report, tmp_path)
    assert [letters for _, letters in seen] == ["MK"]
    summary = "C:50.0%[S:50.0%,D:0.0%],F:0.0%,M:50.0%,n:2"
    assert f"<td>BUSCO (toy_odb10, toy 1)</td><td>{summary}</td>" in page
    assert "missing 1 (50.0%)" in page


def test_a_genome_without_proteins_has_no_completeness(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    report = GenomeReport(proteins=[])
    report.score_completeness(Lineage(tmp_path, "toy_odb10", {}), 1)
    assert report.busco is None
    assert caplog.messages == ["no coding gene: BUSCO was not run"]


@pytest.mark.parametrize(("lengths", "expected"), [([], 0), ([7], 7), ([2, 3, 5], 5), ([4, 4], 4)])
def test_n50(lengths: list[int], expected: int) -> None:
    assert n50(np.array(lengths, np.int64)) == expected
