"""How hard genes are, and which are drawn."""

from __future__ import annotations

import numpy as np
import pytest

from builders import make_gene
from genet5.dataset.difficulty import choose, contig_points, gene_points
from genet5.genome.sequence import encode_bases


def sequence(length: int, **words: str) -> np.ndarray:
    """A contig of C with words at positions, as at_10="ATG"."""
    text = ["C"] * length
    for where, word in words.items():
        at = int(where.removeprefix("at_"))
        text[at : at + len(word)] = word
    return encode_bases("".join(text))


def test_long_plain_genes_are_easy_and_every_trait_adds_its_points() -> None:
    plain = gene_points(num_introns=0, longest_intron_bp=0, cds_bp=900)
    assert plain == 0
    assert gene_points(num_introns=3, longest_intron_bp=100, cds_bp=900) == 3
    assert gene_points(num_introns=1, longest_intron_bp=800, cds_bp=900) == 1 + 3
    assert gene_points(num_introns=0, longest_intron_bp=0, cds_bp=150) == 2
    traits = {"num_introns": 1, "longest_intron_bp": 60, "cds_bp": 900}
    assert gene_points(**traits, is_odd_splice=True) == 3
    assert gene_points(**traits, is_odd_start=True) == 2
    assert gene_points(**traits, is_overlapping=True) == 2


def test_splice_sites_and_starts_are_read_on_both_strands() -> None:
    forward = make_gene((0, 300), (400, 700))
    usual = sequence(1000, at_0="ATG", at_300="GT", at_398="ag")
    assert contig_points([forward], usual) == [1.0]
    assert contig_points([forward], sequence(1000, at_0="GTG", at_300="GC", at_398="AG")) == [4.0]
    reverse = make_gene((0, 300), (400, 700), strand=-1)
    usual = sequence(1000, at_697="CAT", at_300="CT", at_398="AC")
    assert contig_points([reverse], usual) == [1.0]
    assert contig_points([reverse], sequence(1000, at_697="CAT", at_300="GT", at_398="AG")) == [3.0]


def test_neighbours_that_share_bases_are_harder() -> None:
    genes = [make_gene((0, 600)), make_gene((599, 1200), strand=-1), make_gene((1200, 1800))]
    bases = sequence(1800, at_0="ATG", at_1197="CAT", at_1200="ATG")
    assert contig_points(genes, bases) == [1.0, 1.0, 0.0]
    assert contig_points([], bases) == []


def test_each_difficulty_gets_its_number_from_its_third() -> None:
    points = [float(i) for i in range(30)]
    chosen = choose(points, 3, np.random.default_rng(0))
    assert {name: len(own) for name, own in chosen.items()} == dict.fromkeys(chosen, 3)
    assert max(chosen["easy"]) < 10 <= min(chosen["normal"])
    assert max(chosen["normal"]) < 20 <= min(chosen["hard"])
    assert choose(points, 3, np.random.default_rng(0)) == chosen
    assert choose(points, 3, np.random.default_rng(1)) != chosen


@pytest.mark.parametrize(("number", "expected"), [(0, 0), (2, 0), (9, 3), (40, 12), (90, 15)])
def test_a_third_of_the_genes_is_drawn_at_most_and_each_once(number: int, expected: int) -> None:
    chosen = choose([1.0] * number, 5, np.random.default_rng(0))
    drawn = [index for own in chosen.values() for index in own]
    assert len(drawn) == len(set(drawn)) == expected
