"""Settings of `genet5 init_tokens`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from genet5.config.gene_types import GeneTypeSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class InitTokensSettings:
    """What tokenizer to write."""

    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """File to write, or a folder for tokenizer.json (made if the name has no .json)."""
    tokenizer: str = "kmer:6"
    """Sequence tokenizer: kmer:K (K = 1..8, non-overlapping), nucleotide, or the path of a BPE tokenizer.json."""
    types: Annotated[GeneTypeSettings, tyro.conf.arg(name="")] = field(
        default_factory=GeneTypeSettings
    )
    overwrite: bool = False
    """Replace OUT if it is there."""
