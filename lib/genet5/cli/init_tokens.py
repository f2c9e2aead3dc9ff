"""`genet5 init_tokens`: write a tokenizer.json."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from genet5.cli.gene_types import appended, file_to_write, write_table
from genet5.cli.parse import run
from genet5.config.init_tokens import InitTokensSettings
from genet5.errors import ConfigError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run(
        _init_tokens,
        InitTokensSettings,
        argv,
        name="init_tokens",
        description=(
            "Write a tokenizer.json: a sequence tokenizer, and the gene types that a decoder can name: "
            "protein_coding, tRNA, rRNA, ncRNA, pseudogene, then those given or met in annotations."
        ),
    )


def _init_tokens(settings: InitTokensSettings) -> int:
    from genet5.tokens.tokenizer_file import make_tokenizer, save_tokenizer

    out = file_to_write(settings.out)
    _refuse_to_overwrite(out, overwrite=settings.overwrite)
    old = make_tokenizer(settings.tokenizer)
    new, counts = appended(old, settings.types)
    out.parent.mkdir(parents=True, exist_ok=True)
    save_tokenizer(new, out)
    write_table(new, counts, first_new=len(old.structure.gene_types))
    return 0


def _refuse_to_overwrite(out: Path, *, overwrite: bool) -> None:
    if (out.parent / "model.safetensors").exists() and out.name == "tokenizer.json":
        rule = "belongs to a model; genet5 append_tokens extends its tokenizer"
        raise ConfigError("OUT", str(out), rule)
    if out.exists() and not overwrite:
        raise ConfigError("OUT", str(out), "is there already; --overwrite replaces it")
