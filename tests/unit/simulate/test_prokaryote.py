from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from genet5.errors import ConfigError
from genet5.genome.codes import CODONS, genetic_code
from genet5.genome.gene import Gene
from genet5.genome.sequence import Bases, codon_index, decode_bases, reverse_complement
from genet5.simulate.codon_usage import codon_usage
from genet5.simulate.prokaryote import simulate_bacterium


def read(bases: Bases, gene: Gene) -> Bases:
    interval = bases[gene.start : gene.end]
    return interval if gene.strand > 0 else reverse_complement(interval)


@pytest.fixture(scope="module")
def bacterium() -> tuple[Bases, tuple[Gene, ...]]:
    contigs, genes = simulate_bacterium(600_000, seed=7)
    return contigs[0].bases, genes


@pytest.mark.parametrize(("code", "gc"), [(11, 0.3), (11, 0.7), (4, 0.3), (25, 0.45)])
def test_every_gene_translates_from_a_start_to_its_first_stop(code: int, gc: float) -> None:
    contigs, genes = simulate_bacterium(100_000, seed=3, gc=gc, code=code, num_contigs=2)
    bases = {contig.name: contig.bases for contig in contigs}
    assert len(genes) > 60
    for gene in genes:
        sequence = read(bases[gene.contig], gene)
        protein = genetic_code(code).translate(sequence)
        assert len(sequence) % 3 == 0
        assert len(sequence) >= 120
        assert decode_bases(sequence[:3]) in ("ATG", "GTG", "TTG")
        assert protein.index("*") == len(protein) - 1


def test_the_same_arguments_give_the_same_genome_and_another_seed_another() -> None:
    first, again, other = (simulate_bacterium(30_000, seed=seed) for seed in (5, 5, 6))
    assert first[1] == again[1]
    assert np.array_equal(first[0][0].bases, again[0][0].bases)
    assert not np.array_equal(first[0][0].bases, other[0][0].bases)


def test_contigs_share_the_length_and_hold_their_genes() -> None:
    contigs, genes = simulate_bacterium(50_001, seed=1, num_contigs=3)
    lengths = {contig.name: len(contig.bases) for contig in contigs}
    assert sum(lengths.values()) == 50_001
    assert len(lengths) == 3
    assert all(0 <= gene.start < gene.end <= lengths[gene.contig] for gene in genes)
    assert len({gene.id for gene in genes}) == len(genes)


@pytest.mark.parametrize("gc", [0.3, 0.5, 0.65])
def test_gc_content_and_coding_density_are_as_asked(gc: float) -> None:
    contigs, genes = simulate_bacterium(400_000, seed=2, gc=gc)
    bases = contigs[0].bases
    coding = np.zeros(len(bases), dtype=bool)
    for gene in genes:
        coding[gene.start : gene.end] = True
    is_gc = np.isin(bases, np.frombuffer(b"GC", np.uint8))
    assert is_gc.mean() == pytest.approx(gc, abs=0.02)
    assert coding.mean() == pytest.approx(0.88, abs=0.03)
    assert is_gc[~coding].mean() < is_gc[coding].mean() - 0.03


def test_starts_stops_and_lengths_have_their_natural_shares(bacterium) -> None:
    bases, genes = bacterium
    starts = Counter(decode_bases(read(bases, gene)[:3]) for gene in genes)
    stops = Counter(decode_bases(read(bases, gene)[-3:]) for gene in genes)
    assert starts["ATG"] / len(genes) == pytest.approx(0.80, abs=0.06)
    assert starts["GTG"] > starts["TTG"] > 0
    assert stops["TAA"] > stops["TGA"] > stops["TAG"] > 0
    assert np.mean([gene.end - gene.start for gene in genes]) == pytest.approx(950, rel=0.1)


def test_neighbours_overlap_as_in_operons_and_both_strands_carry_genes(bacterium) -> None:
    bases, genes = bacterium
    pairs = list(itertools.pairwise(genes))
    shared = Counter(
        decode_bases(
            bases[right.start : left.end]
            if left.strand > 0
            else reverse_complement(bases[right.start : left.end])
        )
        for left, right in pairs
        if right.start < left.end
    )
    assert set(shared) <= {"ATGA", "A", "TTAA"}
    assert shared["ATGA"] > 10
    assert shared["A"] > 10
    assert 0.4 < np.mean([gene.strand > 0 for gene in genes]) < 0.6
    assert 0.6 < np.mean([left.strand == right.strand for left, right in pairs]) < 0.85


def test_most_genes_have_a_ribosome_binding_site(bacterium) -> None:
    bases, genes = bacterium

    def has_site(gene: Gene) -> bool:
        before = (
            bases[gene.start - 16 : gene.start - 4]
            if gene.strand > 0
            else reverse_complement(bases[gene.end + 4 : gene.end + 16])
        )
        return any(core in decode_bases(before) for core in ("GGAG", "AGGA", "GAGG"))  # fmt: skip

    assert 0.6 < np.mean([has_site(gene) for gene in genes]) < 0.95


def test_dna_between_genes_holds_no_long_open_frame(bacterium) -> None:
    bases, genes = bacterium
    coding = np.zeros(len(bases), dtype=bool)
    for gene in genes:
        coding[gene.start : gene.end] = True
    stop = np.append(genetic_code(11).stop_table, False)
    longest = 0
    for strand_bases, covered in ((bases, coding), (reverse_complement(bases), coding[::-1])):
        ends = stop[codon_index(strand_bases)]
        for frame in range(3):
            breaks = np.flatnonzero((ends | covered)[frame::3])
            longest = max(longest, int(np.diff(breaks).max()) * 3)
    assert longest < 600


def test_rich_and_poor_genomes_use_other_codons_and_amino_acids() -> None:
    rng = np.random.default_rng(0)
    poor, rich = (codon_usage(genetic_code(11), gc, rng).frequencies() for gc in (0.3, 0.7))
    amino_acids = np.array(list(genetic_code(11).amino_acids))
    assert poor[amino_acids == "K"].sum() > 2 * rich[amino_acids == "K"].sum()
    assert rich[amino_acids == "A"].sum() > 1.5 * poor[amino_acids == "A"].sum()
    assert poor[CODONS.index("TAA")] == 0
    assert poor.sum() == pytest.approx(1)


@pytest.mark.parametrize("gc", [0.28, 0.5, 0.74])
def test_codon_usage_has_the_gc_content_asked_for(gc: float) -> None:
    assert codon_usage(genetic_code(4), gc, np.random.default_rng(1)).gc == pytest.approx(
        gc, abs=1e-6
    )


@pytest.mark.parametrize(
    "wrong",
    [{"gc": 0.9}, {"num_contigs": 0}, {"num_contigs": 11}, {"coding_density": 1.0}, {"code": 7}],
)
def test_arguments_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        simulate_bacterium(20_000, seed=1, **wrong)


def test_a_contig_too_short_for_a_gene_is_an_answer() -> None:
    contigs, genes = simulate_bacterium(2_000, seed=11)
    assert len(contigs[0].bases) == 2_000
    assert len(genes) <= 3
