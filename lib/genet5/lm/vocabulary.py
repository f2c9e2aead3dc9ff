"""k-mer vocabularies: DNA to ids and back, by base-4 arithmetic in NumPy.

One class serves 6-mers and single bases. Projects differ in the order of the four letters (ATCG,
ACGT), in the number of special ids before the first k-mer and in the specials' names; all of that
is data, and lies in the tokenizer's file. A k-mer's id is `first_id` plus its number in base 4, its
first letter the most significant.

Nothing is lost silently: a letter other than A, C, G, T (U counts as T, lower case as upper) and a
remainder shorter than k have no id of their own, and what becomes of them is a named policy of the
caller (`lm.text`).

Example:
    >>> from genet5.genome.sequence import encode_bases
    >>> generator = generator_vocabulary()
    >>> generator.encode(encode_bases("AAAAAATTTTTT")).tolist(), generator.vocab_size
    ([32, 1397], 4128)
    >>> generator.decode([1, 32, 1397])
    '<s>AAAAAATTTTTT'
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genet5.errors import ConfigError
from genet5.genome.sequence import BASE_INDEX, Bases

Ids = NDArray[np.int32]
"""(S,) token ids."""

MAX_K = 8
_AMBIGUOUS = -(1 << 24)  # eight of them fit in int32, and no sum of k-mer digits outweighs one
_BASES = "ACGT"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecialTokens:
    """Ids that stand for no DNA, by name, and the part that some of them play."""

    ids: Mapping[str, int]
    """Name -> id."""
    unk: str
    """For what has no id of its own."""
    pad: str
    """After a sequence's end."""
    bos: str | None = None
    """Before a sequence; None = the model knows none."""
    eos: str | None = None
    """After a sequence; None = the model knows none."""
    mask: str | None = None

    def __post_init__(self) -> None:
        for name in (self.unk, self.pad, self.bos, self.eos, self.mask):
            if name is not None and name not in self.ids:
                raise ConfigError("special token", name, f"must be one of {', '.join(self.ids)}")

    def id_of(self, name: str | None) -> int | None:
        """Return the id of a name; None has none."""
        return None if name is None else self.ids[name]


