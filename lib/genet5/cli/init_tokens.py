"""`genet5 init_tokens`: write a tokenizer.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from genet5.cli.gene_types import GeneTypeConfig, appended, file_to_write, type_table
from genet5.cli.parse import run, write_table
from genet5.errors import ConfigError
from genet5.outputs import is_stream


@dataclass(frozen=True, kw_only=True, slots=True)
class InitTokensConfig:
    """Which tokenizer to write."""

    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """File to write (a name in .json), or a folder for tokenizer.json."""
    tokenizer: str = "kmer:6"
    """Sequence tokenizer: kmer:K (K = 1 to 8, non-overlapping), nucleotide, or the path of a BPE
    tokenizer.json."""
    types: GeneTypeConfig = field(default_factory=GeneTypeConfig)
    overwrite: bool = False
    """Replace OUT if it exists."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run(
        _init_tokens,
        InitTokensConfig,
        argv,
        name="init_tokens",
        description=(
            "Write a tokenizer.json: a sequence tokenizer and the gene types that a decoder can "
            "predict, which are protein_coding, tRNA, rRNA, ncRNA, pseudogene, and those given or "
            "found in annotations."
        ),
    )


def _init_tokens(config: InitTokensConfig) -> int:
    from genet5.tokens.tokenizer_file import make_tokenizer, save_tokenizer

    out = file_to_write(config.out)
    _refuse_to_overwrite(out, overwrite=config.overwrite)
    old = make_tokenizer(config.tokenizer)
    new, counts = appended(old, config.types)
    save_tokenizer(new, out)
    table = type_table(new, counts, first_new=len(old.structure.gene_types))
    write_table(table, {"OUT": out})
    return 0


def _refuse_to_overwrite(out: Path, *, overwrite: bool) -> None:
    if (out.parent / "model.safetensors").exists() and out.name == "tokenizer.json":
        rule = "belongs to a model; genet5 append_tokens extends its tokenizer"
        raise ConfigError("OUT", str(out), rule)
    if out.exists() and not is_stream(out) and not overwrite:
        raise ConfigError("OUT", str(out), "exists; --overwrite replaces it")
