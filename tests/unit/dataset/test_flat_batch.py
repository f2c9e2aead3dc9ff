"""Micro-batches in one buffer."""

from __future__ import annotations

from dataclasses import fields

import torch

from genet5.config.batches import BatchLimits
from genet5.dataset.batch import Batch
from genet5.dataset.flat_batch import pack, unpack
from genet5.dataset.loader import Loader


def tensors(batch: Batch) -> list[torch.Tensor]:
    return [getattr(part, f.name) for part in (batch.inputs, batch.targets) for f in fields(part)]


def test_what_is_unpacked_is_what_was_packed(packed_file) -> None:
    for batch in Loader(packed_file, BatchLimits(token_budget=200, max_batch_size=3)):
        flat = pack(batch)
        other = unpack(flat)
        assert other.window_ids == batch.window_ids
        for one, two in zip(tensors(batch), tensors(other), strict=True):
            assert (one.dtype, one.shape) == (two.dtype, two.shape)
            assert torch.equal(one, two)
            assert two.is_contiguous()
        assert sum(map(torch.Tensor.nbytes.__get__, tensors(batch))) <= len(flat.buffer)


def test_a_pinned_parcel_is_unpacked_from_the_pinned_buffer(packed_file, monkeypatch) -> None:
    flat = pack(next(iter(Loader(packed_file, BatchLimits(token_budget=200)))))
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor.clone().fill_(0))
    pinned = flat.pin_memory()
    assert pinned.layout == flat.layout
    assert not unpack(pinned).inputs.input_ids.any()
    assert unpack(flat).inputs.input_ids.any()
