"""Weights on disk: written whole, and damage is named with its file."""

from __future__ import annotations

import pytest
import torch

from genet5.errors import CheckpointError
from genet5.model.files import load_weights, save_weights, write_tensors


def test_saved_weights_are_read_in_their_type(tmp_path):
    tensors = {"a": torch.tensor([1.5, -2.0]), "b": torch.tensor([3.0], dtype=torch.bfloat16)}
    save_weights(tmp_path, tensors)
    found = load_weights(tmp_path)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_a_folder_without_weights_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        load_weights(tmp_path)


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(CheckpointError, match=r"model\.safetensors: "):
        load_weights(tmp_path)


def test_what_a_killed_process_left_is_replaced_with_usual_rights(tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(b"half")
    path.chmod(0o600)
    write_tensors(path, {"a": torch.ones(1)})
    (tmp_path / "usual").touch()
    assert path.stat().st_mode == (tmp_path / "usual").stat().st_mode
