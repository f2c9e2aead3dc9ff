"""`genet5 resize_model`: give a model rows for appended gene types."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from genet5.cli.parse import run
from genet5.config.checks import by_default
from genet5.errors import printable
from genet5.outputs import check_folder


@dataclass(frozen=True, kw_only=True, slots=True)
class ResizeConfig:
    """Which model to resize, and where to."""

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """Model folder; it is not changed."""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """Model folder to write."""
    tokenizer: Annotated[Path | None, by_default("that of MODEL")] = None
    """Tokenizer with appended gene types: a tokenizer.json, or a folder that contains one."""
    overwrite: bool = False
    """Replace a model in OUT."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run(
        _resize,
        ResizeConfig,
        argv,
        name="resize_model",
        description=(
            "Write MODEL to OUT with embedding rows for gene types that were appended to its "
            "tokenizer. Existing rows do not change; a new row is the mean of the rows of the "
            "gene types that the model knows."
        ),
    )


def _resize(config: ResizeConfig) -> int:
    from genet5.model.resize import resize_model
    from genet5.tokens.tokenizer_file import load_tokenizer

    check_folder("OUT", config.out)
    tokenizer = None if config.tokenizer is None else load_tokenizer(config.tokenizer)
    added = resize_model(config.model, config.out, tokenizer, overwrite=config.overwrite)
    types = printable(", ".join(added)) if added else "no type"
    sys.stdout.write(f"{config.out}: {types} added\n")
    return 0
