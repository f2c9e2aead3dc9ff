"""Several training files with weights: what an epoch takes, ranks, resuming, refusals."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from bakes import write_packed
from genet5.config.batches import BatchLimits
from genet5.config.train import BatchConfig
from genet5.dataset.loader import Loader
from genet5.dataset.mixture import Mixture
from genet5.dataset.packed import PackedReader
from genet5.dataset.per_base import IGNORE
from genet5.errors import CheckpointError, ConfigError, DataError

SMALL = {"limits": BatchLimits(token_budget=200, max_batch_size=3), "seed": 5}


@pytest.fixture
def other(packed_file: Path, tmp_path: Path) -> Path:
    """The windows of `packed_file` as those of another genome."""
    reader = PackedReader(packed_file)
    rows = [[replace(w, genome="other") for w in reader.row(i)] for i in range(len(reader))]
    write_packed(tmp_path / "other.packed", rows, reader.header)
    return tmp_path / "other.packed"


def genomes(loader: Loader) -> Counter[str]:
    """Windows of an epoch by file."""
    names = [name for batch in loader for name in batch.window_ids]
    return Counter("other" if name.startswith("other/") else "first" for name in names)


@pytest.mark.slow
def test_an_epoch_passes_over_each_file_as_often_as_its_weight(
    packed_file: Path, other: Path
) -> None:
    once = genomes(Loader(packed_file, **SMALL))["first"]
    loader = Loader(packed_file, **SMALL, weights={packed_file: 1.0, other: 2.0})
    assert genomes(loader) == {"first": once, "other": 2 * once}


@pytest.fixture
def two_clades(packed_file: Path, tmp_path: Path) -> Path:
    """The windows of `packed_file`, those of every third row as of fungi."""
    reader = PackedReader(packed_file)
    rows = [
        [replace(w, clade="plants" if i % 3 else "fungi") for w in reader.row(i)]
        for i in range(len(reader))
    ]
    write_packed(tmp_path / "clades.packed", rows, reader.header)
    return tmp_path / "clades.packed"


def test_an_epoch_passes_over_each_clade_as_often_as_its_weight(two_clades: Path) -> None:
    size = len(PackedReader(two_clades))
    mixture = Mixture({two_clades: 1.0}, {"fungi": 2.0, "plants": 0.5})
    seen: Counter[int] = Counter()
    for epoch in range(2):
        rows = mixture.rows_of(epoch, seed=1)
        assert np.array_equal(rows, np.sort(rows))
        seen.update(rows.tolist())
    assert seen == {row: 1 if row % 3 else 4 for row in range(size)}
    assert mixture.header.checksum != Mixture({two_clades: 1.0}).header.checksum


def test_a_clade_that_is_in_no_file_is_refused(two_clades: Path) -> None:
    with pytest.raises(DataError, match="no row of clade fish; expected of fungi, plants"):
        Mixture({two_clades: 1.0}, {"fish": 2.0})
    with pytest.raises(ConfigError, match="mix_clades"):
        BatchConfig(mix_clades=("fungi=0",))


@pytest.mark.parametrize("weight", [0.25, 0.3, 1.0, 2.5])
def test_each_row_is_taken_once_before_any_is_taken_twice(packed_file: Path, weight: float) -> None:
    mixture = Mixture({packed_file: weight})
    seen: Counter[int] = Counter()
    for epoch in range(8):
        seen.update(mixture.rows_of(epoch, seed=1).tolist())
        counts = [seen[row] for row in range(len(mixture))]
        assert max(counts) - min(counts) <= 1
    assert sum(seen.values()) == int(8 * weight * len(mixture))


def test_weight_one_is_the_file_itself(packed_file: Path) -> None:
    rows = Mixture({packed_file: 1.0}).rows_of(3, seed=1)
    assert np.array_equal(rows, np.arange(len(PackedReader(packed_file))))


def test_two_ranks_take_together_what_one_takes(packed_file: Path, other: Path) -> None:
    weights = {packed_file: 1.0, other: 0.5}
    alone = Loader(packed_file, **SMALL, weights=weights)
    ranks = [Loader(packed_file, **SMALL, weights=weights, rank=r, world_size=2) for r in (0, 1)]
    expected = sorted(name for batch in alone for name in batch.window_ids)
    halves = [
        name
        for loader in ranks
        for batch in loader
        for name, states in zip(batch.window_ids, batch.targets.states, strict=True)
        if bool((states != IGNORE).any())
    ]
    assert sorted(halves) == expected


@pytest.mark.slow
def test_a_mixture_resumes_exactly(packed_file: Path, other: Path) -> None:
    weights = {packed_file: 1.0, other: 0.5}
    whole = Loader(packed_file, **SMALL, weights=weights)
    expected = [batch.window_ids for _ in range(2) for batch in whole]
    first = Loader(packed_file, **SMALL, weights=weights)
    begun = [batch.window_ids for batch in islice(first, 4)]
    second = Loader(packed_file, **SMALL, weights=weights)
    second.load_state_dict(first.state_dict())
    assert begun + [batch.window_ids for _ in range(2) for batch in second] == expected


def test_other_weights_are_another_order(packed_file: Path, other: Path) -> None:
    state = Loader(packed_file, weights={packed_file: 1.0, other: 0.5}).state_dict()
    with pytest.raises(CheckpointError, match="checksum"):
        Loader(packed_file, weights={packed_file: 1.0, other: 1.0}).load_state_dict(state)


def test_the_training_file_itself_may_be_weighted(packed_file: Path, other: Path) -> None:
    batch = BatchConfig(mix=(f"{other}=0.5", f"{packed_file.parent}/./{packed_file.name}=2"))
    assert batch.weights(packed_file) == {packed_file: 2.0, other: 0.5}


@pytest.mark.parametrize("word", ["file.packed", "file.packed=0", "file.packed=-1", "=1"])
def test_a_weight_is_a_number_above_zero(word: str) -> None:
    with pytest.raises(ConfigError, match="mix"):
        BatchConfig(mix=(word,))
