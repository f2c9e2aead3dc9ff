"""Settings of `genet5 subset_packed`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from genet5.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class SubsetSettings:
    """Which rows to take, and where to write them."""

    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="IN")]
    """Packed file to take from."""
    target: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """Packed file to write."""
    fraction: float
    """Share of the rows to take, above 0 and at most 1."""
    seed: int = 0
    """Of the random choice; with one seed a smaller share is a part of a larger one."""
    overwrite: bool = False
    """Replace OUT if it is there."""

    def __post_init__(self) -> None:
        if not 0 < self.fraction <= 1:
            raise ConfigError("fraction", self.fraction, "must be above 0 and at most 1")
        if self.seed < 0:
            raise ConfigError("seed", self.seed, "must not be negative")
