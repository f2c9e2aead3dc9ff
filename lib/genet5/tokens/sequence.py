"""Sequence tokenizers: DNA of a window -> token ids and the base at which each token starts.

Token i covers the bases from its start to the next token's start, the last one to the window's end,
so that no base is
lost: a run with ambiguous letters (N, IUPAC) or a tail shorter than k becomes `<unk>` and keeps
    its length. Lower case is soft-mask and counts as upper case; U counts as T. No special tokens
    are put round the sequence.

k-mers are read off by base-4 arithmetic over whole columns in NumPy (A, C, G, T = 0..3, first base
most significant); their ids follow four special ones: `<pad>` 0, `<unk>` 1, two reserved. BPE runs
in the `tokenizers` library.

Example:
    >>> from genet5.genome.sequence import encode_bases
    >>> ids, starts = KmerTokenizer(2).encode(encode_bases("ACgtNNT"))
    >>> ids.tolist(), starts.tolist()
    ([5, 15, 1, 1], [0, 2, 4, 6])
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from genet5.errors import ConfigError, DataError
from genet5.genome.sequence import BASE_INDEX, Bases, decode_bases

if TYPE_CHECKING:
    import tokenizers

Encoded: TypeAlias = tuple[NDArray[np.int32], NDArray[np.int32]]
"""(S,) ids and (S,) first base of each token in the window; starts ascend strictly from 0."""

NUM_SPECIAL = 4
"""Special ids before the first k-mer: <pad>, <unk> and two reserved."""
PAD_ID, UNK_ID = 0, 1
MAX_K = 8

_AMBIGUOUS = -(1 << 24)  # eight of them fit in int32, and no sum of k-mer digits outweighs one
_PAD_NAMES = ("<pad>", "[PAD]", "<|pad|>")
_UNK_NAMES = ("<unk>", "[UNK]", "<|unk|>")


class SequenceTokenizer(Protocol):
    """What every sequence tokenizer offers."""

    @property
    def vocab_size(self) -> int:
        """Number of ids."""
        ...

    @property
    def pad_id(self) -> int:
        """Id after a window's last token."""
        ...

    @property
    def unk_id(self) -> int:
        """Id of whatever has none of its own."""
        ...

    @property
    def bp_per_token(self) -> float:
        """Mean number of bases that a token adds."""
        ...

    def encode(self, bases: Bases) -> Encoded:
        """Tokenize one window."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, from which `sequence_tokenizer` makes an equal tokenizer."""
        ...


class KmerTokenizer:
    """Non-overlapping k-mers from the window's first base on.

    Args:
        k: Bases per token, 1 to 8; the vocabulary has 4 ** k + 4 ids.
    """

    pad_id = PAD_ID
    unk_id = UNK_ID

    def __init__(self, k: int) -> None:
        self.k = _checked_k(k)
        self._digits = _digit_tables(k)

    @property
    def vocab_size(self) -> int:
        """Number of ids."""
        return NUM_SPECIAL + int(4**self.k)

    @property
    def bp_per_token(self) -> float:
        """Bases per token."""
        return float(self.k)

    def encode(self, bases: Bases) -> Encoded:
        """Tokenize one window; ambiguous k-mers and a tail shorter than k are <unk>."""
        k, whole = self.k, len(bases) // self.k * self.k
        codes = np.full(-(-len(bases) // k), _AMBIGUOUS, dtype=np.int32)
        columns = bases[:whole].reshape(-1, k)
        codes[: whole // k] = _sum_of_digits([columns[:, j] for j in range(k)], self._digits)
        return _ids(codes), np.arange(len(codes), dtype=np.int32) * np.int32(k)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"kind": "kmer", "k": self.k}


class OverlappingKmerTokenizer:
    """The k-mer at every base (stride 1): L - k + 1 tokens, the last one to the window's end.

    Args:
        k: Bases per token, 1 to 8; the vocabulary has 4 ** k + 4 ids.
    """

    pad_id = PAD_ID
    unk_id = UNK_ID
    bp_per_token = 1.0

    def __init__(self, k: int) -> None:
        self.k = _checked_k(k)
        self._digits = _digit_tables(k)

    @property
    def vocab_size(self) -> int:
        """Number of ids."""
        return NUM_SPECIAL + int(4**self.k)

    def encode(self, bases: Bases) -> Encoded:
        """Tokenize one window; ambiguous k-mers and a window shorter than k are <unk>."""
        if 0 < len(bases) < self.k:
            return np.array([UNK_ID], dtype=np.int32), np.zeros(1, dtype=np.int32)
        length = max(0, len(bases) - self.k + 1)
        shifted = [bases[j : j + length] for j in range(self.k)]
        return _ids(_sum_of_digits(shifted, self._digits)), np.arange(length, dtype=np.int32)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"kind": "overlapping_kmer", "k": self.k}


class NucleotideTokenizer(KmerTokenizer):
    """One token per base: A, C, G, T are 4 to 7."""

    def __init__(self) -> None:
        super().__init__(1)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"kind": "nucleotide"}


