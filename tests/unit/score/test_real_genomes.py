"""The scorer on real genomes, against figures that another scorer gave for Prodigal 2.6.3."""

from __future__ import annotations

from pathlib import Path

import pytest
from peers import Models, make_job, run_measured
from testset import find_entries, load_case

from genet5.genome.io.gff3 import read_gff3
from genet5.genome.io.read_options import ReadOptions
from genet5.score.genes import score_genes

pytestmark = pytest.mark.data

PRODIGAL = {
    "Escherichia_coli_K-12_MG1655": (0.982, 0.924),
    "Bacillus_subtilis_168": (0.980, 0.889),
    "Chlamydia_trachomatis_A2497": (0.982, 0.890),
    "Mycoplasmoides_genitalium_G37": (0.943, 0.871),
    "Methanocaldococcus_jannaschii_DSM2661": (0.981, 0.809),
    "Halobacterium_salinarum_NRC-1": (0.977, 0.891),
}
"""Stop F1 and exact F1; that scorer knew only pseudogenes that are annotated with a CDS."""


@pytest.mark.parametrize("name", PRODIGAL)
def test_pyrodigal_scores_what_prodigal_is_known_to_score(name, shared_data, tmp_path) -> None:
    pytest.importorskip("pyrodigal")
    (entry,) = find_entries(shared_data / "splits.tsv", "test", genomes=[name])
    case = load_case(entry, shared_data, "test", tmp_path)
    job = make_job("pyrodigal", case, Models.parse([]), tmp_path)
    run_measured(job.command)
    truth = case.annotation
    with_cds = [gene for gene in truth.genes if not gene.pseudo or gene.canonical.cds]
    predicted = read_gff3(job.output).genes
    scores = score_genes(predicted, with_cds, truth.contig_lengths, prokaryote=True)
    found = [scores.levels[level].f1 for level in ("stop", "exact")]
    assert found == pytest.approx(PRODIGAL[name], abs=0.003)


def test_every_annotation_scores_1_against_itself(shared_data: Path) -> None:
    paths = sorted((shared_data / "raw").glob("*/*/annotation.gff3.gz"))
    for path in paths:
        annotation = read_gff3(path, ReadOptions(skip_bad=True))
        regular = [gene for gene in annotation.genes if gene.is_regular]
        if not regular:
            continue
        scores = score_genes(annotation.genes, annotation.genes, annotation.contig_lengths)
        for name, level in scores.levels.items():
            if level.reference:
                assert level.sensitivity == 1.0, (path, name)
            if name in ("nucleotide", "exon", "intron", "transcript"):
                assert level.tp == level.predicted, (path, name)
        assert scores.prokaryote or path.parts[-3] != "prokaryotes", path
