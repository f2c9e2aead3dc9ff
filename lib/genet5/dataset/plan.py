"""Planning on sizes alone: windows into rows (bake), rows into micro-batches (loader).

`pack` is first-fit-decreasing with a tree over the rows' free space: n log n steps. `plan_batches`
shuffles the rows by (seed, epoch), sorts them by the length that their longest window is padded to
(`dataset.buckets`) within pools of many micro-batches, cuts that order where it costs least, and
shuffles the micro-batches. Rows that are padded to one length stay in random order, so that other
rows meet in each epoch. Every other pool ascends, so that no cut at a pool's end pads short windows
to long ones. The cut is the best one there is by padded tokens and number of micro-batches (a
shortest path, half a microsecond for each row and each row that its micro-batch could hold):
filling each up to the budget would mix the longest windows of one size with those of the next.

The plan is global; rank r takes every world_size-th micro-batch from r on. All ranks have the same
number of steps by construction: micro-batches are halved until their number is a multiple of the
world size, and where single rows are left, the missing ones are filled with *silent* repeats, which
the loader strips of all targets.

Example:
    >>> pack([3, 5, 2, 4], target=7, hard_limit=9)
    [[1, 2], [3, 0]]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from genet5.config.batches import BatchLimits
from genet5.dataset.buckets import bucket
from genet5.dataset.packed import RowSizes
from genet5.errors import ConfigError, DataError

_POOL_BATCHES = 256  # micro-batches whose rows are sorted together: little padding, much shuffling
_BATCHES_PER_BUDGET = 50  # one more micro-batch pays if it saves 1/50 of a token budget


def pack(sizes: Sequence[int], *, target: int, hard_limit: int) -> list[list[int]]:
    """Put items into rows, first-fit-decreasing; equal sizes keep their order.

    Args:
        sizes: Size of each item.
        target: A row takes another item only up to this sum.
        hard_limit: No row exceeds it; an item between target and limit has a row to itself.

    Returns:
        Indices of each row's items; every index occurs once.

    Raises:
        DataError: An item is larger than the limit.
    """
    if len(sizes) and max(sizes) > hard_limit:
        raise DataError(
            f"a window of {max(sizes)} tokens", expected=f"at most --hard_limit {hard_limit}",
            remedy="Raise --hard_limit or lower --window_size",
        )  # fmt: skip
    order = sorted(range(len(sizes)), key=lambda index: -sizes[index])
    free = _FreeSpace(len(sizes), target)
    rows: list[list[int]] = []
    for index in order:
        row = free.take(sizes[index])
        if row == len(rows):
            rows.append([])
        rows[row].append(index)
    return rows


class _FreeSpace:
    """A tree whose leaves are the rows' free space and whose nodes hold the largest below them."""

    def __init__(self, rows: int, target: int) -> None:
        self._target = target
        self._width = 1 << max(rows - 1, 0).bit_length()
        self._tree = [target] * (2 * self._width)

    def take(self, size: int) -> int:
        """Use `size` of the first row that has it, and return that row."""
        tree, node = self._tree, 1
        wanted = min(size, self._target)  # a larger item fits into an empty row only
        while node < self._width:
            node = 2 * node if tree[2 * node] >= wanted else 2 * node + 1
        tree[node] -= size
        row = node - self._width
        while node > 1:
            node //= 2
            tree[node] = max(tree[2 * node], tree[2 * node + 1])
        return row


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Rows that are loaded together."""

    rows: tuple[int, ...]
    silent: bool = False
    """A repeat that only keeps the ranks in step: its windows have no targets."""

    def renumbered(self, rows: NDArray[np.int64]) -> MicroBatch:
        """Return the same rows by other numbers: entry i of `rows` is that of row i."""
        return replace(self, rows=tuple(rows[list(self.rows)].tolist()))


def plan_batches(
    sizes: RowSizes,
    limits: BatchLimits,
    *,
    seed: int = 0,
    epoch: int = 0,
    rank: int = 0,
    world_size: int = 1,
    shuffle: bool = True,
) -> list[MicroBatch]:
    """Plan one epoch; return this rank's micro-batches in order.

    Args:
        sizes: Sizes of all rows.
        limits: Largest micro-batch.
        seed: With `epoch`, decides the order.
        epoch: Number of the pass over the data.
        rank: This process among `world_size`.
        world_size: Processes that share the epoch; each gets equally many micro-batches.
        shuffle: False keeps the file's order.
    """
    if not 0 <= rank < world_size:
        raise ConfigError("rank", rank, f"must be in 0..{world_size - 1}")
    order = np.arange(len(sizes.num_windows))
    padded = _Padded.of(sizes)
    generator = np.random.default_rng([seed, epoch, 0x9A77])
    if shuffle:
        order = _pooled(generator.permutation(order), padded, limits)
    batches = _cut(order, padded, limits)
    if shuffle:
        batches = [batches[index] for index in generator.permutation(len(batches))]
    return _even(batches, world_size)[rank::world_size]


def padding_share(batches: Sequence[MicroBatch], sizes: RowSizes) -> float:
    """Return the share of a plan's encoder tokens that are padding."""
    tokens = _Padded.of(sizes).tokens
    rows = [list(batch.rows) for batch in batches]
    padded = sum(int(sizes.num_windows[index].sum() * tokens[index].max()) for index in rows)
    real = sum(int(sizes.num_tokens[index].sum()) for index in rows)
    return 1 - real / padded if padded else 0.0


