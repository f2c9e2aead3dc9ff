"""`genet5 simulate`."""

from __future__ import annotations

from pathlib import Path

import pytest

from genet5.cli.simulate import main
from genet5.genome.io.fasta import read_fasta
from genet5.genome.io.gff3 import read_gff3
from genet5.simulate.eukaryote import simulate_eukaryote
from genet5.simulate.prokaryote import simulate_bacterium


def test_a_eukaryote_is_written_as_it_was_made_and_read_as_it_was_written(tmp_path: Path) -> None:
    words = [str(tmp_path), "--eukaryote", "--length_bp", "60000", "--seed", "4", "--contigs", "2"]
    options = [
        "--introns",
        "5",
        "--intron_bp",
        "90",
        "--isoforms",
        "0.5",
        "--coding_density",
        "0.6",
    ]
    assert main([*words, *options]) == 0
    contigs, genes = simulate_eukaryote(
        60_000, 4, num_contigs=2, introns=5, intron_bp=90, isoforms=0.5, gene_density=0.6
    )
    read = list(read_fasta(tmp_path / "genome.fa"))
    assert [c.name for c in read] == [c.name for c in contigs]
    assert all((a.bases == b.bases).all() for a, b in zip(read, contigs, strict=True))
    found = read_gff3(tmp_path / "annotation.gff3").genes
    shown = [(g.id, g.type, g.strand, [(t.exons, t.cds) for t in g.transcripts]) for g in genes]
    assert [
        (g.id, g.type, g.strand, [(t.exons, t.cds) for t in g.transcripts]) for g in found
    ] == shown
    assert all(gene.genetic_code in (1, None) for gene in found)
    assert main([*words, *options]) == 2, "an earlier genome is not overwritten"


def test_without_the_flag_it_is_a_bacterium_with_its_own_defaults(tmp_path: Path) -> None:
    assert main([str(tmp_path), "--length_bp", "20000"]) == 0
    _, genes = simulate_bacterium(20_000, 1)
    found = read_gff3(tmp_path / "annotation.gff3").genes
    assert [(g.id, g.start, g.end, g.genetic_code) for g in found] == [
        (g.id, g.start, g.end, 11) for g in genes
    ]


@pytest.mark.parametrize(
    "wrong",
    [["--introns", "2"], ["--isoforms", "0.5"], ["--intron_bp", "90"], ["--eukaryote", "--gc", "2"],
     ["--eukaryote", "--length_bp", "4000"], ["--seed", "-1"]],
)  # fmt: skip
def test_wrong_usage_writes_nothing(tmp_path: Path, wrong: list[str]) -> None:
    assert main([str(tmp_path / "out"), *wrong]) == 2
    assert not (tmp_path / "out").exists()
