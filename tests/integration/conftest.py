"""What `finet` needs, data and a model of some thousand weights, and what shell scripts need."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import toys


@pytest.fixture(scope="session")
def toy_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """training.packed, validation.packed and base, a model with dropout."""
    return toys.make_toy_run(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """The whole PATH in one folder: programs that the scripts use, without docker and GPU tools."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in "bash env dirname id cat grep mkdir tail timeout cut paste".split():  # noqa: SIM905
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    return folder
