"""The best compatible set of genes."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from genet5.annotate.candidate import GeneCandidate
from genet5.annotate.overlaps import OverlapConfig, are_compatible, choose_compatible
from genet5.decode.fragment import Interval

CONFIG = OverlapConfig()


def candidate(strand: int, *blocks: tuple[int, int]) -> GeneCandidate:
    parts = tuple(Interval("cds", *block) for block in blocks)
    return GeneCandidate("protein_coding", strand, parts, 0)


def test_small_overlaps_are_tolerated_by_strand() -> None:
    first = candidate(1, (0, 900))
    assert are_compatible(first, candidate(1, (860, 1500)), CONFIG)
    assert not are_compatible(first, candidate(1, (800, 1500)), CONFIG)
    assert are_compatible(first, candidate(-1, (800, 1500)), CONFIG)
    assert not are_compatible(first, candidate(-1, (600, 1500)), CONFIG)


def test_a_short_gene_may_not_lie_in_another() -> None:
    assert not are_compatible(candidate(1, (0, 900)), candidate(-1, (300, 420)), CONFIG)


def test_a_gene_may_lie_in_an_intron() -> None:
    host = candidate(1, (0, 90), (2000, 2090))
    assert are_compatible(host, candidate(1, (500, 800)), CONFIG)
    assert are_compatible(host, candidate(-1, (500, 600), (700, 800)), CONFIG)
    assert not are_compatible(host, candidate(1, (500, 800), (2500, 2600)), CONFIG)


def test_the_heavier_of_two_rivals_wins() -> None:
    candidates = [candidate(1, (0, 900)), candidate(-1, (300, 1200)), candidate(1, (1100, 2000))]
    assert choose_compatible(candidates, [1.0, 3.0, 1.0], CONFIG) == [1, 2]
    assert choose_compatible(candidates, [2.0, 1.5, 1.0], CONFIG) == [0, 2]


def test_worthless_are_left_out() -> None:
    assert (
        choose_compatible([candidate(1, (0, 90)), candidate(1, (200, 290))], [0.0, -1.0], CONFIG)
        == []
    )
    assert choose_compatible([], [], CONFIG) == []


@given(
    st.lists(
        st.tuples(
            st.sampled_from([1, -1]), st.integers(0, 40), st.integers(1, 30), st.integers(-2, 9)
        ),
        max_size=9,
    )
)
def test_the_chosen_set_is_the_best_of_all(rows: list[tuple[int, int, int, int]]) -> None:
    rows.sort(key=lambda row: row[1])
    candidates = [candidate(strand, (start, start + 3 * size)) for strand, start, size, _ in rows]
    scores = [float(score) for *_, score in rows]
    config = OverlapConfig(same_strand_bp=4, opposite_strand_bp=9)
    chosen = choose_compatible(candidates, scores, config)
    best = 0.0
    for size in range(len(candidates) + 1):
        for subset in itertools.combinations(range(len(candidates)), size):
            pairs = itertools.combinations(subset, 2)
            if all(are_compatible(candidates[a], candidates[b], config) for a, b in pairs):
                best = max(best, sum(scores[i] for i in subset))
    assert sum(scores[i] for i in chosen) == best
