"""The toys of `tests/toys.py` as a fixture, and one thread for every test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import toys


@pytest.fixture(scope="session")
def toy() -> SimpleNamespace:
    """The stand-ins by name: importlib mode has no imports between test files."""

    return SimpleNamespace(
        Model=toys.ToyModel,
        Source=toys.ToySource,
        batch=toys.toy_batch,
        gene_batch=toys.gene_batch,
        joined=toys.joined,
        tiny_gene_model=toys.tiny_gene_model,
        sums=toys.toy_sums,
        counts=toys.toy_counts,
        config=toys.toy_config,
        trainer=toys.toy_trainer,
    )


@pytest.fixture(scope="session")
def toy_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """training.packed, validation.packed and base, a model with dropout."""
    return toys.make_toy_run(tmp_path_factory.mktemp("toy"))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)
    torch.use_deterministic_algorithms(False)
