"""`genet5 subset_packed`: a random share of a packed file's rows as a file of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from genet5.cli.parse import run, write_table
from genet5.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class SubsetConfig:
    """Which rows to take, and where to write them."""

    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="IN")]
    """Packed file, or index of shards, to sample from."""
    target: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """Packed file to write."""
    fraction: float
    """Fraction of the rows, above 0 and at most 1."""
    seed: int = 0
    """Seed of the sample; with the same seed a smaller sample is a subset of a larger one."""
    overwrite: bool = False
    """Replace OUT if it exists."""

    def __post_init__(self) -> None:
        if not 0 < self.fraction <= 1:
            raise ConfigError("fraction", self.fraction, "must be above 0 and at most 1")
        if self.seed < 0:
            raise ConfigError("seed", self.seed, "must not be negative")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run(
        _subset,
        SubsetConfig,
        argv,
        name="subset_packed",
        description="Write a random sample of the rows of a packed file to another packed file.",
    )


def _subset(config: SubsetConfig) -> int:
    from genet5.dataset.subset import subset_packed
    from genet5.progress import CountProgress

    with CountProgress("rows") as progress:
        header = subset_packed(
            config.source,
            config.target,
            config.fraction,
            seed=config.seed,
            overwrite=config.overwrite,
            progress=progress.show,
        )
    counts = ", ".join(f"{number:,} {name}" for name, number in header.counts.items())
    write_table(f"{config.target}: {counts}\n", {"OUT": config.target})
    return 0
