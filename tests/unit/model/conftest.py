"""A small checkpoint of DNABERT-2's form."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import dnabert2_files
from dnabert2_files import SMALL


@pytest.fixture(scope="session")
def state() -> dict[str, torch.Tensor]:
    return dnabert2_files.random_state(SMALL)


@pytest.fixture
def folder(tmp_path: Path, state) -> Path:
    path = dnabert2_files.write(tmp_path / "dnabert2", SMALL, state)
    dnabert2_files.write_tokenizer(path)
    return path
