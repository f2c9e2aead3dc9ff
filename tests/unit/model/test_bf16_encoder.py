"""The encoder held in bf16, as `annotate` holds it where the device multiplies bf16."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from genet5.blocks.codons import NUM_FEATURES
from genet5.dataset.collate import make_inputs
from genet5.decode.greedy import decode_windows
from genet5.genome.sequence import encode_bases
from genet5.model.network import GeneT5
from genet5.tokens.grammar import prokaryote_options

WINDOWS = [
    encode_bases("".join(row)) for row in np.random.default_rng(4).choice([*"ACGT"], (2, 384))
]


class WideTensors(TorchDispatchMode):
    """Notes operators that read or write large fp32 tensors: weights and activations.

    Features of bases, which the first convolution's input is made of, are fp32.
    """

    def __init__(self, least: int) -> None:
        super().__init__()
        self.least, self.found = least, set[tuple[str, tuple[int, ...]]]()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        leaves = [x for x in tree_leaves((args, kwargs, out)) if isinstance(x, torch.Tensor)]
        for leaf in (x for x in leaves if x.dtype == torch.float32 and x.numel() >= self.least):
            if not {NUM_FEATURES, NUM_FEATURES - 4} & set(leaf.shape):
                self.found.add((str(func), tuple(leaf.shape)))
        return out


@pytest.fixture
def held(tiny_model: GeneT5) -> GeneT5:
    model = copy.deepcopy(tiny_model)
    model.encoder_to_bf16()
    return model


@torch.inference_mode()
def test_no_weight_or_activation_is_in_fp32(held, tiny_model, tiny_tokenizer) -> None:
    inputs = make_inputs(WINDOWS, [11] * 2, tiny_tokenizer.sequence)
    least = inputs.input_ids.numel() * held.config.width
    with WideTensors(least) as watch:
        held.encode(inputs)
    assert watch.found == set()
    with WideTensors(least) as watch, torch.autocast("cpu", torch.bfloat16):
        tiny_model.encode(inputs)
    assert watch.found  # it sees what there is
    assert {weight.dtype for weight in held.encoder.parameters()} == {torch.bfloat16}


@torch.inference_mode()
def test_logits_are_those_of_fp32_up_to_rounding(held, tiny_model, tiny_tokenizer) -> None:
    inputs = make_inputs(WINDOWS, [11] * 2, tiny_tokenizer.sequence)
    ours, exact = held.encode(inputs), tiny_model.encode(inputs)
    for name in ("state_logits", "boundary_logits", "latents", "features"):
        mine, other = getattr(ours, name).float(), getattr(exact, name)
        assert (mine - other).norm() < 0.03 * other.norm(), name


@pytest.mark.slow
def test_what_is_written_is_what_autocast_writes(held, tiny_model, tiny_tokenizer) -> None:
    """The decoder is in fp32 either way; these windows have no near ties."""
    rows = [
        [
            window.labels
            for window in decode_windows(
                model, tiny_tokenizer, WINDOWS, [11] * 2, prokaryote_options(), use_bf16=True
            )
        ]
        for model in (held, tiny_model)
    ]
    assert rows[0] == rows[1]
