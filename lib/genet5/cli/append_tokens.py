"""`genet5 append_tokens`: append gene types to a tokenizer."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from genet5.cli.gene_types import appended, file_to_write, write_table
from genet5.cli.parse import run
from genet5.config.append_tokens import AppendTokensSettings

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run(
        _append_tokens,
        AppendTokensSettings,
        argv,
        name="append_tokens",
        description=(
            "Append gene types to a tokenizer. Types that it has keep their ids, so that files baked before stay valid; "
            "a model needs genet5 resize_model afterwards."
        ),
    )


def _append_tokens(settings: AppendTokensSettings) -> int:
    from genet5.tokens.tokenizer_file import FILE_NAME, load_tokenizer, save_tokenizer

    old = load_tokenizer(settings.tokenizer)
    new, counts = appended(old, settings.types)
    num_old = len(old.structure.gene_types)
    write_table(new, counts, first_new=num_old)
    added = new.structure.gene_types[num_old:]
    if settings.dry_run or (not added and settings.out is None):
        log.info("nothing written: %d types to append", len(added))
        return 0
    out = file_to_write(settings.out or settings.tokenizer)
    folder = out.parent
    folder.mkdir(parents=True, exist_ok=True)
    save_tokenizer(new, out)
    if out.name == FILE_NAME and (folder / "model.safetensors").exists():
        log.warning("the model in %s lacks these types; next: genet5 resize_model %s OUT", folder, folder)  # fmt: skip
    return 0
