"""Presets, published checkpoints, and Nucleotide GPT's equations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from genet5.cli import main
from genet5.config.lm.init import PRESETS
from genet5.errors import CheckpointError
from genet5.lm.folders import LanguageModel, load_model
from genet5.lm.networks import build_network, count_parts
from genet5.lm.vocabulary import (
    generator_vocabulary,
    nucleotide_gpt_kmers,
    nucleotide_gpt_vocabulary,
)
from lm_toys import SANDWICH, tiny_lm, write_published_generator

PER_LAYER = {
    *(f"self_attn.{name}_proj.weight" for name in "qkvo"),
    *(f"mlp.{name}_proj.weight" for name in ("gate", "up", "down")),
    "input_layernorm.weight",
    "post_attention_layernorm.weight",
}


@pytest.mark.parametrize(
    ("preset", "vocabulary", "parameters"),
    [
        ("generator-1.2b", generator_vocabulary(), 1_162_061_824),
        ("generator-3b", generator_vocabulary(), 2_998_262_784),
        ("nucleotide-gpt-500m", nucleotide_gpt_vocabulary(), 503_441_408),
        ("nucleotide-gpt-500m", nucleotide_gpt_kmers(is_overlapping=False), 520_202_240),
    ],
)
def test_presets_have_the_published_numbers_of_parameters(preset, vocabulary, parameters) -> None:
    with torch.device("meta"):
        network = build_network(PRESETS[preset], vocabulary)
    assert count_parts(network)["total"] == parameters


@pytest.mark.slow
def test_generator_3b_has_the_published_273_tensors() -> None:
    with torch.device("meta"):
        network = build_network(PRESETS["generator-3b"], generator_vocabulary())
    layers = {f"model.layers.{n}.{name}" for n in range(30) for name in PER_LAYER}
    ends = {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"}
    assert set(network.state_dict()) == layers | ends
    assert len(layers | ends) == 273


@pytest.mark.parametrize("with_auto_map", [False, True])
def test_a_published_checkpoint_loads_without_running_its_code(
    with_auto_map: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    written = write_published_generator(tmp_path, with_auto_map=with_auto_map)
    caplog.set_level("INFO", "genet5")
    found = load_model(str(tmp_path))
    assert type(found.network).__name__ == "LlamaForCausalLM"
    assert found.vocabulary.to_dict()["letters"] == "ATCG"
    assert found.network.config.rope_parameters["rope_theta"] == 500000.0
    ids = torch.tensor([[1, 32, 1397, 4127]])
    torch.testing.assert_close(found.network(ids).logits, written.network(ids).logits)
    assert ("auto_map" in caplog.text) == with_auto_map


def test_a_model_type_that_needs_code_from_a_hub_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "hyenadna"}')
    with pytest.raises(CheckpointError, match="'hyenadna' is no causal language model"):
        load_model(str(tmp_path))


@pytest.mark.parametrize("family", ["generator", "nucleotide_gpt"])
def test_what_is_saved_loads_in_auto_model(family: str, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = tiny_lm(family)
    model.save(tmp_path)
    ids = torch.tensor([[5, 1, 2, 3]])
    stock = AutoModelForCausalLM.from_pretrained(tmp_path, trust_remote_code=False)
    torch.testing.assert_close(stock(ids).logits, model.network(ids).logits)
    assert load_model(str(tmp_path)).vocabulary.to_dict() == model.vocabulary.to_dict()


def test_nucleotide_gpt_equals_its_equations() -> None:
    model = tiny_lm("nucleotide_gpt")
    ids = [1, 2, 4, 3, 5, 1, 1, 2, 4]
    expected = reference_logits(model, ids)
    found = model.network(torch.tensor([ids])).logits[0]
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-4)  # fp32 against fp64


def test_segments_of_one_row_do_not_see_each_other() -> None:
    model = tiny_lm("nucleotide_gpt")
    first, second = [1, 2, 4, 3], [4, 4, 1]
    positions = torch.tensor([[0, 1, 2, 3, 0, 1, 2]])
    row = torch.tensor([first + second])
    packed = model.network(row, position_ids=positions, use_cache=False)
    alone = [model.network(torch.tensor([part])).logits[0] for part in (first, second)]
    torch.testing.assert_close(packed.logits[0], torch.cat(alone), atol=1e-5, rtol=1e-5)


def test_a_later_token_changes_no_earlier_prediction() -> None:
    model = tiny_lm("nucleotide_gpt")
    one, other = (model.network(torch.tensor([[1, 2, 3, x, 4]])).logits[0] for x in (1, 2))
    torch.testing.assert_close(one[:3], other[:3])
    assert not torch.allclose(one[3:], other[3:])


@pytest.mark.parametrize("family", ["generator", "nucleotide_gpt"])
def test_padding_on_the_left_changes_nothing(family: str) -> None:
    model = tiny_lm(family)
    ids, pad = [5, 3, 1, 2], model.vocabulary.pad_id
    alone = model.network(torch.tensor([ids])).logits[0]
    mask = torch.tensor([[0, 0, 0, 1, 1, 1, 1]])
    padded = model.network(
        torch.tensor([[pad] * 3 + ids]),
        attention_mask=mask,
        position_ids=(mask.cumsum(1) - 1).clamp_min(0),
    ).logits[0]
    torch.testing.assert_close(padded[3:], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["generator", "nucleotide_gpt"])
def test_generating_with_a_cache_equals_whole_passes(family: str) -> None:
    model = tiny_lm(family)
    ids = torch.tensor([[5, 3, 1, 2]])
    how = {"do_sample": False, "max_new_tokens": 5, "eos_token_id": None, "pad_token_id": 0}
    cached, whole = (model.network.generate(ids, **how, use_cache=use) for use in (True, False))
    assert cached.tolist() == whole.tolist()


def test_lm_init_writes_a_model_and_refuses_to_replace_it(tmp_path: Path, capsys) -> None:
    shape = ["--layers", "1", "--width", "16", "--heads", "2", "--kv_heads", "1"]
    words = ["lm", "init", str(tmp_path), "--ff_width", "8", *shape]
    assert main([*words, "--dry_run"]) == 0
    assert not list(tmp_path.iterdir())
    assert main(words) == 0
    assert "total" in capsys.readouterr().out
    assert load_model(str(tmp_path)).network.config.head_dim == 8
    assert main(words) == 2
    assert "--overwrite replaces it" in capsys.readouterr().err


def reference_logits(model: LanguageModel, ids: list[int]) -> NDArray[np.float64]:
    """The equations written out in NumPy, one sequence, without anything of the network."""
    shape = SANDWICH
    w = {name: t.numpy().astype(np.float64) for name, t in model.network.state_dict().items()}
    heads, width, length = shape.heads, shape.head_width, len(ids)

    def norm(x: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        mean = (x * x).mean(axis=-1, keepdims=True)
        return x / np.sqrt(mean + shape.norm_eps) * w[f"{name}.weight"]

    def turned(x: NDArray[np.float64]) -> NDArray[np.float64]:
        half = width // 2
        rates = shape.rope_theta ** (-2.0 * np.arange(half) / width)
        angle = np.arange(length)[:, None, None] * rates
        a, b = x[..., :half], x[..., half:]
        cos, sin = np.cos(angle), np.sin(angle)
        return np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)

    def gelu(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))

    x = w["model.embed_tokens.weight"][ids]
    for n in range(shape.layers):
        at = f"model.layers.{n}"
        h = norm(x, f"{at}.input_layernorm")
        q, k, v = (
            (h @ w[f"{at}.self_attn.{p}_proj.weight"].T).reshape(length, heads, width)
            for p in "qkv"
        )
        scores = np.einsum("shk,thk->hst", turned(q), turned(k)) * width**-0.5
        scores = np.where(np.tril(np.ones((length, length))) > 0, scores, -np.inf)
        share = np.exp(scores - scores.max(axis=-1, keepdims=True))
        share /= share.sum(axis=-1, keepdims=True)
        mixed = np.einsum("hst,thk->shk", share, v).reshape(length, -1)
        attended = mixed @ w[f"{at}.self_attn.o_proj.weight"].T
        x = x + norm(attended, f"{at}.attention_output_layernorm")
        h = norm(x, f"{at}.post_attention_layernorm")
        fed = gelu(h @ w[f"{at}.mlp.up_proj.weight"].T) @ w[f"{at}.mlp.down_proj.weight"].T
        x = x + norm(fed, f"{at}.feedforward_output_layernorm")
    return norm(x, "model.norm") @ w["lm_head.weight"].T
