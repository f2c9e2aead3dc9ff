"""Checkpoints of DNABERT-2 are read in all their forms; no code of theirs runs."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import huggingface_hub
import pytest
import torch

import dnabert2_files
from dnabert2_files import SMALL
from genet5.errors import CheckpointError
from genet5.model.dnabert2 import read_dnabert2


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
@pytest.mark.parametrize("prefix", ["bert.", ""])
def test_both_files_and_both_namings_give_the_same_arrays(tmp_path, state, name, prefix):
    named = {key.replace("bert.", prefix, 1): tensor for key, tensor in state.items()}
    checkpoint = read_dnabert2(dnabert2_files.write(tmp_path, SMALL, named, name))
    assert checkpoint.weights_file.name == name
    assert checkpoint.left_aside == (
        "cls.predictions.decoder.bias",
        "pooler.dense.bias",
        "pooler.dense.weight",
    )
    for key, tensor in checkpoint.tensors.items():
        assert torch.equal(tensor, state[f"bert.{key}"])


def test_old_files_half_precision_and_a_file_by_name_are_read(tmp_path, state):
    half = {name: tensor.half() for name, tensor in state.items()}
    half["bert.embeddings.position_ids"] = torch.arange(512)
    dnabert2_files.write(tmp_path, SMALL, {}, "model.safetensors")  # would come first
    torch.save(half, tmp_path / "old.bin", _use_new_zipfile_serialization=False)
    checkpoint = read_dnabert2(tmp_path / "old.bin")
    assert {tensor.dtype for tensor in checkpoint.tensors.values()} == {torch.float32}
    assert checkpoint.tokenizer_file is None


@pytest.fixture
def hub_cache(tmp_path, monkeypatch) -> Path:
    """The snapshot of zhihan1996/DNABERT-2-117M in an otherwise empty cache, offline."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    repository = tmp_path / "cache" / "models--zhihan1996--DNABERT-2-117M"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    return repository / "snapshots" / ("0" * 40)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
def test_a_hub_id_is_found_in_the_cache(hub_cache, state, name):
    dnabert2_files.write(hub_cache, SMALL, state, name)
    dnabert2_files.write_tokenizer(hub_cache)
    checkpoint = read_dnabert2("zhihan1996/DNABERT-2-117M")
    assert checkpoint.weights_file == hub_cache / name
    assert checkpoint.tokenizer_file == hub_cache / "tokenizer.json"


@pytest.mark.parametrize("name", ["zhihan1996/DNABERT-2-117M", "/no/such/folder", "a b"])
def test_what_is_nowhere_says_how_to_get_it(hub_cache, name):
    with pytest.raises(CheckpointError, match=r"no such file or folder.*--local-dir DIR") as caught:
        read_dnabert2(name)
    assert str(caught.value).startswith(name)


# Errors


def changed(state: dict, **changes) -> dict:
    """With other arrays (dots as __); None takes one away."""
    named = {key.replace("__", "."): value for key, value in changes.items()}
    return {key: value for key, value in (state | named).items() if value is not None}


WORDS, WO = "bert__embeddings__word_embeddings__weight", "bert__encoder__layer__1__mlp__wo__weight"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({WO: None}, r"1 of 37 arrays are missing: bert\.encoder\.layer\.1\.mlp\.wo\.weight;"),
        (
            {WO: torch.zeros(48, 81), WORDS: torch.zeros(9, 48)},
            r"2 arrays have other shapes .*word_embeddings\.weight \(9, 48\) instead of \(8, 48\), "
            r".*wo\.weight \(48, 81\)",
        ),
        ({WO: torch.full((48, 80), torch.nan)}, r"no finite .* bert\.encoder\.layer\.1\.mlp\.wo"),
        ({WO: torch.zeros(48, 80, dtype=torch.int32)}, r"no finite .* bert\.encoder\.layer\.1"),
        (
            {"bert__embeddings__position_embeddings__weight": torch.zeros(512, 48)},
            r"does not have: bert\.embeddings\.position_embeddings\.weight",
        ),
        (
            {"bert__encoder__layer__3__mlp__wo__bias": torch.zeros(48)},
            r"does not have: bert\.encoder\.layer\.3\.mlp\.wo\.bias\. Give the config\.json",
        ),
    ],
)
def test_wrong_arrays_are_named(tmp_path, state, changes, message):
    dnabert2_files.write(tmp_path, SMALL, changed(state, **changes))
    with pytest.raises(CheckpointError, match=message) as caught:
        read_dnabert2(tmp_path)
    assert str(caught.value).startswith(str(tmp_path / "pytorch_model.bin"))


def test_a_plain_bert_is_no_dnabert2(tmp_path):
    names = ("query", "key", "value")
    plain = {f"bert.encoder.layer.0.attention.self.{n}.weight": torch.zeros(48, 48) for n in names}
    dnabert2_files.write(tmp_path, SMALL, plain, "model.safetensors")
    with pytest.raises(CheckpointError, match=r"not a DNABERT-2 .* 37 of 37 .* and 29 more; found"):
        read_dnabert2(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_attention_heads": None}, "no num_attention_heads; found num_hidden_layers"),
        ({"hidden_act": "relu"}, "hidden_act = 'relu'; expected 'gelu'"),
        ({"layer_norm_eps": 1e-5}, "layer_norm_eps = 1e-05; expected 1e-12"),
        ({"num_attention_heads": 5}, "num_attention_heads = 5; expected a divisor of 48"),
        ({"num_hidden_layers": 0}, "num_hidden_layers = 0; expected at least 1"),
    ],
)
def test_wrong_config_values_are_named(tmp_path, state, changes, message):
    dnabert2_files.write(tmp_path, SMALL | changes, state)
    with pytest.raises(CheckpointError, match=message):
        read_dnabert2(tmp_path)


class Trap:
    """Code that a pickle would run."""

    def __reduce__(self):
        return Path.touch, (Path("trapped"),)


def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path, state, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dnabert2_files.write(tmp_path, SMALL, state)
    torch.save(state | {"extra": Trap()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"never run.*model\.safetensors"):
        read_dnabert2(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(Trap(), protocol=2))
    with pytest.raises(CheckpointError, match="never run"):
        read_dnabert2(tmp_path)
    assert not Path("trapped").exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"version https://git-lfs"])
def test_damaged_files_are_errors(folder, name, content):
    (folder / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=name):
        read_dnabert2(folder)


def test_missing_files_are_named(tmp_path, state):
    with pytest.raises(CheckpointError, match=r"expected model\.safetensors or pytorch_model\.bin"):
        read_dnabert2(tmp_path)
    torch.save(state, tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"config\.json: file not found"):
        read_dnabert2(tmp_path)
    torch.save([1, 2], tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_text(json.dumps(SMALL))
    with pytest.raises(CheckpointError, match="holds a list; expected names and arrays"):
        read_dnabert2(tmp_path)
