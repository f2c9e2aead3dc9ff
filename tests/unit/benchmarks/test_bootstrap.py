"""Paired intervals, and counts by block that add up."""

from __future__ import annotations

import numpy as np
import pytest
from bootstrap import MIN_UNITS, compare_blocks, compare_means, count_by_block, f1_of
from hypothesis import given, settings
from hypothesis import strategies as st

from genet5.genome.gene import Cds, Exon, Gene, Transcript
from genet5.genome.io.annotation import Annotation
from genet5.score.genes import score_genes


@st.composite
def two_tools(draw) -> tuple[np.ndarray, np.ndarray]:
    """Counts of two tools on the same blocks: right <= predicted, right <= reference."""
    number = draw(st.integers(MIN_UNITS, 15))
    reference = np.array(draw(st.lists(st.integers(0, 40), min_size=number, max_size=number)))
    tools = []
    for _ in range(2):
        right = np.array([draw(st.integers(0, int(most))) for most in reference])
        wrong = np.array(draw(st.lists(st.integers(0, 20), min_size=number, max_size=number)))
        tools.append(np.stack([right, right + wrong, reference], axis=1))
    return tools[0], tools[1]


def test_f1_is_twice_right_by_predicted_plus_reference() -> None:
    found = f1_of(np.array([[1, 2, 2], [0, 3, 0], [0, 0, 0]]))
    assert found[:2].tolist() == [0.5, 0.0]
    assert np.isnan(found[2])


@pytest.mark.slow
@settings(max_examples=25)
@given(two_tools())
def test_interval_holds_the_difference_and_turns_with_the_tools(tools) -> None:
    first, second = tools
    there, back = compare_blocks(first, second), compare_blocks(second, first)
    if np.isnan(there.value):
        assert not first[:, 1:].any() or not second[:, 1:].any()
        return
    assert there.low <= there.value <= there.high
    assert (back.value, back.low, back.high) == pytest.approx(
        (-there.value, -there.high, -there.low)
    )
    assert there == compare_blocks(first, second)


def test_equal_tools_differ_by_nothing_whatever_is_drawn() -> None:
    counts = np.array([[5, 9, 8], [1, 1, 20], [0, 7, 0], [3, 3, 3], [10, 11, 30]])
    found = compare_blocks(counts, counts)
    assert (found.value, found.low, found.high, found.units) == (0, 0, 0, 5)


def test_pairing_narrows_the_interval() -> None:
    """A tool that is better by the same amount everywhere is surely better."""
    f1s = np.array([0.2, 0.5, 0.9, 0.6, 0.3, 0.8])
    found = compare_means(f1s + 0.05, f1s)
    assert (found.value, found.low, found.high) == pytest.approx((0.05, 0.05, 0.05))


def test_interval_of_genomes_agrees_with_the_normal_one() -> None:
    gains = np.random.default_rng(7).normal(0.02, 0.01, size=60)
    found = compare_means(gains, np.zeros(60))
    error = gains.std() / np.sqrt(60)
    assert found.low == pytest.approx(gains.mean() - 1.96 * error, abs=3e-4)
    assert found.high == pytest.approx(gains.mean() + 1.96 * error, abs=3e-4)


def test_few_units_get_no_interval() -> None:
    found = compare_means([0.5] * (MIN_UNITS - 1), [0.4] * (MIN_UNITS - 1))
    assert found.value == pytest.approx(0.1)
    assert found.low is None
    assert found.high is None


def random_gene(rng: np.random.Generator, size: int, **more: object) -> Gene:
    start = int(rng.integers(0, size - 400))
    edges = [start, *(start + np.cumsum(rng.integers(10, 90, size=3))).tolist()]
    pieces = [(edges[0], edges[1]), (edges[2], edges[3])]
    transcript = Transcript(
        id="t",
        exons=tuple(Exon(*p) for p in pieces),
        cds=tuple(Cds(*p, 0) for p in pieces),
        partial_3=bool(rng.random() < 0.1),
    )
    strand = int(rng.choice([1, -1]))
    contig = str(rng.choice(["c1", "c2"]))
    return Gene(id="g", contig=contig, strand=strand, transcripts=(transcript,), **more)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_blocks_add_up_to_the_whole_genome(seed) -> None:
    rng = np.random.default_rng(seed)
    sizes = {"c1": 5_000, "c2": 2_300}
    true = [random_gene(rng, 2_300, pseudo=bool(rng.random() < 0.1)) for _ in range(25)]
    true += [random_gene(rng, 2_300)]
    kept = [gene for gene in true if rng.random() < 0.6]
    tools = {
        "a": [*kept, *(random_gene(rng, 2_300) for _ in range(8))],
        "b": [random_gene(rng, 2_300) for _ in range(20)],
        "none": [],
    }
    truth = Annotation(tuple(true), sizes, frozenset(), {})
    tables = count_by_block(tools, truth, sizes, block_bp=500)
    for tool, genes in tools.items():
        levels = score_genes(genes, true, sizes, prokaryote=False).levels
        for name, level in levels.items():
            table = tables[tool][name]
            assert table.shape == (10 + 5, 3)
            assert (table >= 0).all()
            assert table.sum(axis=0).tolist() == [level.tp, level.predicted, level.reference]


def test_a_locus_counts_where_it_begins(make_gene) -> None:
    true = make_gene((900, 1_200), (1_500, 1_800))
    other = make_gene((2_500, 2_800))
    truth = Annotation((true, other), {"c1": 4_000}, frozenset(), {})
    late_start = make_gene((1_000, 1_200), (1_500, 1_800))  # begins in the next block, same locus
    table = count_by_block({"x": [late_start]}, truth, {"c1": 4_000}, block_bp=1_000)["x"]
    assert table["gene"].tolist() == [[0, 1, 1], [0, 0, 0], [0, 0, 1], [0, 0, 0]]
    assert table["exon"].tolist() == [[1, 2, 2], [0, 0, 0], [0, 0, 1], [0, 0, 0]]


def test_one_block_may_hold_the_whole_truth(make_gene) -> None:
    truth = Annotation((make_gene((100, 400)),), {"c1": 3_000}, frozenset(), {})
    guess = [make_gene((100, 400)), make_gene((2_100, 2_400))]
    table = count_by_block({"x": guess}, truth, {"c1": 3_000}, block_bp=1_000)["x"]
    assert table["gene"].tolist() == [[1, 1, 1], [0, 0, 0], [0, 1, 0]]