@dataclass(frozen=True, eq=False)
class KmerVocabulary:
    """Ids of all k-mers and of the special tokens; compare `to_dict`."""

    k: int
    """Bases per token, 1 to 8."""
    letters: str
    """The four letters in the order of their digits, such as ATCG."""
    first_id: int
    """Id of the k-mer that repeats the first letter."""
    specials: SpecialTokens
    stride: int = field(default=0)
    """Bases from one k-mer to the next; 0 = k, so that they do not overlap."""

    kind = "kmer"

    def __post_init__(self) -> None:
        if not 1 <= self.k <= MAX_K:
            raise ConfigError("k", self.k, f"must be a whole number from 1 to {MAX_K}")
        if sorted(self.letters) != list(_BASES):
            raise ConfigError("letters", self.letters, "must be A, C, G and T in some order")
        if self.stride not in (0, 1, self.k):
            raise ConfigError("stride", self.stride, f"must be 1 or k = {self.k}")
        used = set(self.specials.ids.values())
        kmers = range(self.first_id, self.first_id + 4**self.k)
        if len(used) < len(self.specials.ids) or any(number in kmers for number in used):
            raise ConfigError("first_id", self.first_id, "must leave the special ids to themselves")

    @functools.cached_property
    def vocab_size(self) -> int:
        """Number of ids: one more than the largest."""
        return max(self.first_id + int(4**self.k) - 1, *self.specials.ids.values()) + 1

    @property
    def is_overlapping(self) -> bool:
        """Whether neighbouring tokens share bases."""
        return self.stride == 1 and self.k > 1

    @property
    def bp_per_token(self) -> float:
        """Bases that each further token adds."""
        return float(self.stride or self.k)

    @property
    def bos_id(self) -> int | None:
        """Id before a sequence, if there is one."""
        return self.specials.id_of(self.specials.bos)

    @property
    def eos_id(self) -> int | None:
        """Id after a sequence, if there is one."""
        return self.specials.id_of(self.specials.eos)

    @property
    def pad_id(self) -> int:
        """Id after a sequence's end."""
        return self.specials.ids[self.specials.pad]

    @property
    def unk_id(self) -> int:
        """Id of what has none of its own."""
        return self.specials.ids[self.specials.unk]

    @property
    def special_ids(self) -> dict[str, int]:
        """Name -> id of all special tokens."""
        return dict(self.specials.ids)

    @functools.cached_property
    def base_at(self) -> NDArray[np.int8]:
        """(V, k) which base (A, C, G, T = 0..3) a token has at each place; -1 for special ids."""
        table = np.full((self.vocab_size, self.k), -1, dtype=np.int8)
        order = np.array([_BASES.index(letter) for letter in self.letters], dtype=np.int8)
        numbers = np.arange(4**self.k)
        for place in range(self.k):
            digit = numbers // 4 ** (self.k - 1 - place) % 4
            table[self.first_id : self.first_id + 4**self.k, place] = order[digit]
        return table

    @functools.cached_property
    def _digits(self) -> NDArray[np.int32]:
        """(k, 256) what a letter at place j adds to a k-mer's number."""
        order = np.array([self.letters.index(base) for base in _BASES] + [0], dtype=np.int32)
        weights = 4 ** np.arange(self.k - 1, -1, -1, dtype=np.int32)
        digits = order[BASE_INDEX] * weights[:, None]
        return np.where(BASE_INDEX < 4, digits, np.int32(_AMBIGUOUS))

    def encode(self, bases: Bases) -> Ids:
        """Return the ids of the whole k-mers from the first base on, without special tokens.

        A k-mer with an ambiguous letter is `unk_id`; a remainder shorter than k has no id.
        """
        count = max(0, (len(bases) - self.k) // (self.stride or self.k) + 1)
        step = self.stride or self.k
        total = np.full(count, self.first_id, dtype=np.int32)
        for place in range(self.k):
            column = bases[place : place + (count - 1) * step + 1 : step] if count else bases[:0]
            total += self._digits[place][column]
        return np.where(total < self.first_id, np.int32(self.unk_id), total)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the letters of tokens, special ones by name; an unknown one is k times N.

        Raises:
            ConfigError: An id is none of the vocabulary.
        """
        names = {number: name for name, number in self.specials.ids.items()}
        names[self.unk_id] = "N" * self.k
        parts = []
        for number in ids:
            if number in names:
                parts.append(names[number])
            elif self.first_id <= number < self.first_id + 4**self.k:
                parts.append("".join(_BASES[base] for base in self.base_at[number]))
            else:
                raise ConfigError("id", int(number), f"must be below {self.vocab_size} and in use")
        if self.is_overlapping and parts:
            return parts[0] + "".join(part[-1] for part in parts[1:])
        return "".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, from which `vocabulary_from_dict` makes an equal vocabulary."""
        return {"kind": self.kind, **asdict(self)}


def generator_vocabulary() -> KmerVocabulary:
    """Return GENERator's: 6-mers in the order A, T, C, G after 32 special ids."""
    named = {"<oov>": 0, "<s>": 1, "</s>": 2, "<pad>": 3, "<mask>": 4}
    reserved = {f"<sp{number}>": number for number in range(5, 32)}
    return KmerVocabulary(
        k=6,
        letters="ATCG",
        first_id=32,
        specials=SpecialTokens(
            ids={**named, **reserved},
            unk="<oov>",
            pad="<pad>",
            bos="<s>",
            eos="</s>",
            mask="<mask>",
        ),
    )


def nucleotide_gpt_vocabulary() -> KmerVocabulary:
    """Return Nucleotide GPT's single bases: P (padding) 0, A C G T 1 to 4, N 5."""
    specials = SpecialTokens(ids={"P": 0, "N": 5}, unk="N", pad="P")
    return KmerVocabulary(k=1, letters="ACGT", first_id=1, specials=specials)


def nucleotide_gpt_kmers(*, is_overlapping: bool) -> KmerVocabulary:
    """Return Nucleotide GPT's 6-mers, with stride 1 or 6: PADDING 0, UNKNOWN 1, AAAAAA 2."""
    specials = SpecialTokens(ids={"PADDING": 0, "UNKNOWN": 1}, unk="UNKNOWN", pad="PADDING")
    stride = 1 if is_overlapping else 6
    return KmerVocabulary(k=6, letters="ACGT", first_id=2, specials=specials, stride=stride)
