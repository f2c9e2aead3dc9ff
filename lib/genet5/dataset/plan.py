"""Planning: windows into rows (when baking), rows into micro-batches (when loading). Pure functions on sizes.

`pack` is first-fit-decreasing with a tree over the rows' free space: n log n steps. `plan_batches` shuffles the rows by
(seed, epoch), sorts them by their longest window within pools of many micro-batches so that windows of a micro-batch
are of one size and little is padded, fills micro-batches up to the budget, and shuffles these. The plan is global; rank
r takes every world_size-th micro-batch from r on. All ranks have the same number of steps by construction: micro-batches
are halved until their number is a multiple of the world size, and where single rows are left, the missing ones are
filled with *silent* repeats, which the loader strips of all targets.

Example:
    >>> pack([3, 5, 2, 4], target=7, hard_limit=9)
    [[1, 2], [3, 0]]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from genet5.dataset.buckets import bucket
from genet5.dataset.packed import RowSizes
from genet5.errors import ConfigError, DataError

_POOL_BATCHES = 64  # micro-batches whose rows are sorted together: little padding, much shuffling


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


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchLimits:
    """How large a micro-batch may be."""

    token_budget: int = 36_400
    """Most padded encoder tokens: windows times the tokens of the longest."""
    max_batch_size: int = 8
    """Most rows."""
    min_batch_size: int = 1
    """Fewest rows, even beyond the budgets; only the last micro-batch of an epoch and those split for the ranks have fewer."""
    label_budget: int | None = None
    """Most padded labels; None = no limit."""

    def __post_init__(self) -> None:
        for name in ("token_budget", "max_batch_size", "min_batch_size", "label_budget"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(name, value, "must be at least 1")
        if self.min_batch_size > self.max_batch_size:
            rule = f"must not exceed max_batch_size = {self.max_batch_size}"
            raise ConfigError("min_batch_size", self.min_batch_size, rule)


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
    number = len(sizes.num_windows)
    order = np.arange(number)
    generator = np.random.default_rng([seed, epoch, 0x9A77])
    if shuffle:
        order = _pooled(generator.permutation(number), sizes, limits)
    batches = _fill(order, sizes, limits)
    if shuffle:
        batches = [batches[index] for index in generator.permutation(len(batches))]
    return _even(batches, world_size)[rank::world_size]


def padding_share(batches: Sequence[MicroBatch], sizes: RowSizes) -> float:
    """Share of a plan's encoder tokens that are padding."""
    padded = sum(_cost(np.array(batch.rows), sizes)[0] for batch in batches)
    real = sum(int(sizes.num_tokens[list(batch.rows)].sum()) for batch in batches)
    return 1 - real / padded if padded else 0.0


def _cost(rows: NDArray[np.int64], sizes: RowSizes) -> tuple[int, int]:
    """Padded tokens and padded labels of some rows in one micro-batch."""
    windows = int(sizes.num_windows[rows].sum())
    tokens, labels = sizes.longest_tokens[rows].max(), sizes.longest_labels[rows].max()
    return windows * bucket(int(tokens)), windows * bucket(int(labels))


def over_budget(sizes: RowSizes, limits: BatchLimits) -> int:
    """How many rows exceed a budget when they are a micro-batch alone."""
    over = sizes.num_windows * sizes.longest_tokens > limits.token_budget
    if limits.label_budget is not None:
        over |= sizes.num_windows * sizes.longest_labels > limits.label_budget
    return int(over.sum())


def _pooled(order: NDArray[np.int64], sizes: RowSizes, limits: BatchLimits) -> NDArray[np.int64]:
    """Sort by longest window within pools of rows."""
    rows_per_batch = limits.max_batch_size
    if len(order):
        mean = float((sizes.num_windows * sizes.longest_tokens).mean())
        rows_per_batch = max(1, min(rows_per_batch, int(limits.token_budget / mean)))
    pool = _POOL_BATCHES * rows_per_batch
    pieces = [order[begin : begin + pool] for begin in range(0, len(order), pool)]
    pieces = [piece[np.argsort(-sizes.longest_tokens[piece], kind="stable")] for piece in pieces]
    return np.concatenate(pieces) if pieces else order


def _fill(order: NDArray[np.int64], sizes: RowSizes, limits: BatchLimits) -> list[MicroBatch]:
    batches: list[MicroBatch] = []
    rows: list[int] = []
    windows = tokens = labels = 0
    for row in order.tolist():
        new_windows = windows + int(sizes.num_windows[row])
        new_tokens = max(tokens, int(sizes.longest_tokens[row]))
        new_labels = max(labels, int(sizes.longest_labels[row]))
        fits = len(rows) < limits.min_batch_size or (
            len(rows) < limits.max_batch_size
            and new_windows * bucket(new_tokens) <= limits.token_budget
            and (
                limits.label_budget is None
                or new_windows * bucket(new_labels) <= limits.label_budget
            )
        )
        if rows and not fits:
            batches.append(MicroBatch(tuple(rows)))
            rows = []
            new_windows, new_tokens = int(sizes.num_windows[row]), int(sizes.longest_tokens[row])
            new_labels = int(sizes.longest_labels[row])
        rows.append(row)
        windows, tokens, labels = new_windows, new_tokens, new_labels
    return [*batches, MicroBatch(tuple(rows))] if rows else batches


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
