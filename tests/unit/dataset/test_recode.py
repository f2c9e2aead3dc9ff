"""Code 11 rewritten as code 4."""

from __future__ import annotations

import numpy as np
import pytest

from builders import make_gene
from genet5.dataset.recode import recode_contig
from genet5.genome.codes import genetic_code
from genet5.genome.extract import protein
from genet5.genome.gene import Gene
from genet5.genome.sequence import decode_bases, encode_bases, reverse_complement
from genet5.simulate.prokaryote import simulate_bacterium


def recode(text: str, *genes: Gene, share: float = 1.0, coding: tuple[Gene, ...] = ()):
    rng = np.random.default_rng(0)
    return recode_contig(encode_bases(text), genes, (*genes, *coding), rng, share=share)


def test_tryptophan_and_stop_change_and_case_stays() -> None:
    recoded = recode("ccATGTGGtggTGAtgg", make_gene((2, 14)))
    assert decode_bases(recoded.bases) == "ccATGTGAtgaTAAtgg"
    assert recoded.spoiled == []
    assert recoded.changed_codons == 3


def test_the_reverse_strand_changes_alike() -> None:
    forward = encode_bases("ccATGTGGtggTGAtg")
    turned = reverse_complement(forward)
    recoded = recode(decode_bases(turned), make_gene((2, 14), strand=-1))
    assert decode_bases(reverse_complement(recoded.bases)) == "ccATGTGAtgaTAAtg"


def test_codons_that_another_gene_overlaps_keep_their_letters() -> None:
    pseudo = make_gene((5, 8))
    assert (
        decode_bases(recode("ATGTGGTGGTAA", make_gene((0, 12)), coding=(pseudo,)).bases)
        == "ATGTGGTGGTAA"
    )
    assert decode_bases(recode("ATGTGGTGGTAA", make_gene((0, 12))).bases) == "ATGTGATGATAA"


def test_a_stop_in_the_next_start_spoils() -> None:
    recoded = recode("ATGAAATGACCTAA", make_gene((0, 9)), make_gene((5, 14)))
    assert decode_bases(recoded.bases) == "ATGAAATGACCTAA"
    assert recoded.spoiled == [(6, 9)]


def test_a_stop_inside_another_gene_changes_if_that_gene_stays_legal() -> None:
    recoded = recode("ATGTTATGACAT", make_gene((0, 9)), make_gene((3, 12), strand=-1))
    assert decode_bases(recoded.bases) == "ATGTTATAACAT"
    assert recoded.spoiled == []


def test_genes_over_the_origin_are_spoiled() -> None:
    recoded = recode("TGGTGACCCATG", make_gene((9, 18)), make_gene((-3, 6)))
    assert decode_bases(recoded.bases) == "TGGTGACCCATG"
    assert recoded.spoiled == [(0, 6), (9, 18)]


@pytest.mark.parametrize("seed", [1, 2])
def test_a_recoded_genome_is_legal_where_it_is_not_spoiled(seed: int) -> None:
    contigs, genes = simulate_bacterium(60_000, seed)
    bases = contigs[0].bases
    recoded = recode_contig(bases, genes, genes, np.random.default_rng(seed))
    eleven, four = genetic_code(11), genetic_code(4)
    spoiled = set(recoded.spoiled)
    whole = same = 0
    for each in genes:
        stop = (each.end - 3, each.end) if each.strand > 0 else (each.start, each.start + 3)
        before = protein(bases, each, each.canonical, eleven)
        after = protein(recoded.bases, each, each.canonical, four)
        if stop not in spoiled:
            assert after.endswith("*") == before.endswith("*")
            assert "*" not in after[:-1]
            whole += 1
            same += after == before
    assert whole > 0.7 * len(genes)
    assert same > 0.85 * whole  # stops changed in overlaps change amino acids of the other gene
    assert recoded.changed_codons > 100
    assert not np.array_equal(bases, recoded.bases)