class BpeTokenizer:
    """Byte-pair encoding by a `tokenizer.json` of the `tokenizers` library, such as DNABERT-2's.

    Letters that its vocabulary lacks become its unknown token: one each, or one per run where the
    file says so (`fuse_unk`). The ids are the library's own, without the special tokens of its
    post-processor.

    Args:
        json_text: Content of the file.

    Raises:
        ConfigError: The text is no tokenizer, or it has no padding or unknown token.
    """

    def __init__(self, json_text: str) -> None:
        from tokenizers import Tokenizer

        try:
            self._json: dict[str, Any] = json.loads(json_text)
            self._tokenizer: tokenizers.Tokenizer = Tokenizer.from_str(json_text)
        except Exception as error:  # from_str raises no class of its own, but Exception itself
            raise ConfigError(
                "tokenizer", json_text[:40], f"must be a tokenizer.json: {error}"
            ) from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.pad_id = self._special("padding", _PAD_NAMES)
        self.unk_id = self._special("unknown", _UNK_NAMES)

    def _special(self, what: str, names: tuple[str, ...]) -> int:
        for name in names:
            token = self._tokenizer.token_to_id(name)
            if token is not None:
                return token
        raise ConfigError("tokenizer", what, f"must have a token {' or '.join(names)}")

    @property
    def vocab_size(self) -> int:
        """Number of ids, special ones included."""
        return self._tokenizer.get_vocab_size()

    @functools.cached_property
    def bp_per_token(self) -> float:
        """Mean length of a token on 20,000 random bases; real genomes give slightly longer ones."""
        letters = np.frombuffer(b"ACGT", dtype=np.uint8)
        bases = letters[np.random.default_rng(0).integers(0, 4, 20_000)]
        return len(bases) / len(self.encode(bases)[0])

    def encode(self, bases: Bases) -> Encoded:
        """Tokenize one window.

        Raises:
            DataError: The tokenizer drops or moves bases.
        """
        text = decode_bases(bases).upper().replace("U", "T")
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        ids = np.array(encoding.ids, dtype=np.int32)
        borders = np.array(encoding.offsets, dtype=np.int32).reshape(-1, 2)
        starts = borders[:, 0].copy()
        if not np.array_equal(np.append(starts, len(text)), np.append(0, borders[:, 1])):
            raise DataError(
                "the BPE tokenizer drops or moves bases",
                expected="tokens that cover the sequence from its first base on",
                remedy="Use a tokenizer.json with an unknown token and without normalizer",
            )
        return ids, starts

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"kind": "bpe", "tokenizer": self._json}


def sequence_tokenizer(values: Mapping[str, Any]) -> SequenceTokenizer:
    """Make the tokenizer that `to_dict` described.

    Raises:
        ConfigError: A kind, key or value is not one of those.
    """
    settings = dict(values)
    kind = settings.pop("kind", None)
    if kind not in _MAKERS:
        raise ConfigError("kind", kind, f"must be one of {', '.join(_MAKERS)}")
    key, make = _MAKERS[kind]
    if set(settings) != ({key} if key else set()):
        rule = f"must have the key {key} alone" if key else "must have no keys"
        raise ConfigError(kind, sorted(settings), rule)
    return make(*settings.values())


def _bpe_from_dict(values: Mapping[str, Any]) -> BpeTokenizer:
    return BpeTokenizer(json.dumps(values))


_MAKERS: dict[str, tuple[str, Callable[..., SequenceTokenizer]]] = {
    "kmer": ("k", KmerTokenizer),
    "overlapping_kmer": ("k", OverlappingKmerTokenizer),
    "nucleotide": ("", NucleotideTokenizer),
    "bpe": ("tokenizer", _bpe_from_dict),
}


def _checked_k(k: int) -> int:
    if not isinstance(k, int) or not 1 <= k <= MAX_K:
        raise ConfigError("k", k, f"must be a whole number from 1 to {MAX_K}")
    return k


@functools.cache
def _digit_tables(k: int) -> NDArray[np.int32]:
    """(k, 256) int32: what letter b at place j adds to the k-mer's number."""
    digits = BASE_INDEX.astype(np.int32)
    weights = 4 ** np.arange(k - 1, -1, -1, dtype=np.int32)
    return np.where(digits < 4, digits * weights[:, None], np.int32(_AMBIGUOUS))


def _sum_of_digits(
    columns: list[NDArray[np.uint8]], digits: NDArray[np.int32]
) -> NDArray[np.int32]:
    """Numbers of the k-mers with the j-th bases `columns[j]`; below 0 where one is ambiguous."""
    total: NDArray[np.int32] = digits[0][columns[0]]
    for table, column in zip(digits[1:], columns[1:], strict=True):
        total += table[column]
    return total


def _ids(codes: NDArray[np.int32]) -> NDArray[np.int32]:
    codes += NUM_SPECIAL
    codes[codes < 0] = UNK_ID
    return codes
