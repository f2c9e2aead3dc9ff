"""What decoding asks of a device: few transfers to the host, each of which waits for it."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from genet5.blocks import anchored
from genet5.dataset.batch import Inputs
from genet5.dataset.collate import make_inputs
from genet5.decode.draft import make_drafter
from genet5.decode.greedy import decode_windows
from genet5.decode.trace import read_tracks
from genet5.decode.writer import Writer
from genet5.genome.sequence import encode_bases
from genet5.model.network import GeneT5
from genet5.tokens.grammar import Grammar, GrammarOptions, prokaryote_options

WAITS = {"aten._local_scalar_dense", "aten.nonzero", "aten.masked_select", "aten.equal"}
"""Operators that return once the device has done all that was asked of it."""


class Counter(TorchDispatchMode):
    """Counts the operators of a run, and those that would wait for a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.waits: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket._qualified_op_name.replace("::", ".")
        self.calls += 1
        if name in WAITS:
            self.waits.append(name)
        return func(*args, **(kwargs or {}))


@pytest.fixture
def fetched(monkeypatch) -> list[int]:
    """Sizes of the tensors that are brought to the host."""
    sizes: list[int] = []
    plain = torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda t: (sizes.append(t.numel()), plain(t))[1])
    return sizes


@pytest.mark.slow
@torch.inference_mode()
def test_a_pass_waits_for_the_device_once(tiny_model, tiny_tokenizer, fetched) -> None:
    draw = np.random.default_rng(1)
    windows = [encode_bases("".join(draw.choice(list("ACGT"), 400))) for _ in range(5)]
    encoded = tiny_model.encode(make_inputs(windows, [11] * 5, tiny_tokenizer.sequence))
    options = prokaryote_options(max_labels=64)
    grammar = Grammar(windows, [11] * 5, options, tiny_tokenizer.structure)
    tracks = read_tracks(encoded.state_logits, encoded.boundary_logits)
    drafter = make_drafter(grammar.signals, options, tiny_tokenizer.structure, tracks, None)
    writer = Writer(tiny_model, encoded, grammar, drafter)
    fetched.clear()
    with Counter() as counter:
        writer.run()
    assert len(fetched) == writer.passes.max()
    assert counter.waits == []
    assert counter.calls < 300 * writer.passes.max()


@pytest.mark.slow
@pytest.mark.parametrize("options", [prokaryote_options(max_labels=64), GrammarOptions()])
def test_a_batch_waits_for_each_pass_and_for_the_tracks(
    tiny_model, tiny_tokenizer, fetched, options
) -> None:
    """Twice for the tracks, with introns twice for the best paths; the encoder never."""
    draw = np.random.default_rng(2)
    windows = [encode_bases("".join(draw.choice(list("ACGT"), 300))) for _ in range(6)]
    decoded = decode_windows(
        tiny_model, tiny_tokenizer, windows, [11] * 6, options, head_only=True, use_bf16=False
    )
    tracks = 4 if options.introns else 2
    assert len(fetched) == tracks + max(window.passes for window in decoded)


@pytest.mark.slow
@torch.inference_mode()
def test_encoding_reads_nothing_back(tiny_config, tiny_tokenizer, monkeypatch) -> None:
    """Fake tensors have no values: item, nonzero or a mask as index raise."""
    monkeypatch.setattr(anchored, "_AT_HAND", frozenset())  # as on a GPU
    windows = [encode_bases("ACGT" * size) for size in (60, 75)]
    inputs = make_inputs(windows, [11] * 2, tiny_tokenizer.sequence)
    with FakeTensorMode() as fakes:
        model = GeneT5(tiny_config).eval()
        columns = [fakes.from_tensor(getattr(inputs, field.name)) for field in fields(inputs)]
        encoded = model.encode(Inputs(*columns))
    assert encoded.state_logits.shape == (2, 300, 2, 8)
