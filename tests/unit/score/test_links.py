"""Links between genes against plain Python sets, and the limited search against the whole one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genet5.score.causes import compare_genes, equal_genes
from genet5.score.chains import Axis, Chain
from genet5.score.links import Exons, connecting_links, decisive_links, find_links

EDGES = st.lists(st.integers(0, 40), min_size=2, max_size=6, unique=True).map(
    lambda edges: tuple(sorted(edges)[: len(edges) // 2 * 2])
)
CHAINS = st.tuples(st.just("c"), st.sampled_from((1, -1)), EDGES)
ISOFORMS = st.frozensets(CHAINS, min_size=1, max_size=2).filter(
    lambda chains: len({strand for _, strand, _ in chains}) == 1
)
GENES = st.lists(ISOFORMS, max_size=5)


def exons_of(genes: list[tuple[int, ...]]) -> Exons:
    rows = [
        (index, start, end)
        for index, edges in enumerate(genes)
        for start, end in zip(edges[::2], edges[1::2], strict=True)
    ]
    return Exons(*np.array(rows, dtype=np.int64).reshape(-1, 3).T)


def bases(edges: tuple[int, ...]) -> set[int]:
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return {base for start, end in pairs for base in range(start, end)}


@given(st.lists(EDGES, max_size=5), st.lists(EDGES, max_size=5), st.sampled_from((0.1, 0.5, 1.0)))
def test_links_are_the_pairs_that_share_enough(ones, others, share) -> None:
    found = find_links(exons_of(ones), exons_of(others), share)
    assert found.T.tolist() == [
        [i, j]
        for i, one in enumerate(ones)
        for j, other in enumerate(others)
        if (both := len(bases(one) & bases(other)))
        and both >= share * min(len(bases(one)), len(bases(other)))
    ]


@pytest.mark.slow
@given(GENES, GENES)
def test_decisive_links_give_the_causes_of_all_links(predicted, reference) -> None:
    axis, right = Axis({"c": 50}, {}), equal_genes(predicted, reference)
    whole = compare_genes(predicted, reference, right, axis, find=find_links)
    part = compare_genes(predicted, reference, right, axis, find=decisive_links)
    assert part.predicted.tolist() == whole.predicted.tolist()
    assert part.reference.tolist() == whole.reference.tolist()
    assert {*map(tuple, part.pairs.T.tolist())} <= {*map(tuple, whole.pairs.T.tolist())}


def connected(pairs: list[list[int]]) -> set[frozenset[tuple[int, int]]]:
    """Return the groups of genes, each (set, index), that pairs connect."""
    groups: list[frozenset[tuple[int, int]]] = []
    for one, other in pairs:
        pair = frozenset({(0, one), (1, other)})
        joined = [group for group in groups if group & pair]
        groups = [group for group in groups if not group & pair] + [pair.union(*joined)]
    return {*groups}


@given(st.lists(EDGES, max_size=12), st.lists(EDGES, max_size=12), st.sampled_from((0.1, 0.7)))
def test_connecting_links_connect_what_all_links_connect(ones, others, share) -> None:
    sides = exons_of(ones), exons_of(others)
    every, some = find_links(*sides, share).T.tolist(), connecting_links(*sides, share).T.tolist()
    assert connected(some) == connected(every)
    assert {*map(tuple, some)} <= {*map(tuple, every)}


FEW_CHAINS = st.lists(
    st.frozensets(st.sampled_from([("c", 1, (0, end)) for end in (3, 6, 9, 12)]), min_size=1),
    max_size=6,
)


@given(FEW_CHAINS, FEW_CHAINS)
def test_equal_genes_take_the_first_reference_gene_left(predicted, reference) -> None:
    left, expected = dict(enumerate(reference)), []
    for guess, chains in enumerate(predicted):
        first = next((index for index, own in left.items() if own & chains), None)
        if first is not None:
            del left[first]
            expected.append((guess, first))
    assert equal_genes(predicted, reference) == expected


@pytest.mark.parametrize("step", [0, 1])
def test_genes_at_one_place_need_few_links(step: int) -> None:
    genes = exons_of([(step * i, 5000 + step * i) for i in range(2000)])
    assert connecting_links(genes, genes, 0.1).shape[1] <= 2000 * 20


def test_many_equal_genes_are_matched_in_one_pass() -> None:
    gene: frozenset[Chain] = frozenset({("c", 1, (0, 300))})
    pairs = equal_genes([gene] * 10_000, [gene] * 10_000)
    assert pairs == [(i, i) for i in range(10_000)]
