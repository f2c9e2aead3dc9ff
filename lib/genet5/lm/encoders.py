"""Sequences to the rows of token ids that a classifier reads, and batches of them.

A sequence stands between the token of the beginning and the same token as a separator, whose last
state is what is classified (GENERator's form, `<s>DNA<s>`); a model without such a token reads the
DNA alone. What is too long is cut before the separator is put, so it is never lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from genet5.config.lm.finetune import TaskConfig
from genet5.errors import ConfigError, DataError
from genet5.genome.sequence import checked_bases
from genet5.lm.examples import Example
from genet5.lm.targets import LabelSpace, Target
from genet5.lm.text import Vocabulary, encode_bases, with_ends
from genet5.lm.vocabulary import Ids


@dataclass(frozen=True, slots=True)
class Encoder:
    """Text of DNA to ids.

    Raises:
        ConfigError: No DNA token would be left.
    """

    vocabulary: Vocabulary
    max_tokens: int
    task: TaskConfig

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
        return self.max_tokens - 2 * (self.vocabulary.bos_id is not None)

    def encode(self, name: str, text: str) -> tuple[Ids, bool]:
        """Return the row of a sequence, and whether it was cut.

        Raises:
            DataError: Letters or length, and the policy is "error"; or no token is left.
        """
        task, vocabulary = self.task, self.vocabulary
        try:
            bases = checked_bases(text.strip())
            ids = encode_bases(vocabulary, bases, length=task.length, ambiguous=task.ambiguous)
        except DataError as error:
            raise DataError(
                f"{name}: {error.found}", expected=error.expected, remedy=error.remedy
            ) from error
        is_cut = len(ids) > self.room
        if is_cut:
            ids = ids[: self.room] if task.padding_side == "right" else ids[-self.room :]
        if vocabulary.bos_id is None:
            if not len(ids):
                raise DataError(f"{name}: no token", expected="at least one")
            return ids, is_cut
        ids = with_ends(vocabulary, ids, bos=True)
        return np.append(ids, np.int32(vocabulary.bos_id)), is_cut


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
