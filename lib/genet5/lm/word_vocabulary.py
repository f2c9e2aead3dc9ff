"""The Nucleotide Transformer's tokens: 6-mers that do not overlap, and single letters.

From the first base on, six letters are one token where they are a word of the file; where they are
not (an N among them, or fewer left), the next letter is a token of its own. A sequence begins with
`<cls>` and has no end.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from genet5.config.json_files import read_utf8
from genet5.errors import FormatError
from genet5.genome.sequence import Bases, decode_bases
from genet5.lm.vocabulary import Ids

VOCAB = "vocab.txt"
_PAD, _UNK, _BOS = "<pad>", "<unk>", "<cls>"


class WordVocabulary:
    """Words of DNA of two lengths, with their ids.

    Args:
        words: Word or name of a special token -> id.

    Raises:
        FormatError: There are no single letters, or no k-mers of one length.
    """

    def __init__(self, words: Mapping[str, int]) -> None:
        self._words = dict(words)
        sizes = {len(word) for word in words if set(word) <= set("ACGTN")}
        if not set("ACGT") <= set(words) or not {_PAD, _UNK, _BOS} <= set(words) or len(sizes) != 2:
            raise FormatError(
                f"{len(words)} words", expected="k-mers, single letters, <pad>, <unk> and <cls>"
            )
        self.k = max(sizes)
        self.vocab_size = max(words.values()) + 1
        self.pad_id, self.unk_id, self.bos_id = (words[name] for name in (_PAD, _UNK, _BOS))
        self.eos_id = None

    @property
    def special_ids(self) -> dict[str, int]:
        """Name -> id of all special tokens."""
        return {word: number for word, number in self._words.items() if word.startswith("<")}

    def encode(self, bases: Bases) -> Ids:
        """Return the ids of a sequence, without special tokens; unknown letters are `unk_id`."""
        text = decode_bases(bases).upper().replace("U", "T")
        ids, place = [], 0
        while place < len(text):
            word = text[place : place + self.k]
            if len(word) < self.k or word not in self._words:
                word = text[place]
            ids.append(self._words.get(word, self.unk_id))
            place += len(word)
        return np.array(ids, dtype=np.int32)

    def save(self, folder: Path) -> None:
        """Write the words as `read_words` reads them."""
        words = sorted(self._words, key=self._words.__getitem__)
        (folder / VOCAB).write_text("\n".join(words) + "\n", encoding="utf-8")


def read_words(folder: Path) -> WordVocabulary:
    """Read a model's vocab.txt, with a word on each line.

    Raises:
        FormatError: There is none, or it is not one of k-mers and letters.
    """
    path = folder / VOCAB
    if not path.is_file():
        raise FormatError("no tokenizer", expected=VOCAB, path=folder)
    lines = read_utf8(path).split()
    try:
        return WordVocabulary({word: number for number, word in enumerate(lines)})
    except FormatError as error:
        raise FormatError(error.found, expected=error.expected, path=path) from error
