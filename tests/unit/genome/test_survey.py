"""The survey of a genome: its kind and its genetic code, from open frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from genet5.genome.io.fasta import Contig
from genet5.genome.sequence import encode_bases, reverse_complement
from genet5.genome.survey import NO_SURVEY, Survey, survey_block, survey_genome
from genet5.simulate.eukaryote import simulate_eukaryote
from genet5.simulate.prokaryote import simulate_bacterium


def bacterium(length_bp: int = 100_000, **settings: float) -> Contig:
    return simulate_bacterium(length_bp, seed=3, **settings)[0][0]


@pytest.fixture(scope="module")
def standard() -> Survey:
    return survey_genome([bacterium()])


def test_a_bacterium_is_a_prokaryote_of_code_11(standard: Survey) -> None:
    assert standard.prokaryote_probability == pytest.approx(1, abs=0.05)
    assert standard.genetic_code == 11
    assert standard.kind.startswith("a prokaryote's genome")


def test_both_strands_say_the_same(standard: Survey) -> None:
    contig = bacterium()
    mirrored = survey_block(reverse_complement(contig.bases))
    assert abs(mirrored.operon_share - standard.operon_share) < 0.05
    assert mirrored.bases == standard.bases == len(contig.bases)


def test_a_genome_that_reads_tga_has_code_4() -> None:
    survey = survey_genome([bacterium(gc=0.35, code=4)])
    assert survey.genetic_code == 4
    assert survey.is_prokaryote


def test_tga_as_common_as_glycine_is_code_25() -> None:
    survey = survey_genome([bacterium(gc=0.35, code=4)])
    assert replace(survey, tga=survey.codons * 3 // 100).genetic_code == 25


def test_the_code_of_gc_rich_genomes_is_left_open() -> None:
    survey = survey_genome([bacterium(200_000, gc=0.65)])
    assert survey.genetic_code is None
    assert survey.is_prokaryote


def test_a_genome_without_operons_is_a_eukaryotes() -> None:
    contigs = simulate_eukaryote(length_bp=250_000, seed=1)[0]
    survey = survey_genome(contigs)
    assert survey.is_prokaryote is False
    assert survey.kind.startswith("a eukaryote's genome")


@pytest.mark.parametrize("bases", ["", "ACGTN", "N" * 5000, "ACGGTCA" * 700])
def test_too_little_dna_says_nothing(bases: str) -> None:
    survey = survey_genome([Contig("c", encode_bases(bases))])
    assert survey.prokaryote_probability is None
    assert survey.is_prokaryote is None
    assert survey.genetic_code is None
    assert survey.kind == "kind of genome unknown"


def test_counts_of_parts_add_up(standard: Survey) -> None:
    assert standard + NO_SURVEY == standard
    assert (standard + standard).standard.pairs == 2 * standard.standard.pairs


def test_a_long_genome_is_sampled() -> None:
    class Long:
        """Twelve Mbp of which only slices can be had."""

        def __init__(self) -> None:
            self.taken: list[slice] = []

        @property
        def bases(self) -> Long:
            return self

        def __len__(self) -> int:
            return 12_000_000

        def __getitem__(self, span: slice) -> np.ndarray:
            self.taken.append(span)
            return encode_bases("N" * 10)

    contig = Long()
    survey_genome([contig, contig])
    assert len(contig.taken) == 8
    assert all(span.stop - span.start == 250_000 for span in contig.taken)
    assert contig.taken[0].start > 0
    assert contig.taken[-1].stop < 12_000_000
