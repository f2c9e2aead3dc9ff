"""Configuration of `genet5 lm score`, and how a likelihood is counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from genet5.config.checks import by_default, require
from genet5.config.lm.compute import LmComputeConfig, StrandName

AmbiguousName = Literal["exact", "oov", "split"]
"""How letters other than A, C, G, T are scored."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LikelihoodConfig:
    """How the likelihood of a sequence is counted."""

    strand: StrandName = "forward"
    """Score the sequence as it is, its reverse complement, or the mean of both."""
    max_completions: int = 256
    """With exact: most completions of one sequence that are evaluated."""
    overlap: Annotated[int | None, by_default("half of what the model takes")] = None
    """A sequence longer than the model takes is scored in windows; each begins with this many
    tokens of the one before, as context."""

    def __post_init__(self) -> None:
        require(
            self.max_completions >= 1, "max_completions", self.max_completions, "must be at least 1"
        )
        require(
            self.overlap is None or self.overlap >= 1, "overlap", self.overlap, "must be at least 1"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class LmScoreConfig:
    """What to score."""

    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """Folder of a language model, or its name on the hub."""
    fasta: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FASTA")]
    """Sequences: plain, gzip or bgzip; - is standard input."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE")] = Path("-")
    """Table to write, a row for each sequence: .tsv, .csv or .parquet; - is standard output."""
    ambiguous: AmbiguousName = "exact"
    """Letters other than A, C, G, T: exact sums over all completions; oov sums as well, but later
    tokens see the unknown token; split scores the intervals between them on their own."""
    likelihood: LikelihoodConfig = field(default_factory=LikelihoodConfig)
    compute: LmComputeConfig = field(default_factory=LmComputeConfig)
