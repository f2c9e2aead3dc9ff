"""Which of several processes this one is, by what torchrun and others put into its environment.

RANK, WORLD_SIZE and MASTER_ADDR together make a rank. A WORLD_SIZE without a RANK, as the shells of
some clusters have it, makes none: the process runs alone, and says so. Only this module reads RANK,
WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE. It loads no torch.
"""

from __future__ import annotations

import functools
import logging
import os
from dataclasses import dataclass

from genet5.errors import ConfigError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """One process among those of a run."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    """Among those on this machine."""
    local_world_size: int = 1

    @property
    def is_alone(self) -> bool:
        """Whether it is the only one."""
        return self.world_size == 1


def place_of_process() -> Place:
    """Return this process's place.

    Raises:
        ConfigError: The environment contradicts itself.
    """
    rank, world_size = _number("RANK", 0), _number("WORLD_SIZE", 1)
    local_rank, local_size = _number("LOCAL_RANK", 0), _number("LOCAL_WORLD_SIZE", 1)
    if world_size == 1:
        return Place(local_rank=local_rank)
    if "RANK" not in os.environ:
        _note_loneliness(world_size)
        return Place()
    if not os.environ.get("MASTER_ADDR"):
        rule = (
            f"must name rank 0's machine, since RANK is {rank} and WORLD_SIZE {world_size};"
            " start the processes with torchrun, or unset RANK and WORLD_SIZE to run alone"
        )
        raise ConfigError("MASTER_ADDR", os.environ.get("MASTER_ADDR"), rule)
    return Place(rank, world_size, local_rank, local_size)


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    try:
        return int(text)
    except ValueError as error:
        raise ConfigError(name, text, "must be a number; torchrun sets it") from error


@functools.cache
def _note_loneliness(world_size: int) -> None:
    log.warning(
        "WORLD_SIZE is %d, but RANK is not set: this process runs alone (torchrun sets both)",
        world_size,
    )
