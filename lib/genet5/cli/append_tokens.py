"""`genet5 append_tokens`: append gene types to a tokenizer."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from genet5.cli.gene_types import GeneTypeConfig, appended, file_to_write, type_table
from genet5.cli.parse import run, write_table
from genet5.config.checks import by_default
from genet5.errors import ConfigError

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class AppendTokensConfig:
    """Which tokenizer to extend, and by which gene types."""

    tokenizer: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="TOKENIZER_OR_MODEL")]
    """A tokenizer.json, or a model folder that contains one."""
    out: Annotated[Path | None, by_default("change TOKENIZER_OR_MODEL")] = None
    """File to write, or a folder for tokenizer.json."""
    types: GeneTypeConfig = field(default_factory=GeneTypeConfig)
    dry_run: bool = False
    """Print what would be appended, and exit."""

    def __post_init__(self) -> None:
        if self.types.is_empty:
            raise ConfigError(
                "gene_types", (), "must list types, unless --annotations or --raw_dir is given"
            )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run(
        _append_tokens,
        AppendTokensConfig,
        argv,
        name="append_tokens",
        description=(
            "Append gene types to a tokenizer. Its own types keep their ids, so that packed files "
            "stay valid; a model needs genet5 resize_model afterwards."
        ),
    )


def _append_tokens(config: AppendTokensConfig) -> int:
    from genet5.tokens.tokenizer_file import FILE_NAME, load_tokenizer, save_tokenizer

    out = file_to_write(config.out or config.tokenizer)
    old = load_tokenizer(config.tokenizer)
    new, counts = appended(old, config.types)
    num_old = len(old.structure.gene_types)
    write_table(type_table(new, counts, first_new=num_old), {"out": out})
    added = new.structure.gene_types[num_old:]
    if config.dry_run or (not added and config.out is None):
        log.info("nothing written: %d types to append", len(added))
        return 0
    folder = out.parent
    save_tokenizer(new, out)
    if out.name == FILE_NAME and (folder / "model.safetensors").exists():
        next_step = f"genet5 resize_model {folder} OUT"
        log.warning("the model in %s lacks these types; next: %s", folder, next_step)
    return 0
