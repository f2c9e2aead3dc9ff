"""`genet5 resize_model`: give a model rows for appended gene types."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from genet5.cli.parse import run
from genet5.config.resize_model import ResizeSettings


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run(
        _resize,
        ResizeSettings,
        argv,
        name="resize_model",
        description=(
            "Write MODEL to OUT with rows for gene types that were appended to its tokenizer. Old rows stay bit for bit; "
            "a new row is the mean of the rows of the gene types that the model knows."
        ),
    )


def _resize(settings: ResizeSettings) -> int:
    from genet5.model.resize import resize_model
    from genet5.tokens.tokenizer_file import load_tokenizer

    tokenizer = None if settings.tokenizer is None else load_tokenizer(settings.tokenizer)
    added = resize_model(settings.model, settings.out, tokenizer, overwrite=settings.overwrite)
    sys.stdout.write(f"{settings.out}: {', '.join(added) if added else 'no type'} added\n")
    return 0
