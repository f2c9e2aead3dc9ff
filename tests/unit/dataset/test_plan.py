"""Packing and planning."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genet5.config.batches import BatchLimits
from genet5.dataset.buckets import bucket
from genet5.dataset.packed import RowSizes
from genet5.dataset.plan import (
    MicroBatch,
    over_budget,
    pack,
    padding_share,
    plan_batches,
)
from genet5.errors import ConfigError, DataError


@given(st.lists(st.integers(1, 60), max_size=80), st.integers(1, 50), st.integers(0, 20))
def test_packing_loses_nothing_and_never_exceeds_the_limit(sizes, target, slack) -> None:
    hard_limit = target + slack
    sizes = [min(size, hard_limit) for size in sizes]
    rows = pack(sizes, target=target, hard_limit=hard_limit)
    assert sorted(index for row in rows for index in row) == list(range(len(sizes)))
    for row in rows:
        total = sum(sizes[index] for index in row)
        assert total <= hard_limit
        assert total <= target or len(row) == 1


@pytest.mark.slow
@given(st.lists(st.integers(1, 20), min_size=1, max_size=60))
def test_packing_equals_plain_first_fit_decreasing(sizes) -> None:
    plain: list[list[int]] = []
    for index in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        fit = (row for row in plain if sum(sizes[i] for i in row) + sizes[index] <= 20)
        row = next(fit, None)
        if row is None:
            plain.append([index])
        else:
            row.append(index)
    assert pack(sizes, target=20, hard_limit=20) == plain


def test_a_window_over_the_hard_limit_is_refused() -> None:
    with pytest.raises(DataError, match="--hard_limit 9"):
        pack([10], target=5, hard_limit=9)


@st.composite
def row_sizes(draw: st.DrawFn) -> RowSizes:
    rows = draw(st.lists(st.tuples(*[st.integers(1, n) for n in (4, 30, 20)]), max_size=60))
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return RowSizes(table[:, 0], table[:, 1], table[:, 2], table[:, 0] * table[:, 1])


@pytest.mark.slow
@given(
    row_sizes(), st.integers(1, 5), st.integers(1, 6), st.sampled_from([None, 60]), st.booleans()
)
def test_ranks_share_an_epoch_in_equally_many_steps(
    sizes, world_size, most, labels, shuffle
) -> None:
    limits = BatchLimits(token_budget=120, max_batch_size=most, label_budget=labels)
    plans = [
        plan_batches(sizes, limits, rank=rank, world_size=world_size, seed=3, shuffle=shuffle)
        for rank in range(world_size)
    ]
    assert len({len(plan) for plan in plans}) == 1
    rows = [row for plan in plans for batch in plan if not batch.silent for row in batch.rows]
    assert sorted(rows) == list(range(len(sizes.num_windows)))
    for batch in (batch for plan in plans for batch in plan):
        index = list(batch.rows)
        windows = int(sizes.num_windows[index].sum())
        assert 1 <= len(index) <= most
        if len(index) > 1:
            assert labels is None or windows * int(sizes.longest_labels[index].max()) <= labels
            assert windows * bucket(int(sizes.longest_tokens[index].max())) <= 120


def many(number: int) -> RowSizes:
    rng = np.random.default_rng(0)
    windows, tokens = rng.integers(1, 6, number), rng.integers(500, 900, number)
    return RowSizes(windows, tokens, tokens // 10, windows * tokens)


def test_the_order_depends_on_seed_and_epoch_only() -> None:
    sizes, limits = many(200), BatchLimits(token_budget=9000)
    first = plan_batches(sizes, limits, seed=1, epoch=2)
    assert first == plan_batches(sizes, limits, seed=1, epoch=2)
    assert first != plan_batches(sizes, limits, seed=1, epoch=3)
    assert first != plan_batches(sizes, limits, seed=2, epoch=2)
    assert plan_batches(sizes, limits, shuffle=False) == plan_batches(
        sizes, limits, shuffle=False, seed=9
    )


def test_rows_of_a_length_go_together() -> None:
    sizes = many(3000)
    plan = plan_batches(sizes, BatchLimits(token_budget=20_000))
    assert padding_share(plan, sizes) < 0.03
    starts = [batch.rows[0] for batch in plan]
    assert np.corrcoef(starts, np.arange(len(starts)))[0, 1] < 0.2


def like_five_clades(number: int) -> RowSizes:
    """Rows of windows of five lengths, some shorter, as from a gene-centric bake with k-mers."""
    rng = np.random.default_rng(1)
    tokens = rng.choice([1500, 2500, 4167, 4168, 5000], number, p=[0.4, 0.3, 0.1, 0.1, 0.1])
    is_short = rng.random(number) < 0.1
    tokens = np.where(is_short, rng.integers(300, 1500, number), tokens)
    windows = np.maximum(1, 4500 // tokens)
    return RowSizes(windows, tokens, tokens // 20, windows * tokens)


def floor_of(sizes: RowSizes) -> float:
    """Padding of rows that are loaded one by one."""
    alone = sizes.num_windows * [bucket(n) for n in sizes.longest_tokens.tolist()]
    return 1 - sizes.num_tokens.sum() / alone.sum()


@pytest.mark.parametrize("number", [60, 1200, 9000])
def test_windows_of_unlike_lengths_are_hardly_ever_mixed(number: int) -> None:
    sizes, limits = like_five_clades(number), BatchLimits()
    plan = plan_batches(sizes, limits)
    assert padding_share(plan, sizes) < floor_of(sizes) + 0.01
    tokens = [bucket(n) for n in sizes.longest_tokens.tolist()]
    fewest = sum(windows * tokens[row] for row, windows in enumerate(sizes.num_windows)) / 36_400
    assert len(plan) < 1.15 * max(fewest, number / 8) + 5


def test_padding_counts_the_length_that_collate_pads_to() -> None:
    sizes = RowSizes(*(np.array(v) for v in ([2], [300], [9], [550])))
    plan = plan_batches(sizes, BatchLimits())
    assert padding_share(plan, sizes) == pytest.approx(1 - 550 / (2 * bucket(300)))


@st.composite
def short_orders(draw: st.DrawFn) -> RowSizes:
    rows = draw(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 60)), min_size=1, max_size=7))
    table = np.array(rows, dtype=np.int64)
    return RowSizes(table[:, 0], table[:, 1], np.ones(len(rows), np.int64), table.prod(axis=1))


@pytest.mark.slow
@given(short_orders(), st.integers(1, 3), st.integers(3, 4))
def test_no_other_cut_costs_less(sizes: RowSizes, fewest: int, most: int) -> None:
    limits = BatchLimits(token_budget=250, min_batch_size=fewest, max_batch_size=most)
    windows, number = sizes.num_windows, len(sizes.num_windows)
    tokens = np.array([bucket(n) for n in sizes.longest_tokens.tolist()])

    def cost(begin: int, end: int) -> float:
        padded = int(windows[begin:end].sum() * tokens[begin:end].max())
        rows = end - begin
        too_few = rows < fewest and end < number
        too_many = rows > most or (rows > fewest and padded > 250)
        return float("inf") if too_few or too_many else padded + 250 // 50

    def total(cuts: list[int]) -> float:
        return sum(cost(begin, end) for begin, end in pairwise(cuts))

    inner = [
        [i + 1 for i in range(number - 1) if bits >> i & 1] for bits in range(2 ** (number - 1))
    ]
    best = min(total([0, *cuts, number]) for cuts in inner)
    plan = plan_batches(sizes, limits, shuffle=False)
    assert [row for batch in plan for row in batch.rows] == list(range(number))
    assert total(np.cumsum([0, *(len(batch.rows) for batch in plan)]).tolist()) == best


def test_other_rows_meet_in_each_epoch() -> None:
    sizes = many(2000)
    pairs = [
        {
            pair
            for batch in plan_batches(sizes, BatchLimits(), epoch=epoch)
            for pair in combinations(sorted(batch.rows), 2)
        }
        for epoch in range(2)
    ]  # fmt: skip
    assert len(pairs[0] & pairs[1]) < 0.25 * len(pairs[0])


def test_long_and_short_windows_are_spread_over_the_epoch() -> None:
    sizes = like_five_clades(4000)
    plan = plan_batches(sizes, BatchLimits(), seed=4)
    longest = [int(sizes.longest_tokens[list(batch.rows)].max()) for batch in plan]
    quarters = [np.mean(part) for part in np.array_split(longest, 4)]
    assert max(quarters) < 1.15 * min(quarters)


def test_a_row_over_the_budget_stands_alone_and_is_reported() -> None:
    sizes = RowSizes(*(np.array(v) for v in ([4, 1], [100, 100], [9, 9], [400, 100])))
    limits = BatchLimits(token_budget=300)
    assert over_budget(sizes, limits) == 1
    assert plan_batches(sizes, limits, shuffle=False) == [MicroBatch((0,)), MicroBatch((1,))]


def test_at_least_so_many_rows_go_together_whatever_the_budget() -> None:
    limits = BatchLimits(token_budget=1, min_batch_size=4, max_batch_size=4)
    assert [len(batch.rows) for batch in plan_batches(many(10), limits)].count(4) == 2


@pytest.mark.parametrize(
    "wrong", [{"token_budget": 0}, {"label_budget": 0}, {"min_batch_size": 9, "max_batch_size": 8}]
)
def test_wrong_limits_are_refused(wrong) -> None:
    with pytest.raises(ConfigError):
        BatchLimits(**wrong)


def test_a_rank_outside_the_world_is_refused() -> None:
    with pytest.raises(ConfigError, match="rank"):
        plan_batches(many(3), BatchLimits(), rank=2, world_size=2)
