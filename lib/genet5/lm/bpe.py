"""Byte-pair encoding from a `tokenizer.json`, such as DNABERT-2's, for a causal model.

The ids are the file's own. Beginning and end of a sequence are the file's tokens of that name
(`[CLS]`, `[SEP]` in DNABERT-2's), put there by us alone: its post-processor never runs.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from genet5.errors import ConfigError
from genet5.genome.sequence import Bases
from genet5.lm.vocabulary import Ids
from genet5.tokens.sequence import BpeTokenizer

if TYPE_CHECKING:
    import tokenizers

_BOS_NAMES = ("<s>", "[BOS]", "[CLS]", "<|begin|>")
_EOS_NAMES = ("</s>", "[EOS]", "[SEP]", "<|end|>")


class BpeVocabulary:
    """Tokens of several bases, as many as the file has learned.

    Args:
        json_text: Content of the file.

    Raises:
        ConfigError: The text is no tokenizer, or it has no padding or unknown token.
    """

    kind = "bpe"

    def __init__(self, json_text: str) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = BpeTokenizer(json_text)
        self._json: dict[str, Any] = json.loads(json_text)
        names: tokenizers.Tokenizer = Tokenizer.from_str(json_text)
        self._names = names
        self.vocab_size = self._tokenizer.vocab_size
        self.pad_id, self.unk_id = self._tokenizer.pad_id, self._tokenizer.unk_id
        self.bos_id = _first_id(names, _BOS_NAMES)
        self.eos_id = _first_id(names, _EOS_NAMES)

    @property
    def special_ids(self) -> dict[str, int]:
        """Name -> id of all special tokens."""
        added = self._names.get_added_tokens_decoder()
        return {token.content: number for number, token in added.items() if token.special}

    @property
    def bp_per_token(self) -> float:
        """Mean length of a token on random bases."""
        return self._tokenizer.bp_per_token

    def encode(self, bases: Bases) -> Ids:
        """Return the ids of a sequence, without special tokens; unknown letters are `unk_id`.

        Raises:
            DataError: The tokenizer drops or moves bases.
        """
        return self._tokenizer.encode(bases)[0]

    def token_lengths(self, bases: Bases) -> Ids:
        """Return the number of bases of each token of a sequence."""
        starts = self._tokenizer.encode(bases)[1]
        return np.diff(starts, append=np.int32(len(bases)))

    @functools.cached_property
    def base_at(self) -> NDArray[np.int8]:
        """(V, 1) first base (A, C, G, T = 0..3) of each token; -1 for special ones."""
        table = np.full((self.vocab_size, 1), -1, dtype=np.int8)
        for name, number in self._names.get_vocab().items():
            if set(name) <= set("ACGT"):
                table[number, 0] = "ACGT".index(name[0])
        return table

    def decode(self, ids: Iterable[int]) -> str:
        """Return the letters of tokens, special ones by name; an unknown one is N.

        Raises:
            ConfigError: An id is none of the vocabulary.
        """
        parts = []
        for number in ids:
            name = self._names.id_to_token(int(number))
            if name is None:
                raise ConfigError("id", int(number), f"must be below {self.vocab_size}")
            parts.append("N" if number == self.unk_id else name)
        return "".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, from which `vocabulary_from_dict` makes an equal vocabulary."""
        return {"kind": self.kind, "tokenizer": self._json}


def _first_id(tokenizer: tokenizers.Tokenizer, names: tuple[str, ...]) -> int | None:
    found = (tokenizer.token_to_id(name) for name in names)
    return next((number for number in found if number is not None), None)
