"""The compressor against its layers with a dense mask over all tokens."""

from dataclasses import replace

import pytest
import torch

from anchors import dense_bias
from genet5.blocks import perceiver
from genet5.blocks.anchored import AnchoredMask
from genet5.blocks.perceiver import Compressor
from genet5.config.model import preset
from genet5.model.network import GeneT5

SMALL = {"heads": 4, "kv_heads": 2, "ff_dim": 32, "layers": 2, "bin_bp": 16, "window_bp": 64}


def make_compressor(**changes):
    shape = replace(preset("nano").compressor, **SMALL)
    config = replace(preset("nano"), width=32, compressor=replace(shape, **changes))
    compressor = Compressor(config)
    draw = torch.Generator().manual_seed(0)
    for name, weight in compressor.named_parameters():
        if "norm" not in name:
            torch.nn.init.normal_(weight, std=0.2, generator=draw)
    return compressor


def make_inputs(lengths_bp, k=6, width=32):
    """States, starts, tokens and bases of windows cut into k-mers."""
    counts = torch.tensor([-(-length // k) for length in lengths_bp])
    starts = torch.arange(int(counts.max())) * k
    starts = torch.where(starts < counts[:, None] * k, starts, max(lengths_bp))
    states = torch.randn(len(counts), starts.shape[1], width)
    return states, starts, counts, torch.tensor(lengths_bp), max(lengths_bp)


@pytest.fixture
def dense(monkeypatch):
    """Call it to let compressors read densely from then on."""

    def dense_mask(backend, middle, counts, num_latents, **shape):
        return AnchoredMask(backend, bias=dense_bias(middle, counts, num_latents, **shape)[:, None])

    return lambda: monkeypatch.setattr(perceiver, "anchored_mask", dense_mask)


@pytest.mark.parametrize("lengths_bp", [(2000, 2000), (2000, 700, 16), (40, 5)])
def test_compressor_equals_its_dense_evaluation_with_gradients(dense, lengths_bp):
    compressor = make_compressor().double()
    states, *rest = make_inputs(lengths_bp)
    states = states.double().requires_grad_()
    given = [states, *compressor.parameters()]

    def run():
        latents = compressor(states, *rest)
        real = torch.arange(latents.shape[1]) < -(-rest[2] // 16)[:, None]
        latents = latents * real[..., None]
        return latents, *torch.autograd.grad(latents.square().sum(), given, retain_graph=True)

    got = run()
    dense()
    for one, other in zip(got, run(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-10)


def test_a_window_beyond_the_latents_is_an_error():
    with pytest.raises(ValueError, match="window of 200 bp; the model takes up to 160 bp"):
        make_compressor(num_latents=10)(*make_inputs((200,)))


@pytest.mark.slow
def test_layers_compile_whole_and_not_anew_for_each_length():
    compressor, graphs = make_compressor(layers=1), []
    expected = []
    inputs = [make_inputs((length, length // 2)) for length in (2000, 2600, 3100, 4000, 5200)]
    for its in inputs:
        expected.append(compressor(*its))

    def count(graph, _):
        graphs.append(graph)
        return graph.forward

    for layer in compressor.layers:
        layer.compile(backend=count, fullgraph=True)
    for its, want in zip(inputs, expected, strict=True):
        torch.testing.assert_close(compressor(*its), want, atol=1e-5, rtol=1e-5)
    assert len(graphs) <= 2  # the first with fixed lengths, then one for all


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_the_model_sets_the_backend_of_the_compressor(monkeypatch):
    model = GeneT5(preset("nano"))
    model.use_attention("flex")
    assert model.compressor.attention == "flex"
    compressor = make_compressor()
    inputs = make_inputs((2000, 700))
    with torch.no_grad():
        expected = compressor(*inputs)
        compressor.attention = "flex"
        monkeypatch.setattr(
            "genet5.blocks.windowed._flex", lambda: torch.nn.attention.flex_attention.flex_attention
        )
        torch.testing.assert_close(compressor(*inputs), expected, atol=1e-5, rtol=0)
