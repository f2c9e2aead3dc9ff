"""What decoding asks of a device: few transfers to the host, each of which waits for it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from genet5.dataset.collate import make_inputs
from genet5.decode.draft import make_drafter
from genet5.decode.trace import read_tracks
from genet5.decode.writer import Writer
from genet5.genome.sequence import encode_bases
from genet5.tokens.grammar import Grammar, prokaryote_options

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
