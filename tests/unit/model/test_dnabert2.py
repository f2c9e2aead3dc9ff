"""DNABERT-2 in GeneT5: the same numbers as its equations, copies in the decoder."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

import dnabert2_files
from bakes import write_packed
from dnabert2_files import PUBLISHED, SMALL
from genet5.config.batches import BatchLimits
from genet5.config.model import CompressorConfig, DecoderConfig, EncoderConfig, ModelConfig, preset
from genet5.dataset.collate import make_inputs
from genet5.dataset.header import Header
from genet5.dataset.loader import Loader
from genet5.dataset.windows import Window
from genet5.errors import ConfigError
from genet5.model import dnabert2
from genet5.model.dnabert2 import UPCYCLE_NOISE, import_dnabert2, read_dnabert2
from genet5.model.network import GeneT5
from genet5.tokens.sequence import BpeTokenizer
from genet5.tokens.structure import encode_window
from genet5.tokens.vocabulary import StructureVocabulary
from genet5.tokens.window import WindowStructure

TOLERANCE = 1e-5  # fp32, states of size 1 to 5; the design's


def small_shape(num_experts: int = 4, **decoder) -> ModelConfig:
    """Not yet the shape of the checkpoint."""
    return ModelConfig(
        width=24,
        base_channels=8,
        pointer_width=8,
        encoder=EncoderConfig(layers=1, heads=2, ff_dim=16, window_tokens=0),
        compressor=CompressorConfig(
            num_latents=64, layers=1, heads=6, kv_heads=2, ff_dim=16, window_bp=64
        ),
        decoder=DecoderConfig(
            **{
                "layers": 2,
                "heads": 6,
                "kv_heads": 2,
                "cross_kv_heads": 6,
                "ff_dim": 80,
                "num_experts": num_experts,
                **decoder,
            }
        ),
    )


def imported(folder: Path, window_tokens: int = 0, shape: ModelConfig | None = None) -> GeneT5:
    """The model that a checkpoint gives, with `origins` of its weights."""
    checkpoint = read_dnabert2(folder)
    config = checkpoint.shape_into(shape or small_shape())
    encoder = dataclasses.replace(config.encoder, window_tokens=window_tokens)
    model = GeneT5(dataclasses.replace(config, encoder=encoder))
    model.init_weights(1)
    model.origins = import_dnabert2(model, checkpoint)
    return model.eval()


def encode(model: GeneT5, ids: torch.Tensor, counts: list[int]) -> torch.Tensor:
    starts = torch.arange(ids.shape[1]).expand_as(ids)
    return model.encoder(ids, starts, torch.tensor(counts), torch.zeros(1))


# Numbers


@pytest.mark.slow
@pytest.mark.parametrize("length", [1, 9, 130, 700])  # 700: beyond DNABERT-2's own 512
@torch.no_grad()
def test_states_are_those_of_the_equations(folder, state, length):
    ids = torch.randint(0, 8, (length,))
    expected = dnabert2_files.states(state, SMALL, ids)
    for window in (0, 2 * length):  # a window that covers the input is no window
        got = encode(imported(folder, window), ids[None], [length])[0]
        torch.testing.assert_close(got, expected, atol=TOLERANCE, rtol=0)
    assert expected.abs().mean() > 0.3  # nothing small is compared


@torch.no_grad()
def test_a_window_is_the_mask_of_near_tokens(folder, state):
    ids = torch.randint(0, 8, (100,))
    got = encode(imported(folder, 32), ids[None], [100])[0]
    expected = dnabert2_files.states(state, SMALL, ids, half_window=16)
    torch.testing.assert_close(got, expected, atol=TOLERANCE, rtol=0)
    assert (expected - dnabert2_files.states(state, SMALL, ids)).abs().max() > 100 * TOLERANCE


@pytest.mark.parametrize("window", [0, 24])
@pytest.mark.parametrize("padding_id", [0, 1])  # config.json and tokenizer.json name different ids
@torch.no_grad()
def test_padded_rows_are_those_of_the_equations(folder, state, window, padding_id):
    lengths = [61, 7, 40]
    ids = torch.randint(0, 8, (3, 61))
    for row, length in enumerate(lengths):
        ids[row, length:] = padding_id
    got = encode(imported(folder, window), ids, lengths)
    for row, length in enumerate(lengths):
        expected = dnabert2_files.states(state, SMALL, ids[row, :length], window // 2 or None)
        torch.testing.assert_close(got[row, :length], expected, atol=TOLERANCE, rtol=0)


def packed_windows(tokenizer: BpeTokenizer, lengths: list[int]) -> list[Window]:
    windows = []
    for number, length in enumerate(lengths):
        draw = np.random.default_rng(number)
        bases = draw.choice(np.frombuffer(b"ACGTNacgt", np.uint8), length)
        ids, starts = tokenizer.encode(bases)
        labels = encode_window(WindowStructure(4, None, ()), StructureVocabulary())
        window = Window(
            bases=bases,
            input_ids=ids,
            token_start_bp=starts,
            labels=labels,
            label_weights=np.ones(len(labels), np.float32),
            ignore=np.zeros((0, 2), np.int32),
            genetic_code=4,
            clade="prokaryotes",
            genome="g",
            contig="c",
            start=1000 * number,
            strand=1,
            recoded=False,
        )
        windows.append(window)
    return windows


@torch.no_grad()
def test_packed_windows_are_those_of_the_equations_and_base_features_add_nothing(
    folder, state, tmp_path
):
    model, tokenizer = imported(folder), BpeTokenizer((folder / "tokenizer.json").read_text())
    seen = []
    model.encoder.register_forward_hook(lambda module, args, out: seen.append(out))
    windows = packed_windows(tokenizer, [150, 33, 90, 61, 200])
    write_packed(tmp_path / "a.packed", [windows[:3], windows[3:]], Header())
    by_id = {window.id: window for window in windows}
    compared = 0
    for batch in Loader(
        tmp_path / "a.packed", BatchLimits(token_budget=2000, max_batch_size=2), seed=0
    ):
        model.encode(batch.inputs)
        for name, got in zip(batch.window_ids, seen.pop(), strict=True):
            ids = torch.from_numpy(by_id[name].input_ids).long()
            expected = dnabert2_files.states(state, SMALL, ids)
            torch.testing.assert_close(got[: len(ids)], expected, atol=TOLERANCE, rtol=0)
            alone = make_inputs([by_id[name].bases], [4], tokenizer)
            model.encode(alone)
            torch.testing.assert_close(seen.pop()[0], expected, atol=TOLERANCE, rtol=0)
            compared += 1
    assert compared == 5


@pytest.mark.slow
@torch.no_grad()
def test_published_shapes_give_the_same_states(tmp_path):
    state = dnabert2_files.random_state(PUBLISHED)
    folder = dnabert2_files.write(tmp_path, PUBLISHED, state)
    decoder = {"layers": 1, "heads": 12, "kv_heads": 3, "cross_kv_heads": 12}
    model = imported(folder, 512, small_shape(num_experts=0, **decoder))
    assert model.config.encoder == preset("base").encoder
    lengths = [140, 30]
    ids = torch.randint(0, 4096, (2, 140))
    got = encode(model, ids, lengths)
    for row, length in enumerate(lengths):
        expected = dnabert2_files.states(state, PUBLISHED, ids[row, :length])
        torch.testing.assert_close(got[row, :length], expected, atol=TOLERANCE, rtol=0)


def test_other_parts_that_cannot_have_the_width_are_errors(folder):
    with pytest.raises(ConfigError, match=r"compressor\.heads = 5: must divide the width 48"):
        read_dnabert2(folder).shape_into(
            dataclasses.replace(
                small_shape(),
                width=50,
                compressor=CompressorConfig(heads=5, kv_heads=5),
                encoder=EncoderConfig(heads=5),
                decoder=DecoderConfig(heads=5, kv_heads=5, cross_kv_heads=5),
            )
        )


# The decoder


def origins_of(model: GeneT5, part: str) -> set[str]:
    return {origin for name, origin in model.origins.items() if part in name}


@torch.no_grad()
def test_decoder_layers_start_from_the_layers_at_their_height(folder, state):
    model = imported(folder)
    for number, above in ((0, 0), (1, 1)):  # i * 3 // 2
        layer, at = model.decoder.layers[number], f"bert.encoder.layer.{above}"
        qkv = state[f"{at}.attention.self.Wqkv.weight"]
        got_q, got_k, got_v = layer.attention.qkv.weight.split((48, 16, 16))
        assert torch.equal(got_q, qkv[:48])
        for got, rows in ((got_k, qkv[48:96]), (got_v, qkv[96:])):
            for group in range(2):  # query heads 3 g to 3 g + 2 share key-value head g
                heads = [rows[8 * h : 8 * h + 8] for h in range(3 * group, 3 * group + 3)]
                mean = sum(heads) / 3
                torch.testing.assert_close(got[8 * group : 8 * group + 8], mean)
        dense = state[f"{at}.attention.output.dense.weight"]
        assert torch.equal(layer.attention.out.weight, dense)
        name = f"{at}.attention.output.LayerNorm.bias"
        assert torch.equal(layer.norm_ff.bias, state[name])
    first, second = (layer.norm_self.bias for layer in model.decoder.layers)
    assert torch.equal(first, state["bert.embeddings.LayerNorm.bias"])
    assert torch.equal(second, state["bert.encoder.layer.0.mlp.layernorm.bias"])


@torch.no_grad()
def test_experts_are_the_dense_feedforward_plus_small_noise(folder, state):
    experts = imported(folder).decoder.layers[1].feedforward
    for got, name in ((experts.up, "gated_layers"), (experts.down, "wo")):
        noise = got - state[f"bert.encoder.layer.1.mlp.{name}.weight"]
        assert noise.std().item() == pytest.approx(UPCYCLE_NOISE * 0.02, rel=0.1)
        assert not torch.equal(noise[0], noise[1])
    assert experts.router.weight.std().item() == pytest.approx(0.006, rel=0.3)


@pytest.mark.parametrize("num_experts", [0, 4])
@torch.no_grad()
def test_without_noise_all_experts_together_are_the_dense_feedforward(
    folder, state, monkeypatch, num_experts
):
    monkeypatch.setattr(dnabert2, "UPCYCLE_NOISE", 0.0)
    layer = imported(folder, shape=small_shape(num_experts)).decoder.layers[0]
    x, at = torch.randn(1, 9, 48), "bert.encoder.layer.0.mlp"
    a, b = (x @ state[f"{at}.gated_layers.weight"].T).chunk(2, -1)
    expected = (torch.nn.functional.gelu(a) * b) @ state[f"{at}.wo.weight"].T
    got = layer.feedforward(x)
    got = got[0] if num_experts else got
    torch.testing.assert_close(got, expected, atol=TOLERANCE, rtol=1e-5)


@torch.no_grad()
def test_what_does_not_fit_keeps_its_first_draw(folder):
    for change, same, other in (
        ({"heads": 4, "cross_kv_heads": 4}, "feedforward.up", "attention"),
        ({"ff_dim": 64}, "attention", "feedforward"),
    ):
        shape = small_shape(**change)
        model = imported(folder, shape=shape)
        drawn = GeneT5(model.config)
        drawn.init_weights(1)
        assert origins_of(model, f"decoder.layers.0.{same}") == {"copied"}
        assert origins_of(model, f"decoder.layers.0.{other}") == {"initialised"}
        for name, origin in model.origins.items():
            equal = torch.equal(model.get_parameter(name), drawn.get_parameter(name))
            assert equal == (origin == "initialised"), name


def test_origins_name_every_weight(folder):
    model = imported(folder)
    assert set(model.origins) == {name for name, _ in model.named_parameters()}
    assert origins_of(model, "encoder.") == {"imported"}
    for part in ("cross", "router", "decoder.norm", "compressor", "pointer", "embedding"):
        expected = {"initialised"}
        names = [n for n in model.origins if part in n and not n.startswith("encoder.")]
        assert names
        assert {model.origins[name] for name in names} == expected


def test_the_import_is_the_same_on_the_meta_device_and_keeps_to_the_seed(folder):
    checkpoint = read_dnabert2(folder)
    config = checkpoint.shape_into(small_shape())
    with torch.device("meta"):
        shape_only = GeneT5(config)
    one, two = imported(folder), imported(folder)
    assert import_dnabert2(shape_only, checkpoint) == one.origins
    for name, weight in one.named_parameters():
        assert torch.equal(weight, two.get_parameter(name))


def test_experts_in_the_encoder_start_from_its_feedforward(folder, state):
    shape = small_shape()
    encoder = dataclasses.replace(shape.encoder, num_experts=2, moe_every=2)
    model = imported(folder, shape=dataclasses.replace(shape, encoder=encoder))
    # The last of three layers has experts, so the first has, and the second is dense.
    noise = model.encoder.layers[2].feedforward.down - state["bert.encoder.layer.2.mlp.wo.weight"]
    assert noise.std().item() == pytest.approx(UPCYCLE_NOISE * 0.02, rel=0.1)
    dense = model.encoder.layers[1].feedforward.down.bias
    assert torch.equal(dense, state["bert.encoder.layer.1.mlp.wo.bias"])
    assert model.origins["encoder.layers.2.feedforward.router.weight"] == "initialised"
