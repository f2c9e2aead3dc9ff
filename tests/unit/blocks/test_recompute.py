"""Recomputed layers: bitwise equal gradients, less memory; products are not computed twice."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from genet5.blocks.attention import key_mask
from genet5.blocks.compiled import compile_layer
from genet5.blocks.decoder import DecoderLayer
from genet5.blocks.encoder import EncoderLayer
from genet5.blocks.rope import rope_table
from genet5.blocks.windowed import window_mask
from genet5.config.model import CompressorConfig, DecoderConfig, EncoderConfig, ModelConfig

PRODUCTS = ("mm", "addmm", "_grouped_mm", "_scaled_dot_product_flash_attention_for_cpu")
N, T, M, D = 2, 24, 9, 32


class Operations(TorchDispatchMode):
    """Counts what runs."""

    supports_higher_order_operators = True

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.counts[str(func).removeprefix("aten.").split(".")[0]] += 1
        return func(*args, **(kwargs or {}))


def make_layer(kind, experts, keep):
    part = {"layers": 1, "heads": 4, "ff_dim": 64, "num_experts": experts, "dropout": 0.1}
    config = ModelConfig(
        width=D,
        compressor=CompressorConfig(heads=4, kv_heads=2, ff_dim=64),
        encoder=EncoderConfig(window_tokens=8, moe_top_k=2, **part),
        decoder=DecoderConfig(kv_heads=2, cross_kv_heads=4, moe_top_k=2, **part),
    )
    layer = EncoderLayer(config) if kind == "encoder" else DecoderLayer(config)
    torch.manual_seed(1)
    for weight in layer.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    layer.keep = keep
    return layer.train()


def inputs(kind):
    torch.manual_seed(2)
    x = torch.randn(N, T, D, requires_grad=True)
    rope, real = rope_table(torch.arange(T), D // 4), torch.rand(N, T) < 0.9
    if kind == "encoder":
        tokens = torch.tensor([T, T - 5])
        mask = window_mask("sdpa", tokens, T, window=0, slopes_H=None, dtype=torch.bfloat16)
        return x, mask, rope, real
    latents, anchors = torch.randn(N, M, D), rope_table(torch.arange(M) + 0.5, D // 4)
    return x, latents, key_mask(torch.tensor([M, M - 2]), M), (rope, rope, anchors), real


def both_ways(layer, arguments, precision):
    """Output and gradients, and the operations of the backward pass."""
    torch.manual_seed(3)  # dropout
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        x, loss = layer(*arguments)
    total = x.float().square().sum()
    if loss is not None:
        total = total + loss.z + loss.balance()
    with Operations() as operations:
        total.backward()
    gradients = [arguments[0].grad, *(weight.grad for weight in layer.parameters())]
    return [x.detach(), *gradients], operations.counts


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("experts", [0, 4])
@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_recomputed_layers_give_the_same_to_the_bit(kind, experts, precision):
    results, products = {}, {}
    for keep in (None, "nothing", "products"):
        found, ran = both_ways(make_layer(kind, experts, keep), inputs(kind), precision)
        results[keep], products[keep] = found, sum(ran[name] for name in PRODUCTS)
    for keep in ("nothing", "products"):
        assert all(map(torch.equal, results[keep], results[None])), keep
    assert products["nothing"] > products["products"] == products[None]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "experts", "keep"),
    [
        ("encoder", 0, "nothing"),
        ("encoder", 0, "products"),
        pytest.param("decoder", 4, "products", marks=pytest.mark.robust),
    ],
)
def test_compiled_layers_recompute_too(kind, experts, keep):
    """In fp32, where little depends on the order of sums."""
    torch._dynamo.reset()
    layer = make_layer(kind, experts, keep)
    layer.dropout.p = 0.0
    expected, _ = both_ways(layer, inputs(kind), "fp32")
    layer.zero_grad()
    compile_layer(layer, "aot_eager")
    found, _ = both_ways(layer, inputs(kind), "fp32")
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_evaluation_recomputes_nothing():
    layer, (x, *others) = make_layer("decoder", 0, "nothing").eval(), inputs("decoder")
    with Operations() as operations:
        layer(x, *others)[0].sum().backward()
    assert operations.counts["native_layer_norm"] == 3
