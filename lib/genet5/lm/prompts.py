"""Prompt tokens: new words of a model that say what a sequence is, such as `<high>`.

They are added after all ids that the model has; their rows of the embedding and of the output
matrix begin as random steps from the mean of the rows that were there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch

from genet5.errors import ConfigError, DataError
from genet5.lm.bpe import BpeVocabulary
from genet5.lm.folders import LanguageModel
from genet5.lm.text import Vocabulary

_NAME = re.compile(r"<[A-Za-z0-9_.+-]+>")


def prompt_name(label: str) -> str:
    """Return the token of a label.

    Raises:
        DataError: The label has other characters than letters, digits, `_`, `.`, `+` and `-`.

    Example:
        >>> prompt_name("high"), prompt_name("<high>")
        ('<high>', '<high>')
    """
    name = label if label.startswith("<") else f"<{label}>"
    if not _NAME.fullmatch(name):
        raise DataError(
            f"label {label!r}", expected="letters, digits, _, ., + and -, to be a prompt token"
        )
    return name


def with_prompt_tokens(lm: LanguageModel, names: Iterable[str]) -> LanguageModel:
    """Return the model with tokens of these names; those that it has stay as they are.

    Args:
        lm: The model; its network gets rows.
        names: Such as `<high>`.

    Raises:
        ConfigError: A name is no prompt token's.
    """
    new = [name for name in dict.fromkeys(names) if name not in lm.vocabulary.special_ids]
    for name in new:
        if not _NAME.fullmatch(name):
            raise ConfigError("prompt token", name, "must be a word between < and >")
    if not new:
        return lm
    vocabulary = _extended(lm.vocabulary, new)
    _grow(lm.network, vocabulary.vocab_size)
    return LanguageModel(lm.network, vocabulary, lm.name)


def _extended(vocabulary: Vocabulary, names: list[str]) -> Vocabulary:
    if isinstance(vocabulary, BpeVocabulary):
        from tokenizers import AddedToken, Tokenizer

        tokenizer = Tokenizer.from_str(json.dumps(vocabulary.to_dict()["tokenizer"]))
        added = [AddedToken(name, normalized=False, special=True) for name in names]
        tokenizer.add_special_tokens(added)
        return BpeVocabulary(tokenizer.to_str())
    first = vocabulary.vocab_size
    ids = {**vocabulary.specials.ids, **{name: first + n for n, name in enumerate(names)}}
    return replace(vocabulary, specials=replace(vocabulary.specials, ids=ids))


@torch.no_grad()
def _grow(network: Any, size: int) -> None:
    """Give embedding and output matrix rows up to `size`."""
    before = network.get_input_embeddings().weight.shape[0]
    if size <= before:
        return
    is_tied = network.get_output_embeddings().weight is network.get_input_embeddings().weight
    network.resize_token_embeddings(size, mean_resizing=False)
    matrices = [network.get_input_embeddings().weight]
    matrices += [] if is_tied else [network.get_output_embeddings().weight]
    for weight in matrices:
        old, new = weight[:before], weight[before:]
        new.copy_(old.mean(0) + 0.1 * old.std(0) * torch.randn_like(new))
