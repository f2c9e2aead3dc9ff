"""Settings of `genet5 init`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from genet5.config.model import PresetName
from genet5.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class InitSettings:
    """Make a new model: config.json, model.safetensors and tokenizer.json, with seeded random weights."""

    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """Folder to write; made if it is not there."""
    preset: PresetName = "nano"
    """Shape: nano (6 M parameters, two CPU cores), small (tens of M, one GPU), base (1.55 B)."""
    tokenizer: str = "kmer:6"
    """Sequence tokenizer: kmer:K (K = 1..8, non-overlapping), nucleotide, or the path of a BPE tokenizer.json."""
    gene_types: tuple[str, ...] = ()
    """Gene types to append to the vocabulary's own (protein_coding, tRNA, rRNA, ncRNA, pseudogene)."""
    seed: int = 0
    """Seed of the random weights."""
    overwrite: bool = False
    """Replace a model that is already in OUT."""
    dry_run: bool = False
    """Print the parameter table and stop."""

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigError("seed", self.seed, "must not be negative")
