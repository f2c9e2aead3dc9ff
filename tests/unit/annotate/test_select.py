"""The best compatible set of genes."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from genet5.annotate.merge import Call
from genet5.annotate.pieces import Stretch
from genet5.annotate.select import OverlapConfig, are_compatible, choose_calls
from genet5.decode.evidence import Evidence

RULE = OverlapConfig()


def call(strand: int, *blocks: tuple[int, int]) -> Call:
    parts = tuple(Stretch("cds", *block) for block in blocks)
    return Call("protein_coding", strand, parts, 0, False, False, Evidence(), 1.0, 1.0)


def test_small_overlaps_are_tolerated_by_strand() -> None:
    first = call(1, (0, 900))
    assert are_compatible(first, call(1, (860, 1500)), RULE)
    assert not are_compatible(first, call(1, (800, 1500)), RULE)
    assert are_compatible(first, call(-1, (800, 1500)), RULE)
    assert not are_compatible(first, call(-1, (600, 1500)), RULE)


def test_a_short_gene_may_not_lie_in_another() -> None:
    assert not are_compatible(call(1, (0, 900)), call(-1, (300, 420)), RULE)


def test_a_gene_may_lie_in_an_intron() -> None:
    host = call(1, (0, 90), (2000, 2090))
    assert are_compatible(host, call(1, (500, 800)), RULE)
    assert are_compatible(host, call(-1, (500, 600), (700, 800)), RULE)
    assert not are_compatible(host, call(1, (500, 800), (2500, 2600)), RULE)


def test_the_heavier_of_two_rivals_wins() -> None:
    calls = [call(1, (0, 900)), call(-1, (300, 1200)), call(1, (1100, 2000))]
    assert choose_calls(calls, [1.0, 3.0, 1.0], RULE) == [1, 2]
    assert choose_calls(calls, [2.0, 1.5, 1.0], RULE) == [0, 2]


def test_worthless_calls_are_left_out() -> None:
    assert choose_calls([call(1, (0, 90)), call(1, (200, 290))], [0.0, -1.0], RULE) == []
    assert choose_calls([], [], RULE) == []


@settings(max_examples=150, deadline=None)
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
    calls = [call(strand, (start, start + 3 * size)) for strand, start, size, _ in rows]
    worths = [float(worth) for *_, worth in rows]
    rule = OverlapConfig(same_strand_bp=4, opposite_strand_bp=9)
    chosen = choose_calls(calls, worths, rule)
    best = 0.0
    for size in range(len(calls) + 1):
        for subset in itertools.combinations(range(len(calls)), size):
            pairs = itertools.combinations(subset, 2)
            if all(are_compatible(calls[a], calls[b], rule) for a, b in pairs):
                best = max(best, sum(worths[i] for i in subset))
    assert sum(worths[i] for i in chosen) == best
