"""`genet5 init`: make a model with random weights, or with DNABERT-2's encoder."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from genet5.cli.parse import run
from genet5.config.init import InitConfig
from genet5.errors import CheckpointError, ConfigError
from genet5.outputs import check_folder

if TYPE_CHECKING:
    from genet5.model.dnabert2 import Dnabert2
    from genet5.model.network import GeneT5
    from genet5.tokens.sequence import SequenceTokenizer
    from genet5.tokens.tokenizer_file import Tokenizer

_ORIGINS = ("imported", "copied", "initialised")


def main(argv: Sequence[str] | None = None) -> int:
    """Write OUT/config.json, OUT/model.safetensors and OUT/tokenizer.json."""
    return run(
        _init,
        InitConfig,
        argv,
        name="init",
        description="Make a new model, with random weights or with the encoder of DNABERT-2: "
        "OUT/config.json, OUT/model.safetensors and OUT/tokenizer.json. Flags override the preset.",
    )


def _init(config: InitConfig) -> int:
    from genet5.tokens.tokenizer_file import make_tokenizer, save_tokenizer

    check_folder("OUT", config.folder)
    _refuse_to_overwrite(config)
    shape = config.model_config()
    tokenizer = make_tokenizer(config.tokenizer) if config.tokenizer else None

    import torch

    from genet5.model.dnabert2 import import_dnabert2, read_dnabert2
    from genet5.model.network import GeneT5

    checkpoint = None
    if config.dnabert_path is not None:
        checkpoint = read_dnabert2(config.dnabert_path)
        shape = checkpoint.shape_into(shape)
        tokenizer = tokenizer or _tokenizer_of(checkpoint)
        _refuse_other_vocabulary(tokenizer.sequence, checkpoint)
    tokenizer = tokenizer or make_tokenizer("kmer:6")
    tokenizer = replace(tokenizer, structure=tokenizer.structure.appended(config.gene_types))
    shape = replace(
        shape,
        sequence_vocab=tokenizer.sequence.vocab_size,
        structure_vocab=len(tokenizer.structure),
        bp_per_token=float(shape.patch_bp or tokenizer.sequence.bp_per_token),
    )
    with torch.device("meta" if config.dry_run else "cpu"):
        model = GeneT5(shape)
    if not config.dry_run:
        model.init_weights(config.seed)
    origins = {} if checkpoint is None else import_dnabert2(model, checkpoint)
    _print_table(model, origins)
    if checkpoint is not None:
        _print_source(checkpoint)
    if config.dry_run:
        return 0
    model.save_pretrained(config.folder)
    save_tokenizer(tokenizer, config.folder)
    return 0


def _print_table(model: GeneT5, origins: Mapping[str, str]) -> None:
    """Print the parameters of each part, and their origin if not all are random."""
    from genet5.model.network import count_parameters

    shown = _ORIGINS if origins else ()
    header = "".join(f"{origin:>15}" for origin in shown)
    sys.stdout.write(f"{'part':<16} {'parameters':>13}{header}\n")
    counts: dict[tuple[str, str], int] = {}
    for name, weight in model.named_parameters():
        for part in (name.split(".")[0], "total"):
            key = part, origins.get(name, "initialised")
            counts[key] = counts.get(key, 0) + weight.numel()
    for part, count in count_parameters(model).items():
        columns = "".join(f"{counts.get((part, origin), 0):>15,}" for origin in shown)
        sys.stdout.write(f"{part:<16} {count:>13,}{columns}\n")


def _print_source(checkpoint: Dnabert2) -> None:
    left_aside = ", ".join(checkpoint.left_aside) or "nothing"
    sys.stdout.write(
        f"encoder and tokenizer: {checkpoint.weights_file.parent} ({checkpoint.weights_file.name};"
        f" not used: {left_aside})\n"
    )


def _refuse_to_overwrite(config: InitConfig) -> None:
    if (config.folder / "model.safetensors").exists() and not config.overwrite:
        raise ConfigError("OUT", str(config.folder), "contains a model; --overwrite replaces it")


def _tokenizer_of(checkpoint: Dnabert2) -> Tokenizer:
    from genet5.tokens.tokenizer_file import make_tokenizer

    if checkpoint.tokenizer_file is None:
        raise CheckpointError(
            f"{checkpoint.weights_file.parent}: no tokenizer.json beside the weights. "
            "Put it there, or pass --tokenizer"
        )
    return make_tokenizer(str(checkpoint.tokenizer_file))


def _refuse_other_vocabulary(sequence: SequenceTokenizer, checkpoint: Dnabert2) -> None:
    if sequence.vocab_size != checkpoint.vocab_size:
        raise CheckpointError(
            f"{checkpoint.weights_file}: embeds {checkpoint.vocab_size} tokens; the tokenizer has "
            f"{sequence.vocab_size}. Use the tokenizer.json that belongs to these weights"
        )
