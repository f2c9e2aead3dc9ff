"""`genet5 lm init`: make a language model with random weights."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from genet5.cli.parse import run
from genet5.config.lm.init import LmInitConfig
from genet5.errors import ConfigError
from genet5.outputs import check_folder

if TYPE_CHECKING:
    from genet5.lm.text import Vocabulary


def main(argv: Sequence[str] | None = None) -> int:
    """Write OUT/config.json, OUT/model.safetensors and the tokenizer's files."""
    return run(
        _init,
        LmInitConfig,
        argv,
        name="lm init",
        description="Make a causal DNA language model with random weights. Flags override the "
        "preset. The folder loads in transformers' AutoModelForCausalLM.",
    )


def _init(config: LmInitConfig) -> int:
    check_folder("OUT", config.folder)
    if (config.folder / "model.safetensors").exists() and not config.overwrite:
        raise ConfigError("OUT", str(config.folder), "contains a model; --overwrite replaces it")
    vocabulary = _vocabulary(config)
    import torch

    from genet5.lm.extra import require_extra

    require_extra()
    from genet5.lm.folders import LanguageModel
    from genet5.lm.networks import build_network, count_parts

    with torch.device("meta" if config.dry_run else "cpu"):
        network = build_network(config.final_shape(), vocabulary, seed=config.seed)
    for part, count in count_parts(network).items():
        sys.stdout.write(f"{part:<10} {count:>15,}\n")
    if not config.dry_run:
        LanguageModel(network, vocabulary, str(config.folder)).save(config.folder)
    return 0


def _vocabulary(config: LmInitConfig) -> Vocabulary:
    from pathlib import Path

    from genet5.lm.bpe import BpeVocabulary
    from genet5.lm.vocabulary import (
        generator_vocabulary,
        nucleotide_gpt_kmers,
        nucleotide_gpt_vocabulary,
    )

    is_nucleotide = config.final_shape().family == "nucleotide_gpt"
    name = config.tokenizer or ("nucleotide" if is_nucleotide else "generator")
    if name == "generator":
        return generator_vocabulary()
    if name == "nucleotide":
        return nucleotide_gpt_vocabulary()
    if name == "kmer6":
        return nucleotide_gpt_kmers(is_overlapping=False)
    path = Path(name)
    if not path.is_file():
        rule = "must be generator, nucleotide, kmer6 or a tokenizer.json file"
        raise ConfigError("tokenizer", name, rule)
    return BpeVocabulary(path.read_text(encoding="utf-8"))