def over_budget(sizes: RowSizes, limits: BatchLimits) -> int:
    """How many rows exceed a budget when they are a micro-batch alone."""
    padded = _Padded.of(sizes)
    over = padded.windows * padded.tokens > limits.token_budget
    if limits.label_budget is not None:
        over |= padded.windows * padded.labels > limits.label_budget
    return int(over.sum())


@dataclass(frozen=True, slots=True)
class _Padded:
    """Sizes of rows as they are padded; one entry a row."""

    windows: NDArray[np.int64]
    tokens: NDArray[np.int64]
    """Length that the tokens of the row's longest window are padded to."""
    labels: NDArray[np.int64]
    """Length that the labels of the row's longest window are padded to."""

    @classmethod
    def of(cls, sizes: RowSizes) -> _Padded:
        return cls(
            sizes.num_windows,
            _each(sizes.longest_tokens, bucket),
            _each(sizes.longest_labels, lambda labels: bucket(labels - 1) + 1),
        )


def _each(values: NDArray[np.int64], rule: Callable[[int], int]) -> NDArray[np.int64]:
    """Apply a rule once to each of the few values there are."""
    distinct, index = np.unique(values, return_inverse=True)
    return np.array([rule(value) for value in distinct.tolist()], dtype=np.int64)[index]


def _pooled(order: NDArray[np.int64], padded: _Padded, limits: BatchLimits) -> NDArray[np.int64]:
    """Sort by padded length within pools of rows, in turn falling and rising."""
    if not len(order):
        return order
    mean = float((padded.windows * padded.tokens).mean())
    rows_per_batch = max(1, min(limits.max_batch_size, int(limits.token_budget / mean)))
    size = _POOL_BATCHES * rows_per_batch
    pools = [order[begin : begin + size] for begin in range(0, len(order), size)]
    signs = [1 if number % 2 else -1 for number in range(len(pools))]
    return np.concatenate(
        [
            pool[np.argsort(sign * padded.tokens[pool], kind="stable")]
            for pool, sign in zip(pools, signs, strict=True)
        ]
    )


def _cut(order: NDArray[np.int64], padded: _Padded, limits: BatchLimits) -> list[MicroBatch]:
    """Cut an order of rows at the least cost: padded tokens plus a cost per micro-batch."""
    columns = (padded.windows, padded.tokens, padded.labels)
    begins = _best_begins([column[order].tolist() for column in columns], limits)
    cuts = [len(order)]
    while cuts[-1]:
        cuts.append(begins[cuts[-1]])
    cuts.reverse()
    rows = order.tolist()
    return [MicroBatch(tuple(rows[begin:end])) for begin, end in pairwise(cuts)]


def _best_begins(columns: Sequence[list[int]], limits: BatchLimits) -> list[int]:
    """Return, for each end, where the last micro-batch of the cheapest cut before it begins.

    Args:
        columns: Windows, padded tokens and padded labels of the rows in their order.
        limits: Largest micro-batch. One of `min_batch_size` rows is taken whatever its size.
    """
    windows, tokens, labels = columns
    number, fewest, label_budget = len(windows), limits.min_batch_size, limits.label_budget
    batch_cost = limits.token_budget // _BATCHES_PER_BUDGET
    costs, begins = [0] + number * [1 << 100], (number + 1) * [0]
    for end in range(1, number + 1):
        all_windows = longest = most_labels = 0
        for begin in range(end - 1, max(end - limits.max_batch_size, 0) - 1, -1):
            all_windows += windows[begin]
            longest, most_labels = max(longest, tokens[begin]), max(most_labels, labels[begin])
            is_over = all_windows * longest > limits.token_budget or (
                label_budget is not None and all_windows * most_labels > label_budget
            )
            if is_over and end - begin > fewest:
                break
            cost = costs[begin] + all_windows * longest + batch_cost
            if cost <= costs[end] and (end - begin >= fewest or end == number):
                costs[end], begins[end] = cost, begin
    return begins


def _even(batches: list[MicroBatch], world_size: int) -> list[MicroBatch]:
    """Make the number of micro-batches a multiple of the world size without losing a row."""
    batches = list(batches)
    while batches and len(batches) % world_size:
        largest = max(range(len(batches)), key=lambda index: len(batches[index].rows))
        rows = batches[largest].rows
        if len(rows) == 1:
            missing = -len(batches) % world_size
            repeats = [replace(batches[i % len(batches)], silent=True) for i in range(missing)]
            return batches + repeats
        half = (len(rows) + 1) // 2
        batches[largest] = MicroBatch(rows[:half])
        batches.insert(largest + 1, MicroBatch(rows[half:]))
    return batches
