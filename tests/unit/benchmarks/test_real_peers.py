"""Augustus on real test contigs, against figures that another scorer gave.

It ignored no reference.
"""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from machine import run_measured
from peers import Models, make_job
from testset import find_entries, load_case

from genet5.genome.gene import Gene
from genet5.genome.io.formats import read_annotation
from genet5.score.genes import score_genes

pytestmark = [pytest.mark.data, pytest.mark.external]

AUGUSTUS = {
    "Plasmodium_falciparum": (0.760, 0.664),
    "Arabidopsis_thaliana_TAIR10_1pct": (0.846, 0.627),
    "Homo_sapiens_GRCh38_chr9": (0.738, 0.375),
}
"""Exon F1 and gene F1 of Augustus 3.5.0."""


def counting(gene: Gene) -> Gene:
    """The gene, complete and without exceptions."""
    whole = {"partial_5": False, "partial_3": False, "exceptions": ()}
    return replace(gene, transcripts=tuple(replace(tx, **whole) for tx in gene.transcripts))


@pytest.mark.parametrize("name", AUGUSTUS)
def test_augustus_scores_what_it_is_known_to_score(name, shared_data, tmp_path) -> None:
    if shutil.which("augustus") is None:
        pytest.skip("needs the program augustus")
    (entry,) = find_entries(shared_data / "splits.tsv", "test", genomes=[name])
    case = load_case(entry, shared_data, "test", tmp_path)
    job = make_job("augustus", case, Models.parse([]), tmp_path)
    run_measured(job.command)
    reference = [counting(gene) for gene in case.annotation.genes if not gene.pseudo]
    scores = score_genes(read_annotation(job.output).genes, reference, case.sizes, prokaryote=False)
    found = [scores.levels[level].f1 for level in ("exon", "gene")]
    assert found == pytest.approx(AUGUSTUS[name], abs=0.002)
