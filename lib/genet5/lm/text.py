"""DNA to the ids that a model reads: length, letters and special tokens by named policies.

A sequence whose length is no multiple of k, and one with letters that have no id, are refused
unless a policy says what to do: an unknown token, or a padded base, changes every probability after
it. Lower case counts as upper case (it is the soft mask), U as T.

Tags such as `<s>` within a text are recognised. There is never a second token for the beginning:
one is put in front only where the text does not begin with it.

Example:
    >>> from genet5.lm.vocabulary import generator_vocabulary
    >>> generator = generator_vocabulary()
    >>> encode_text(generator, "AAAAAATTTTTT", bos=True).tolist()
    [1, 32, 1397]
    >>> encode_text(generator, "<s>AAAAAATTTTTTA", bos=True, length="trim_left").tolist()
    [1, 33, 1396]
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, TypeAlias

import numpy as np

from genet5.errors import ConfigError, DataError
from genet5.genome.sequence import BASE_INDEX, Bases, checked_bases
from genet5.lm.bpe import BpeVocabulary
from genet5.lm.vocabulary import Ids, KmerVocabulary

Vocabulary: TypeAlias = KmerVocabulary | BpeVocabulary

LengthPolicy = Literal["error", "pad_left", "pad_right", "trim_left", "trim_right"]
"""What becomes of a length that is no multiple of k: refused, filled up with A, or cut."""
AmbiguousPolicy = Literal["error", "unknown"]
"""What becomes of letters other than A, C, G, T: refused, or their token is the unknown one."""


def count_ambiguous(bases: Bases) -> int:
    """Return how many letters are neither A, C, G, T nor U."""
    return int(np.count_nonzero(BASE_INDEX[bases] > 3))


def fit_length(bases: Bases, k: int, policy: LengthPolicy) -> Bases:
    """Bring a sequence to a multiple of k bases.

    Raises:
        DataError: Its length is none, and the policy is "error".

    Example:
        >>> fit_length(checked_bases("CGT"), 2, "pad_left").tobytes()
        b'ACGT'
    """
    rest = len(bases) % k
    if not rest:
        return bases
    fill = np.full(k - rest, ord("A"), dtype=np.uint8)
    if policy == "pad_left":
        return np.concatenate([fill, bases])
    if policy == "pad_right":
        return np.concatenate([bases, fill])
    if policy == "trim_left":
        return bases[rest:]
    if policy == "trim_right":
        return bases[: len(bases) - rest]
    raise DataError(
        f"{len(bases)} bases", expected=f"a multiple of {k}, the bases of a token",
        remedy="Choose a length policy: pad_left, pad_right, trim_left or trim_right",
    )  # fmt: skip


def encode_bases(
    vocabulary: Vocabulary,
    bases: Bases,
    *,
    length: LengthPolicy = "error",
    ambiguous: AmbiguousPolicy = "error",
) -> Ids:
    """Return the ids of a sequence, without special tokens.

    Raises:
        DataError: Length or letters, and the policy is "error".
    """
    if ambiguous == "error" and (count := count_ambiguous(bases)):
        first = int(np.argmax(BASE_INDEX[bases] > 3))
        raise DataError(
            f"{count} ambiguous letters, the first {chr(bases[first])!r} at position {first + 1}",
            expected="A, C, G, T",
            remedy='Choose the policy "unknown", which reads their tokens as unknown ones',
        )
    if isinstance(vocabulary, BpeVocabulary):
        return vocabulary.encode(bases)
    if vocabulary.is_overlapping:
        if len(bases) < vocabulary.k:
            raise DataError(f"{len(bases)} bases", expected=f"at least {vocabulary.k}")
        return vocabulary.encode(bases)
    return vocabulary.encode(fit_length(bases, vocabulary.k, length))


def encode_text(
    vocabulary: Vocabulary,
    text: str,
    *,
    bos: bool = False,
    eos: bool = False,
    length: LengthPolicy = "error",
    ambiguous: AmbiguousPolicy = "error",
) -> Ids:
    """Return the ids of DNA letters with tags such as `<s>` between them.

    Args:
        vocabulary: The model's.
        text: Letters and the names of special tokens.
        bos: Begin with the token of the beginning, if the text does not.
        eos: End with the token of the end, if the text does not.
        length: For each run of letters.
        ambiguous: For letters other than A, C, G, T.

    Raises:
        ConfigError: The model has no such token.
        DataError: A letter is no DNA, or a policy refuses a run of letters.
    """
    parts: list[Ids] = []
    for part in _split(vocabulary, text):
        if isinstance(part, int):
            parts.append(np.array([part], dtype=np.int32))
        else:
            found = checked_bases(part)
            parts.append(encode_bases(vocabulary, found, length=length, ambiguous=ambiguous))
    ids = np.concatenate([*parts, np.zeros(0, dtype=np.int32)])
    return with_ends(vocabulary, ids, bos=bos, eos=eos)


def with_ends(vocabulary: Vocabulary, ids: Ids, *, bos: bool = False, eos: bool = False) -> Ids:
    """Put the tokens of beginning and end round ids that do not have them yet.

    Raises:
        ConfigError: The model has no such token.
    """
    for name, wanted, number in (("bos", bos, vocabulary.bos_id), ("eos", eos, vocabulary.eos_id)):
        if wanted and number is None:
            raise ConfigError(name, True, "needs a model that has such a token")
    if bos and (not len(ids) or ids[0] != vocabulary.bos_id):
        ids = np.concatenate([np.array([vocabulary.bos_id], dtype=np.int32), ids])
    if eos and (not len(ids) or ids[-1] != vocabulary.eos_id):
        ids = np.concatenate([ids, np.array([vocabulary.eos_id], dtype=np.int32)])
    return ids


def _split(vocabulary: Vocabulary, text: str) -> Iterator[int | str]:
    """Yield the ids of tags and the letters between them."""
    tags = {name: number for name, number in vocabulary.special_ids.items() if len(name) > 1}
    pattern = "|".join(re.escape(name) for name in sorted(tags, key=len, reverse=True))
    position = 0
    for match in re.finditer(pattern, text) if pattern else ():
        if match.start() > position:
            yield text[position : match.start()]
        yield tags[match[0]]
        position = match.end()
    if position < len(text):
        yield text[position:]
