"""Settings of `genet5 append_tokens`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from genet5.config.gene_types import GeneTypeSettings
from genet5.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class AppendTokensSettings:
    """Which tokenizer to extend, and by what."""

    tokenizer: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="TOKENIZER_OR_MODEL")]
    """A tokenizer.json, or a model's folder with one."""
    out: Path | None = None
    """File to write, or a folder for tokenizer.json; None changes TOKENIZER_OR_MODEL itself."""
    types: Annotated[GeneTypeSettings, tyro.conf.arg(name="")] = field(
        default_factory=GeneTypeSettings
    )
    dry_run: bool = False
    """Print what would be appended, and stop."""

    def __post_init__(self) -> None:
        if self.types.is_empty:
            raise ConfigError(
                "gene_types", (), "must name types, or give --annotations or --raw_dir"
            )
