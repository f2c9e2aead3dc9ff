"""Checkpoints in the layout that Orbax writes become models with the same equations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from genet5.cli import main
from genet5.lm.folders import load_model
from lm_toys import tiny_lm

tensorstore = pytest.importorskip("tensorstore", reason="needs genet5[orbax]")

NORMS = {
    "attn_in_gamma": "input_layernorm",
    "attn_out_gamma": "attention_output_layernorm",
    "ff_in_gamma": "post_attention_layernorm",
    "ff_out_gamma": "feedforward_output_layernorm",
}


def leaves(lm) -> dict[str, np.ndarray]:
    """The arrays of a model by the names and in the axes of the original."""
    t = {name: tensor.numpy() for name, tensor in lm.network.state_dict().items()}
    config = lm.network.config
    found = {
        "weights.embedding": t["model.embed_tokens.weight"],
        "weights.vocab_proj": t["lm_head.weight"].T,
        "weights.gamma_final": t["model.norm.weight"],
        "opt_state.embedding.0": np.zeros((6, config.hidden_size), np.float32),
    }
    for number in range(config.num_hidden_layers):
        ours, theirs = f"model.layers.{number}", f"weights.layers.{number}"
        for name in "qkv":
            heads = t[f"{ours}.self_attn.{name}_proj.weight"].T
            found[f"{theirs}.{name}"] = heads.reshape(len(heads), -1, config.head_dim)
        outward = t[f"{ours}.self_attn.o_proj.weight"].T
        found[f"{theirs}.proj"] = outward.reshape(-1, config.head_dim, config.hidden_size)
        found[f"{theirs}.w1"] = t[f"{ours}.mlp.up_proj.weight"].T
        found[f"{theirs}.w2"] = t[f"{ours}.mlp.down_proj.weight"].T
        for name, norm in NORMS.items():
            found[f"{theirs}.{name}"] = t[f"{ours}.{norm}.weight"]
    return found


def write_checkpoint(folder: Path, lm, *, is_ocdbt: bool, driver: str = "zarr") -> None:
    inner = folder / "default"
    inner.mkdir(parents=True)
    for name, array in leaves(lm).items():
        store: dict[str, Any] = {"driver": "file", "path": f"{inner}/{name}/"}
        if is_ocdbt:
            store = {"driver": "ocdbt", "base": f"file://{inner}/", "path": f"{name}/"}
        spec = {"driver": driver, "kvstore": store}
        how = {"create": True, "dtype": tensorstore.float32, "shape": array.shape}
        tensorstore.open(spec, **how).result().write(np.ascontiguousarray(array)).result()


@pytest.mark.parametrize(("is_ocdbt", "driver"), [(True, "zarr"), (True, "zarr3"), (False, "zarr")])
def test_a_converted_checkpoint_predicts_as_before(
    tmp_path: Path, capsys, is_ocdbt: bool, driver: str
) -> None:
    lm = tiny_lm("nucleotide_gpt")
    write_checkpoint(tmp_path / "20000", lm, is_ocdbt=is_ocdbt, driver=driver)
    theta = str(lm.network.config.rope_parameters["rope_theta"])
    words = [str(tmp_path / "20000"), str(tmp_path / "out"), "--rope_theta", theta]
    assert main(["lm", "convert", *words, "--max_tokens", "64"]) == 0
    assert "parameters" in capsys.readouterr().out
    again = load_model(str(tmp_path / "out"))
    assert again.vocabulary.to_dict() == lm.vocabulary.to_dict()
    ids = torch.tensor([[1, 2, 3, 4, 1, 1, 5]])
    torch.testing.assert_close(again.network(ids).logits, lm.network(ids).logits)


def test_what_is_no_checkpoint_is_refused(tmp_path: Path, capsys) -> None:
    words = [str(tmp_path), str(tmp_path / "out"), "--rope_theta", "8192"]
    assert main(["lm", "convert", *words]) == 1
    assert "no Orbax checkpoint" in capsys.readouterr().err
