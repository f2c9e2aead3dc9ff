"""What `finet` needs: data of a simulated genome and a model of some thousand weights."""

from __future__ import annotations

from pathlib import Path

import pytest

import toys


@pytest.fixture(scope="session")
def toy_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """training.packed, validation.packed and base, a model with dropout."""
    return toys.make_toy_run(tmp_path_factory.mktemp("toy"))
