"""Hints of known genes, as incomplete and wrong as was asked for."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

import builders
from genet5.genome.evidence import paint
from genet5.genome.hints import Hint
from genet5.genome.sequence import Bases
from genet5.simulate.hints import (
    Corruption,
    false_introns,
    gene_hints,
    protein_like,
    rna_like,
    transcript_hints,
)

PARTS = ((300, 340), (400, 461), (520, 559))
MANY = 1500


def bases(length: int = 1000) -> Bases:
    rng = np.random.default_rng(5)
    return rng.choice(np.frombuffer(b"ACGT", np.uint8), length)


def genes(strand: int = 1, count: int = MANY) -> list[list[Hint]]:
    return [gene_hints(builders.make_gene(*PARTS, strand=strand))] * count


@pytest.mark.parametrize("strand", [1, -1])
def test_a_gene_says_where_its_parts_lie(strand: int) -> None:
    found = {(hint.kind, hint.start, hint.end) for hint in genes(strand)[0]}
    ends = [(300, 303), (556, 559)]
    start, stop = ends if strand > 0 else ends[::-1]
    parts = {("coding", *part) for part in PARTS} | {("intron", 340, 400), ("intron", 461, 520)}
    assert found == parts | {("start", *start), ("stop", *stop)}


def test_partial_genes_have_no_ends() -> None:
    cut = builders.make_transcript((0, 30), partial_5=True, partial_3=True)
    partial = replace(builders.make_gene((0, 30)), transcripts=(cut,))
    assert [hint.kind for hint in gene_hints(partial)] == ["coding"]


@pytest.mark.parametrize("recall", [0.5, 0.9])
def test_introns_are_found_as_often_as_asked_for(recall: float) -> None:
    found = transcript_hints(genes(), np.random.default_rng(1), recall=recall)
    assert len(found) / (2 * MANY) == pytest.approx(recall, abs=0.03)


def test_weak_genes_lose_all_their_introns_together() -> None:
    rng, both = np.random.default_rng(1), 0
    for gene in genes():
        both += len(transcript_hints([gene], rng, recall=0.5)) == 2
    assert both / MANY > 0.33  # a fourth, were they lost one by one


def test_coverage_is_uneven() -> None:
    reads = [
        h.multiplicity for h in transcript_hints(genes(), np.random.default_rng(1), recall=0.9)
    ]
    assert np.percentile(reads, 95) > 20 * np.percentile(reads, 25)


def test_borders_are_shifted_as_often_as_asked_for() -> None:
    found = transcript_hints(genes(), np.random.default_rng(1), recall=0.9, shifted=0.1)
    right = {(340, 400), (461, 520)}
    wrong = [hint for hint in found if (hint.start, hint.end) not in right]
    assert len(wrong) / len(found) == pytest.approx(0.1, abs=0.02)
    assert all({h.start, h.end} & {340, 400, 461, 520} for h in wrong)


def test_false_introns_look_like_introns() -> None:
    found = false_introns("c", bases(20_000), 200, np.random.default_rng(1))
    text = bases(20_000).tobytes()
    words = Counter((h.strand, text[h.start : h.start + 2], text[h.end - 2 : h.end]) for h in found)
    canonical = words[1, b"GT", b"AG"] + words[-1, b"CT", b"AC"]
    assert canonical > 190
    assert all(0 <= h.start < h.end <= 20_000 for h in found)


def test_false_hints_are_as_many_as_expected() -> None:
    rng, how = np.random.default_rng(1), Corruption(recall=0.5, false=3.0)
    counts = [(len(rna_like([], bases(), how, rng)), len(protein_like([], bases(), how, rng)))
              for _ in range(300)]  # fmt: skip
    assert np.mean(counts, axis=0) == pytest.approx([3.0, 3.0], abs=0.4)


@pytest.mark.parametrize("strand", [1, -1])
def test_what_proteins_show_lies_in_the_genes_frame(strand: int) -> None:
    how = Corruption(recall=0.9)
    found = protein_like(genes(strand, 200), bases(), how, np.random.default_rng(1))
    assert {hint.source for hint in found} == {"P"}
    true = [hint for hint in genes(strand)[0]]
    as_protein = [Hint(*place_of(h), source="P") for h in true]
    allowed = paint(as_protein, 0, 1000) > 0
    assert not (paint([h for h in found if h.kind != "intron"], 0, 1000)[~allowed]).any()


def place_of(hint: Hint) -> tuple[str, str, int, int, int, int | None]:
    return hint.contig, hint.kind, hint.start, hint.end, hint.strand, hint.phase


def test_proteins_miss_genes_and_ends() -> None:
    how = Corruption(recall=0.6)
    found = protein_like(genes(), bases(), how, np.random.default_rng(1))
    kinds = Counter(hint.kind for hint in found)
    assert kinds["start"] / MANY == pytest.approx(0.3, abs=0.05)
    assert kinds["stop"] / MANY == pytest.approx(0.3, abs=0.05)
    assert 0.4 < kinds["coding"] / (3 * MANY) < 0.6


def test_one_seed_gives_one_set_of_hints() -> None:
    how = Corruption(recall=0.6, false=4.0, shifted=0.3)
    for simulate in (rna_like, protein_like):
        one, same, other = (
            simulate(genes(count=30), bases(), how, np.random.default_rng(seed))
            for seed in (4, 4, 5)
        )
        assert one == same != other


def test_a_short_contig_gets_no_false_introns_and_short_coding_hints() -> None:
    rng, how = np.random.default_rng(1), Corruption(recall=0.5, false=9.0)
    assert rna_like([], bases(30), how, rng) == []
    assert all(0 <= h.start < h.end <= 30 for h in protein_like([], bases(30), how, rng))
