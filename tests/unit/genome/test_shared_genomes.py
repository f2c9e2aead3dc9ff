"""Every shared genome is read, fits its FASTA, translates, and reads back the same after writing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from genet5.genome.codes import genetic_code
from genet5.genome.extract import cds_bases, protein
from genet5.genome.fasta import read_genome
from genet5.genome.gff3 import read_gff3, write_gff3
from genet5.genome.sequence import decode_bases

RAW = (Path(__file__).parents[3] / "../shared/data/raw").resolve()
GENOMES = sorted(path.parent for path in RAW.glob("*/*/annotation.gff3.gz"))
# Pseudomonas.com's file and the eukaryotes' hold real genes that break the rules (readthrough, odd starts)
LEAST_VALID = {"prokaryotes": 0.997, "invertebrates": 0.96, "vertebrates": 0.99}

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not GENOMES, reason=f"no shared genomes at {RAW}"),
]


@pytest.mark.parametrize("folder", GENOMES, ids=lambda folder: folder.name)
def test_regular_genes_translate(folder: Path) -> None:
    annotation = read_gff3(folder / "annotation.gff3.gz")
    genome = read_genome(folder / "genome.fa.gz")
    assert annotation.skipped == {}
    for name, length in annotation.contig_lengths.items():
        assert len(genome[name].bases) == length
    default = 11 if folder.parent.name == "prokaryotes" else 1
    valid = total = 0
    for gene in annotation.genes:
        if gene.is_regular:
            bases, code = genome[gene.contig].bases, genetic_code(gene.genetic_code or default)
            coding = decode_bases(cds_bases(bases, gene, gene.canonical)).upper()
            residues = protein(bases, gene, gene.canonical, code)
            total += 1
            valid += (
                len(coding) % 3 == 0
                and code.is_stop(coding[-3:])
                and residues.startswith("M")
                and "*" not in residues
            )
    assert total > 0
    assert valid / total >= LEAST_VALID.get(folder.parent.name, 0.97)


@pytest.mark.parametrize("folder", GENOMES, ids=lambda folder: folder.name)
def test_writing_and_reading_again_changes_nothing(folder: Path, tmp_path: Path) -> None:
    first = read_gff3(folder / "annotation.gff3.gz")
    path = tmp_path / "again.gff3"
    for prokaryote in (False, True):
        with path.open("w", encoding="utf-8") as out:
            write_gff3(
                out, first.genes, first.contig_lengths, prokaryote=prokaryote, circular=first.circular
            )  # fmt: skip
        assert read_gff3(path) == first
    if shutil.which("gt"):
        done = subprocess.run(
            ["gt", "gff3validator", str(path)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_genes_over_the_origin_are_whole() -> None:
    over = [
        gene
        for folder in GENOMES
        if folder.parent.name == "prokaryotes"
        for annotation in [read_gff3(folder / "annotation.gff3.gz")]
        for gene in annotation.genes
        if gene.end > annotation.contig_lengths[gene.contig]
    ]
    assert len(over) == 7
    assert all(len(gene.canonical.cds) == 1 and gene.is_regular for gene in over)
