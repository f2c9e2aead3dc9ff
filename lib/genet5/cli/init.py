"""`genet5 init`: make a model with random weights."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from genet5.cli.parse import run
from genet5.config.init import InitSettings
from genet5.errors import ConfigError

if TYPE_CHECKING:
    from genet5.tokens.sequence import SequenceTokenizer


def main(argv: Sequence[str] | None = None) -> int:
    """Write OUT/config.json, OUT/model.safetensors and OUT/tokenizer.json."""
    return run(
        _init,
        InitSettings,
        argv,
        name="init",
        description="Make a new model with seeded random weights: OUT/config.json, OUT/model.safetensors, OUT/tokenizer.json.",
    )


def _init(settings: InitSettings) -> int:
    from genet5.config.model import preset
    from genet5.tokens.files import Tokenizer, save_tokenizer
    from genet5.tokens.vocabulary import StructureVocabulary

    _refuse_to_overwrite(settings)
    sequence = _sequence_tokenizer(settings.tokenizer)
    structure = StructureVocabulary().appended(settings.gene_types)
    config = replace(
        preset(settings.preset),
        sequence_vocab=sequence.vocab_size,
        structure_vocab=len(structure),
        bp_per_token=sequence.bp_per_token,
    )

    import torch

    from genet5.model import GeneT5, count_parameters

    with torch.device("meta" if settings.dry_run else "cpu"):
        model = GeneT5(config)
    for part, count in count_parameters(model).items():
        sys.stdout.write(f"{part:<16} {count:>13,}\n")
    if settings.dry_run:
        return 0
    model.init_weights(settings.seed)
    model.save_pretrained(settings.out)
    save_tokenizer(Tokenizer(sequence, structure), settings.out)
    return 0


def _refuse_to_overwrite(settings: InitSettings) -> None:
    if (settings.out / "model.safetensors").exists() and not settings.overwrite:
        raise ConfigError(
            "OUT", str(settings.out), "holds a model already; --overwrite replaces it"
        )


def _sequence_tokenizer(name: str) -> SequenceTokenizer:
    from genet5.tokens.sequence import BpeTokenizer, KmerTokenizer, NucleotideTokenizer

    if name == "nucleotide":
        return NucleotideTokenizer()
    kind, _, k = name.partition(":")
    if kind == "kmer" and k.isdigit():
        return KmerTokenizer(int(k))
    if Path(name).is_file():
        return BpeTokenizer(Path(name).read_text(encoding="utf-8"))
    raise ConfigError(
        "tokenizer", name, "must be kmer:1 to kmer:8, nucleotide, or a BPE tokenizer.json file"
    )
