"""Several processes as one run: rank, device, and sums over all ranks.

Works without torchrun (world size 1), where every call returns at once.

    with distributed("auto") as ranks:
        total = ranks.sum(torch.tensor([1.0]))
"""

from __future__ import annotations

import gc
import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from genet5.errors import ConfigError, GeneT5Error
from genet5.locks import process_start
from genet5.train.distributed.liveness import watch_ranks
from genet5.train.distributed.place import place_of_process
from genet5.train.distributed.rendezvous import run_store

TIMEOUT = timedelta(minutes=30)
"""Longest wait in a collective: a rank may compile, or write the best model, while others wait."""
_QUIET_SLICES = 8


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among the processes of the run."""

    rank: int = 0
    world_size: int = 1
    device: torch.device = torch.device("cpu")  # noqa: RUF009
    agent: str | None = None
    """torchrun's process that started this one and may start it again (`--max-restarts`); None = no
    torchrun."""
    background: dist.ProcessGroup | None = None
    """All ranks, over gloo, for what runs in the background (checkpoints); None = alone."""

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

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all ranks (any picklable value), in order of rank, on every rank."""
        if self.world_size == 1:
            return [value]
        values: list[Any] = [None] * self.world_size
        dist.all_gather_object(values, value)
        return values

    def on_first(self, action: Callable[[], None]) -> None:
        """Let the first rank do something while the others wait; all raise its error."""
        error: Exception | None = None
        if self.is_first:
            try:
                action()
            except (GeneT5Error, OSError) as caught:
                error = caught
        if (failed := self.gather(error)[0]) is not None:
            raise failed

    def barrier(self) -> None:
        """Wait for all ranks."""
        if self.world_size > 1:
            dist.barrier()


def choose_device(wanted: str, local_rank: int = 0) -> torch.device:
    """Return the device of this rank.

    Raises:
        ConfigError: CUDA is wanted but there is none, or there are fewer GPUs than processes.
    """
    has_cuda = torch.cuda.is_available()
    if wanted == "cuda" and not has_cuda:
        raise ConfigError("device", wanted, "this machine or this build of torch has no CUDA")
    if wanted == "cpu" or not has_cuda:
        return torch.device("cpu")
    if local_rank >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        rule = f"this process sees {count} GPUs; start one process for each (--nproc-per-node)"
        raise ConfigError("LOCAL_RANK", local_rank, rule)
    return torch.device("cuda", local_rank)


def _agent() -> str | None:
    """Return host, process id and start of this process's parent, if it is torchrun's agent."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return None
    pid = os.getppid()
    return f"{socket.gethostname()} {pid} {process_start(pid)}"


@contextmanager
def distributed(device: str = "auto") -> Iterator[Ranks]:
    """Join the run that torchrun started; without torchrun the process is alone.

    RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT in the environment describe a run (`place`).

    Raises:
        ConfigError: They contradict each other, or the device is not there.
        RankError: Another rank failed or died.
    """
    place = place_of_process()
    rank, world_size = place.rank, place.world_size
    chosen = choose_device(device, place.local_rank)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    agent = _agent()
    if place.is_alone:
        yield Ranks(0, 1, chosen, agent)
        return
    backend = "nccl" if chosen.type == "cuda" else "gloo"
    store = run_store(rank, world_size, timeout=TIMEOUT)
    with watch_ranks(store, rank, world_size):
        dist.init_process_group(
            backend, store=store, rank=rank, world_size=world_size, timeout=TIMEOUT
        )
        background = dist.new_group(backend="gloo", timeout=TIMEOUT)
        yield Ranks(rank, world_size, chosen, agent, background)
        _let_threads_finish()
        dist.destroy_process_group()  # not after an error: it might wait for the dead


def abandon(code: int) -> None:
    """End a failed process at once if it is one of several.

    Its threads may wait for dead ranks, and Python would wait for them.
    """
    with suppress(ConfigError):  # what failed may be the environment
        if not place_of_process().is_alone:
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


def _let_threads_finish() -> None:
    """Give gloo's threads the interpreter lock a last time.

    After each collective they drop its tensors, for which torch 2.13 takes the lock. A main thread
    that keeps it while it destroys the group, or ends the interpreter, then waits for them forever,
    or aborts.
    """
    gc.collect()  # a model wrapped for DDP holds the group
    for _ in range(_QUIET_SLICES):
        time.sleep(0.05)
