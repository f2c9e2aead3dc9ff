"""Compiled layers: few graphs for any batch shape, none broken, the numbers of uncompiled ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch._dynamo.exc import FailOnRecompileLimitHit
from torch._dynamo.testing import CompileCounterWithBackend
from torch._dynamo.utils import counters

from builders import tiny_config
from genet5.blocks import compiled
from genet5.blocks.windowed import window_mask
from genet5.dataset.collate import collate
from genet5.dataset.windows import Window
from genet5.model.network import GeneT5
from genet5.tokens.sequence import KmerTokenizer
from genet5.tokens.structure import encode_window
from genet5.tokens.vocabulary import StructureVocabulary
from genet5.tokens.window import Part, WindowGene, WindowStructure, WindowTranscript
from genet5.train.loss import LossWeights, loss_sums

# Windows of a micro-batch and bases of the longest; two have equal sizes.
SHAPES = [
    (3, 200),
    (2, 350),
    (5, 90),
    (4, 141),
    (3, 77),
    (7, 260),
    (6, 333),
    (2, 48),
    (3, 410),
    (9, 128),
    (1, 300),
]
SEVEN_SHAPES = [*SHAPES[:3], *SHAPES[7:10], SHAPES[0]]
"""None of one window, which takes graphs of its own."""
SHAPES += [(4, 222), (8, 64), (5, 500), (3, 200), (2, 97), (6, 181), (3, 30), (4, 275), (7, 119)]


def make_config(experts=0):
    """A dense encoder of two layers; with experts, the decoder's layer has them."""
    return tiny_config(
        sequence_vocab=KmerTokenizer(3).vocab_size,
        bp_per_token=3.0,
        encoder={"layers": 2, "window_tokens": 16},
        compressor={"bin_bp": 8, "window_bp": 24},
        decoder={"cross_kv_heads": 2, "num_experts": experts, "moe_top_k": 1 + bool(experts)},
    )


def make_model(experts=0):
    model = GeneT5(make_config(experts))
    model.init_weights(1)
    return model


