"""Weights on disk: written whole, and damage is named with its file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from builders import tiny_config
from genet5.config.manifest import MANIFEST, check_files
from genet5.errors import CheckpointError
from genet5.model.checksums import check_tensors
from genet5.model.files import load_weights, save_weights, write_tensors
from genet5.model.folders import SHIPPED, WEIGHTS_FILE
from genet5.model.network import GeneT5


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


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_a_flipped_bit_is_an_error_that_names_file_and_tensor(tmp_path: Path) -> None:
    save_weights(tmp_path, {"first": torch.ones(4), "second": torch.ones(4)})
    flip(tmp_path / WEIGHTS_FILE, -1)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: tensor second is not the one"):
        load_weights(tmp_path)


@pytest.mark.slow
def test_each_flipped_bit_of_the_header_is_found(tmp_path: Path) -> None:
    path = tmp_path / WEIGHTS_FILE
    save_weights(tmp_path, {"a": torch.ones(2, dtype=torch.bfloat16), "b": torch.ones(())})
    whole = path.read_bytes()
    for at in range(len(whole)):
        for bit in (0, 3, 6):
            content = bytearray(whole)
            content[at] ^= 1 << bit
            path.write_bytes(content)
            with pytest.raises(CheckpointError, match=r"model\.safetensors: "):
                load_weights(tmp_path)


def test_weights_of_another_program_have_no_checksums(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / WEIGHTS_FILE)
    assert not check_tensors(tmp_path / WEIGHTS_FILE)
    assert load_weights(tmp_path)["a"].tolist() == [1.0, 1.0]


def test_the_shipped_model_is_under_checksums() -> None:
    assert check_files(SHIPPED / "nano")


def test_a_changed_file_of_a_model_is_named(tmp_path: Path) -> None:
    GeneT5(tiny_config()).save_pretrained(tmp_path)
    assert check_files(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(path.read_text().replace('"norm_first": true', '"norm_first":false'))
    with pytest.raises(CheckpointError, match=r"config\.json: not the file that was written"):
        GeneT5.from_pretrained(tmp_path)
    path.unlink()
    with pytest.raises(CheckpointError, match=r"checksums\.json lists it"):
        check_files(tmp_path)
    flip(tmp_path / MANIFEST, 40)
    with pytest.raises(CheckpointError, match=r"checksums\.json: "):
        check_files(tmp_path)
