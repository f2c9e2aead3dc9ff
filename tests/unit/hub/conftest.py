"""A small checkpoint of DNABERT-2's form."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import dnabert2
from dnabert2 import SMALL


@pytest.fixture(scope="session")
def state() -> dict[str, torch.Tensor]:
    return dnabert2.random_state(SMALL)


@pytest.fixture
def folder(tmp_path: Path, state) -> Path:
    path = dnabert2.write(tmp_path / "dnabert2", SMALL, state)
    dnabert2.write_tokenizer(path)
    return path