def make_window(rng, length):
    bases = rng.choice(np.frombuffer(b"ACGT", np.uint8), length)
    ids, starts = KmerTokenizer(3).encode(bases)
    firsts = np.sort(rng.choice(length // 9, int(rng.integers(1, length // 9)), replace=False)) * 9
    genes = tuple(
        WindowGene("protein_coding", 1, (WindowTranscript((Part("cds", int(f), int(f) + 8),)),))
        for f in firsts[:12]
    )
    labels = encode_window(WindowStructure(11, None, genes), StructureVocabulary())
    return Window(
        bases=bases, input_ids=ids, token_start_bp=starts, labels=labels,
        label_weights=np.ones(len(labels), dtype=np.float32), genetic_code=11, clade="prokaryotes",
        genome="g", contig="1", start=0, strand=1,
    )  # fmt: skip


def make_batch(number, windows, length):
    rng = np.random.default_rng(number)
    lengths = [length, *rng.integers(max(20, length * 9 // 10), length + 1, windows - 1)]
    return collate([make_window(rng, int(size)) for size in lengths])


def loss_of(model, batch):
    terms = loss_sums(model(batch), batch, LossWeights())
    return torch.stack([t.weight * t.sum / t.count.clamp_min(1) for t in terms.values()]).sum()


def train(model, batches):
    """Losses, and the gradient of all."""
    losses = [loss_of(model, batch) for batch in batches]
    torch.stack(losses).sum().backward()
    return torch.stack(losses).detach(), [p.grad for p in model.parameters()]


@pytest.fixture
def counter():
    torch._dynamo.reset()
    counters.clear()
    yield CompileCounterWithBackend("eager")
    torch._dynamo.reset()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shapes", "graphs"),
    [
        pytest.param(SEVEN_SHAPES, 4, id="seven"),
        pytest.param(SHAPES, 8, id="twenty", marks=pytest.mark.robust),
    ],
)
def test_odd_shapes_take_few_graphs_and_change_no_number(counter, shapes, graphs):
    batches = [make_batch(number, *shape) for number, shape in enumerate(shapes)]
    model = make_model(experts=4)
    expected, gradients = train(model, batches)
    model.zero_grad()
    model.compile_blocks(counter)
    found, compiled_gradients = train(model, batches)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(compiled_gradients, gradients, rtol=1e-4, atol=1e-4)
    assert not counters["graph_break"]
    # Encoder, decoder, compressor in slices and whole; each for several windows and for one.
    assert graphs // 2 <= counter.frame_count <= graphs


@pytest.mark.slow
def test_one_graph_too_many_is_an_error(counter, monkeypatch):
    monkeypatch.setattr(compiled, "GRAPHS", 1)
    layer = torch.nn.LayerNorm(4)
    with torch._dynamo.config.patch(recompile_limit=1):
        compiled.compile_layer(layer, counter)
        layer(torch.ones(2, 4))
        with pytest.raises(FailOnRecompileLimitHit):
            layer(torch.ones(2, 3, 4))


@pytest.mark.slow
def test_a_graph_break_is_an_error(counter):
    class Layer(torch.nn.Module):
        def forward(self, x):
            torch._dynamo.graph_break()
            return x + 1

    layer = Layer()
    compiled.compile_layer(layer, counter)
    with pytest.raises(torch._dynamo.exc.Unsupported):
        layer(torch.ones(2))


@pytest.mark.slow
def test_a_compiled_layer_keeps_the_names_of_its_weights_and_hooks_outside(counter):
    layer, seen = torch.nn.Sequential(torch.nn.Linear(4, 4)), []
    names = list(layer.state_dict())
    layer.register_forward_pre_hook(lambda layer, args: seen.append(torch.compiler.is_compiling()))
    compiled.compile_layer(layer, counter)
    layer(torch.ones(2, 4))
    assert list(layer.state_dict()) == names
    assert seen == [False]
    assert counter.frame_count == 1


@pytest.mark.slow
@torch.no_grad()
def test_flex_attention_lies_in_the_layers_graph(counter):
    """Its masks refer to tensors whose sizes change, too; forward only, as it is on a CPU."""
    layer = make_model().encoder.layers[0]
    masked = []
    for windows, tokens in ((2, 200), (3, 304), (5, 264)):
        x, number = torch.randn(windows, tokens, 32), torch.full((windows,), tokens - 3)
        masked.append((x, [_mask(name, number, tokens) for name in ("flex", "sdpa")]))
    expected = [layer(x, plain, None)[0] for x, (_, plain) in masked]
    compiled.compile_layer(layer, counter)
    for (x, (flex, _)), wanted in zip(masked, expected, strict=True):
        found, _ = layer(x, flex, None)
        torch.testing.assert_close(found[:, :-3], wanted[:, :-3], rtol=1e-4, atol=1e-4)
    assert counter.frame_count <= 2
    assert not counters["graph_break"]


def _mask(backend, number, tokens):
    return window_mask(backend, number, tokens, window=16, slopes_H=None, dtype=torch.float32)


@pytest.mark.slow
@torch.no_grad()
def test_the_compiler_itself_gives_the_same_numbers():
    """Inductor, on a feed-forward with experts, in bf16 as in training."""
    torch._dynamo.reset()
    layer, x = make_model(experts=4).decoder.layers[0].feedforward, torch.randn(3, 8, 32)
    with torch.autocast("cpu", torch.bfloat16):
        expected, _ = layer(x)
        compiled.compile_layer(layer)
        found, _ = layer(x)
    torch.testing.assert_close(found, expected, rtol=2e-2, atol=1e-4)


def test_padding_to_another_length_changes_no_result():
    """`collate` pads to the longest window and beyond; `make_inputs` does not."""
    model = make_model().eval()
    batch = make_batch(5, 3, 131)
    inputs, tokens = batch.inputs, int(batch.inputs.num_tokens.max())
    assert inputs.input_ids.shape[1] > tokens
    unpadded = replace(
        inputs,
        input_ids=inputs.input_ids[:, :tokens],
        token_start_bp=inputs.token_start_bp[:, :tokens],
    )
    with torch.no_grad():
        padded, alone = model.encode(inputs), model.encode(unpadded)
    torch.testing.assert_close(padded.latents, alone.latents, rtol=0, atol=2e-5)
    torch.testing.assert_close(padded.state_logits, alone.state_logits, rtol=0, atol=2e-5)
