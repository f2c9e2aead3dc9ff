"""Sequences to the rows of token ids that a classifier reads, and batches of them.

A sequence stands between the token of the beginning and the same token as a separator, whose last
state is what is classified (GENERator's form, `<s>DNA<s>`); a model without such a token reads the
DNA alone. BERT's rows end with its own token of the end, the Nucleotide Transformer's with none.
What is too long is cut before the last token is put, so it is never lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from genet5.config.lm.finetune import TaskConfig
from genet5.errors import ConfigError, DataError
from genet5.genome.sequence import checked_bases
from genet5.lm.examples import Example
from genet5.lm.targets import LabelSpace, Target
from genet5.lm.text import Vocabulary, encode_bases
from genet5.lm.vocabulary import Ids
from genet5.lm.word_vocabulary import WordVocabulary

EndName = Literal["separator", "eos", "none"]
"""What stands after the DNA: the token of the beginning again, that of the end, or nothing."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """Text of DNA to ids.

    Raises:
        ConfigError: No DNA token would be left.
    """

    vocabulary: Vocabulary | WordVocabulary
    max_tokens: int
    task: TaskConfig
    end: EndName = "separator"

    def __post_init__(self) -> None:
        if self.room < 1:
            raise ConfigError("max_tokens", self.max_tokens, "must leave room for DNA")

    @property
    def pad_id(self) -> int:
        """Id of padding."""
        return self.vocabulary.pad_id

    @property
    def room(self) -> int:
        """Tokens of DNA that a row has room for."""
        return self.max_tokens - len(self.before) - len(self.after)

    @property
    def before(self) -> list[int]:
        """Ids before the DNA."""
        return [] if self.vocabulary.bos_id is None else [self.vocabulary.bos_id]

    @property
    def after(self) -> list[int]:
        """Ids after the DNA."""
        number = self.vocabulary.eos_id if self.end == "eos" else self.vocabulary.bos_id
        return [] if number is None or self.end == "none" else [number]

    def encode(self, name: str, text: str) -> tuple[Ids, bool]:
        """Return the row of a sequence, and whether it was cut.

        Raises:
            DataError: Letters or length, and the policy is "error"; or no token is left.
        """
        try:
            ids = self._dna(text)
        except DataError as error:
            raise DataError(
                f"{name}: {error.found}", expected=error.expected, remedy=error.remedy
            ) from error
        is_cut = len(ids) > self.room
        if is_cut:
            is_right = self.task.padding_side == "right"
            ids = ids[: self.room] if is_right else ids[-self.room :]
        row = np.concatenate([self.before, ids, self.after]).astype(np.int32)
        if not len(row):
            raise DataError(f"{name}: no token", expected="at least one")
        return row, is_cut

    def _dna(self, text: str) -> Ids:
        bases, vocabulary = checked_bases(text.strip()), self.vocabulary
        if isinstance(vocabulary, WordVocabulary):
            return vocabulary.encode(bases)
        task = self.task
        return encode_bases(vocabulary, bases, length=task.length, ambiguous=task.ambiguous)


def batches(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Yield rows of like length, shortest first, as many as fit the tokens with padding.

    Example:
        >>> list(batches([3, 9, 2], 6))
        [[2, 0], [1]]
    """
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda index: lengths[index]):
        if batch and lengths[row] * (len(batch) + 1) > batch_tokens:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def padded(rows: Sequence[Ids], pad_id: int, side: str) -> tuple[Tensor, Tensor]:
    """Return ids and mask, (B, S) int64, of rows that are filled up on one side."""
    longest = max(len(row) for row in rows)
    ids = torch.full((len(rows), longest), pad_id)
    mask = torch.zeros((len(rows), longest), dtype=torch.int64)
    for index, row in enumerate(rows):
        part = slice(0, len(row)) if side == "right" else slice(longest - len(row), longest)
        ids[index, part] = torch.from_numpy(row.astype(np.int64))
        mask[index, part] = 1
    return ids, mask


class EncodedExamples(Dataset[tuple[Ids, Target]]):
    """Rows of ids with their targets, made when they are asked for.

    Raises:
        DataError: An example has no label, or one that is none of the task; it is named.
    """

    def __init__(self, examples: Sequence[Example], encoder: Encoder, space: LabelSpace) -> None:
        self._examples, self._encoder = examples, encoder
        self.targets = [_target(example, space) for example in examples]

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Ids, Target]:
        example = self._examples[index]
        ids, _ = self._encoder.encode(example.name, example.sequence)
        return ids, self.targets[index]

    @property
    def target_array(self) -> np.ndarray[tuple[int, ...], Any]:
        """(N,) classes, or (N, L) numbers."""
        return np.array(self.targets)

    def count_cut(self) -> int:
        """Return how many sequences are cut."""
        rows = (self._encoder.encode(each.name, each.sequence) for each in self._examples)
        return sum(is_cut for _, is_cut in rows)


def collate(rows: Sequence[tuple[Ids, Target]], *, pad_id: int, side: str) -> dict[str, Tensor]:
    """Make a batch of rows as a network of `transformers` takes it."""
    ids, mask = padded([row for row, _ in rows], pad_id, side)
    targets = [target for _, target in rows]
    kind = torch.int64 if isinstance(targets[0], int) else torch.float32
    labels = torch.tensor(targets, dtype=kind)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def _target(example: Example, space: LabelSpace) -> Target:
    if example.label is None:
        raise DataError(f"{example.name}: no label", expected=f"{space.problem_type}")
    try:
        return space.target(example.label)
    except DataError as error:
        raise DataError(f"{example.name}: {error.found}", expected=error.expected) from error
