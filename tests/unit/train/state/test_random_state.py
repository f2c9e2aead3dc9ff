"""Seeds, and the random state in a checkpoint."""

from __future__ import annotations

import pytest
import torch

from genet5.errors import CheckpointError
from genet5.train.state.random_state import (
    capture_random_state,
    derive_seed,
    repeatable,
    restore_random_state,
)


def test_seeds_differ_by_purpose_and_rank() -> None:
    seeds = {
        derive_seed(seed, purpose, rank) for seed in (0, 1) for purpose in "ab" for rank in (0, 1)
    }
    assert len(seeds) == 8
    assert derive_seed(0, "a") == derive_seed(0, "a", 0)


def test_seeding_repeats_all_generators_and_puts_kernels_back() -> None:
    with repeatable(5, deterministic=False):
        first = torch.rand(2)
    with repeatable(5, deterministic=True):
        assert torch.equal(torch.rand(2), first)
        assert torch.are_deterministic_algorithms_enabled()
    assert not torch.are_deterministic_algorithms_enabled()


def test_an_incomplete_random_state_is_refused() -> None:
    tensors, values = capture_random_state()
    del tensors["python"]
    with pytest.raises(CheckpointError, match="random state lacks"):
        restore_random_state(tensors, values)
