"""Several processes as one run: who am I, sums over all ranks, and gradients as one long vector.

Gradients are summed, not averaged: every rank divides its loss by the global counts, so the sum of the ranks'
gradients is the gradient of the global mean. All ranks therefore hold equal weights after each step. Works without
torchrun (world size 1), where every call returns at once. Only this module reads RANK, WORLD_SIZE and LOCAL_RANK.

    with distributed("auto") as ranks:
        ranks.sum_gradients(model.parameters())
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from genet5.errors import ConfigError

BUCKET_BYTES = 64 * 2**20
"""Gradients travel in pieces of this size: long enough for full bandwidth, short enough to copy."""
TIMEOUT = timedelta(hours=2)
"""Rank 0 decodes validation windows while the others wait."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among the processes of the run."""

    rank: int = 0
    world_size: int = 1
    device: torch.device = torch.device("cpu")  # noqa: RUF009

    @property
    def is_first(self) -> bool:
        """Whether this rank writes what all share."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of `values` over all ranks; they travel on this rank's device."""
        if self.world_size == 1:
            return values
        moved = values.to(self.device, copy=True)
        dist.all_reduce(moved)
        return moved.to(values.device)

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replace each gradient by its sum over all ranks; a parameter without gradient on this rank counts as 0."""
        if self.world_size == 1:
            return
        for bucket in _buckets([p for p in parameters if p.requires_grad]):
            for parameter in bucket:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
            grads = [p.grad for p in bucket if p.grad is not None]
            flat = torch.cat([grad.reshape(-1) for grad in grads])
            dist.all_reduce(flat)
            pieces = torch.split(flat, [grad.numel() for grad in grads])
            for grad, piece in zip(grads, pieces, strict=True):
                grad.copy_(piece.view_as(grad))

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all ranks (any picklable value), in order of rank, on every rank."""
        if self.world_size == 1:
            return [value]
        values: list[Any] = [None] * self.world_size
        dist.all_gather_object(values, value)
        return values

    def barrier(self) -> None:
        """Wait for all ranks."""
        if self.world_size > 1:
            dist.barrier()


def _buckets(parameters: list[torch.nn.Parameter]) -> Iterator[list[torch.nn.Parameter]]:
    """Cut the list into runs of one dtype of at most BUCKET_BYTES (a longer parameter stands alone)."""
    bucket: list[torch.nn.Parameter] = []
    size = 0
    for parameter in parameters:
        num_bytes = parameter.numel() * parameter.element_size()
        if bucket and (size + num_bytes > BUCKET_BYTES or parameter.dtype != bucket[0].dtype):
            yield bucket
            bucket, size = [], 0
        bucket.append(parameter)
        size += num_bytes
    if bucket:
        yield bucket


def choose_device(wanted: str, local_rank: int = 0) -> torch.device:
    """Return the device of this rank.

    Raises:
        ConfigError: CUDA is wanted but there is none.
    """
    has_cuda = torch.cuda.is_available()
    if wanted == "cuda" and not has_cuda:
        raise ConfigError("device", wanted, "this machine or this build of torch has no CUDA")
    if wanted == "cpu" or not has_cuda:
        return torch.device("cpu")
    return torch.device("cuda", local_rank)


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    try:
        return int(text)
    except ValueError as error:
        raise ConfigError(name, text, "must be a number; torchrun sets it") from error


@contextmanager
def distributed(device: str = "auto") -> Iterator[Ranks]:
    """Join the run that torchrun (or whoever set RANK and WORLD_SIZE) started; alone otherwise."""
    rank, world_size = _number("RANK", 0), _number("WORLD_SIZE", 1)
    chosen = choose_device(device, _number("LOCAL_RANK", 0))
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    if world_size == 1:
        yield Ranks(0, 1, chosen)
        return
    backend = "nccl" if chosen.type == "cuda" else "gloo"
    dist.init_process_group(backend, rank=rank, world_size=world_size, timeout=TIMEOUT)
    try:
        yield Ranks(rank, world_size, chosen)
    finally:
        dist.destroy_process_group()
