"""Which genomes are compared, and which part of them tools are given."""

from __future__ import annotations

from pathlib import Path

import pytest
from testset import cut_genes, find_entries, load_case

from bakes import read_genome
from genet5.errors import DataError


def make_genome(data: Path) -> None:
    folder = data / "raw" / "plants" / "Arabidopsis_thaliana_TAIR10"
    folder.mkdir(parents=True)
    (folder / "genome.fa.gz").write_text(">Chr1\nACGT\n>Chr5\n" + "acgt" * 100 + "\n>ChrM\nAC\n")
    lines = ["##gff-version 3"]
    for contig, first, last in (("Chr1", 1, 3), ("Chr5", 10, 99), ("Chr5", 190, 240)):
        name = f"{contig}_{first}"
        place = f"{first}\t{last}\t.\t+"
        lines.append(f"{contig}\tx\tgene\t{place}\t.\tID={name}")
        lines.append(f"{contig}\tx\tCDS\t{place}\t0\tID=c{name};Parent={name}")
    (folder / "annotation.gff3.gz").write_text("\n".join(lines) + "\n")


def test_a_genome_is_of_a_held_out_species_unless_the_species_is_in_training(splits) -> None:
    found = find_entries(splits, "test")
    assert [(e.genome, e.contigs, e.regime) for e in found] == [
        ("Escherichia_coli_K-12", ("*",), "species"),
        ("Arabidopsis_thaliana_TAIR10", ("Chr5",), "chromosome"),
    ]
    assert found[1].title == "Arabidopsis thaliana TAIR10 Chr5"


def test_genomes_are_chosen_by_split_clade_and_beginning_of_the_name(splits) -> None:
    assert [e.genome for e in find_entries(splits, "valid", clades=["prokaryotes"])] == [
        "Wolbachia_sp_wRi"
    ]
    assert [e.clade for e in find_entries(splits, "test", genomes=["Arab"])] == ["plants"]
    with pytest.raises(DataError, match="expected some of Escherichia_coli_K-12, Arabidopsis"):
        find_entries(splits, "test", clades=["vertebrates"])


def test_tools_see_the_contigs_of_the_split_only(splits, tmp_path) -> None:
    make_genome(tmp_path)
    (entry,) = find_entries(splits, "test", clades=["plants"])
    case = load_case(entry, tmp_path, "test", tmp_path)
    contigs = read_genome(case.fasta)
    assert list(contigs) == ["Chr5"]
    assert contigs["Chr5"].bases.tobytes() == b"ACGT" * 100, "all lower case is no soft mask"
    assert [gene.id for gene in case.annotation.genes] == ["Chr5_10", "Chr5_190"]
    assert case.annotation.contig_lengths == {"Chr5": 400}
    assert (case.size_bp, case.genetic_code, case.prokaryote) == (400, 1, False)


def test_the_rest_of_a_genome_leaves_named_contigs_out(splits, tmp_path) -> None:
    make_genome(tmp_path)
    (entry,) = find_entries(splits, "valid", clades=["plants"])
    assert list(read_genome(load_case(entry, tmp_path, "valid", tmp_path).fasta)) == ["Chr1"]


def test_a_cut_makes_genes_over_it_partial(splits, tmp_path) -> None:
    make_genome(tmp_path)
    (entry,) = find_entries(splits, "test", clades=["plants"])
    case = load_case(entry, tmp_path, "test", tmp_path, max_bp=200)
    assert [gene.is_regular for gene in case.annotation.genes] == [True, False]
    assert case.sizes == {"Chr5": 200}
    assert case.annotation.contig_lengths == {}, "a cut contig is no circle"


def test_genes_over_the_origin_of_a_whole_contig_stay_as_they_are(make_gene) -> None:
    gene = make_gene((900, 1_100))
    assert cut_genes([gene], {"c1": 1_000}, {"c1": 1_000}) == (gene,)
    assert not cut_genes([gene], {"c1": 950}, {"c1": 1_000})[0].is_regular
    assert cut_genes([gene], {"c1": 500}, {"c1": 1_000}) == ()


def test_the_shared_table_gives_the_twelve_test_genomes(shared_data) -> None:
    found = find_entries(shared_data / "splits.tsv", "test")
    regimes = [entry.regime for entry in found]
    assert regimes.count("species") == regimes.count("chromosome") == 6
    assert {e.clade for e in found if e.regime == "species"} == {"prokaryotes"}
