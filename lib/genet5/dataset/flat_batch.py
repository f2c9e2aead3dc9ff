"""Flat batches: micro-batches in one buffer, to pass them from a worker process to the trainer.

A tensor that crosses processes is a file descriptor sent and a mapping made, some 0.15 ms for the
process that gets it; a micro-batch has a dozen. A flat batch is one buffer with all of them,
one after another; unpacking makes views of it.

Example:
    >>> from genet5.dataset.batch import Batch, Inputs, Targets
    >>> inputs = Inputs(*(torch.tensor([[i]]) for i in range(7)))
    >>> batch = Batch(inputs, Targets(*(torch.tensor([True]) for _ in range(7))), ("g/c:0-9(+)",))
    >>> flat = pack(batch)
    >>> flat.buffer.dtype, unpack(flat).inputs.bases.tolist(), unpack(flat).window_ids
    (torch.uint8, [[3]], ('g/c:0-9(+)',))
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from genet5.dataset.batch import Batch, Inputs, Targets

_ALIGNMENT = 16  # bytes; a view as another type must begin at a multiple of its size


@dataclass(frozen=True, slots=True)
class FlatBatch:
    """One micro-batch in one buffer."""

    buffer: Tensor
    """(bytes,) uint8: the tensors of inputs, then of targets, each from a multiple of 16 bytes
    on."""
    layout: tuple[tuple[torch.dtype, torch.Size], ...]
    """Type and shape of each."""
    window_ids: tuple[str, ...]

    def pin_memory(self) -> FlatBatch:
        """Return a copy in page-locked memory; a `DataLoader` calls it."""
        return replace(self, buffer=self.buffer.pin_memory())


def pack(batch: Batch) -> FlatBatch:
    """Copy a micro-batch into one buffer."""
    tensors = [getattr(p, f.name) for p in (batch.inputs, batch.targets) for f in fields(p)]
    buffer = torch.empty(sum(_room(tensor) for tensor in tensors), dtype=torch.uint8)
    begin = 0
    for tensor in tensors:
        _view(buffer, begin, tensor.dtype, tensor.shape).copy_(tensor)
        begin += _room(tensor)
    layout = tuple((tensor.dtype, tensor.shape) for tensor in tensors)
    return FlatBatch(buffer, layout, batch.window_ids)


def unpack(flat: FlatBatch) -> Batch:
    """Return the micro-batch; its tensors are views of the buffer."""
    tensors: list[Tensor] = []
    begin = 0
    for dtype, shape in flat.layout:
        tensors.append(_view(flat.buffer, begin, dtype, shape))
        begin += _room(tensors[-1])
    number = len(fields(Inputs))
    return Batch(Inputs(*tensors[:number]), Targets(*tensors[number:]), flat.window_ids)


def _view(buffer: Tensor, begin: int, dtype: torch.dtype, shape: torch.Size) -> Tensor:
    end = begin + shape.numel() * dtype.itemsize
    return buffer[begin:end].view(dtype).view(shape)


def _room(tensor: Tensor) -> int:
    """Bytes of a tensor, rounded up."""
    return -(-tensor.nbytes // _ALIGNMENT) * _ALIGNMENT
