"""What a language model is trained on: tokens of windows, each with its weight as a target.

Windows are tokenized when they are loaded, so that a k-mer model sees another start phase in each
epoch: a window loses up to k - 1 bases at its front, and what is left over at its end. Padding and
unknown tokens are no targets. A target is soft-masked if more than half of its bases are lower
case. Whole sequences may have a token that says what they are in front, and end with the model's
token of the end, which is a target without bases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genet5.dataset.batch import BatchSizes
from genet5.dataset.windows import Window
from genet5.genome.sequence import Bases
from genet5.lm.bpe import BpeVocabulary
from genet5.lm.text import Vocabulary
from genet5.lm.vocabulary import Ids

_LOWER = 0x20  # the bit of ASCII letters


@dataclass(frozen=True, slots=True)
class CausalBatch:
    """One micro-batch of N windows, padded on the right to S tokens."""

    ids: Tensor
    """(N, S) int64."""
    weights: Tensor
    """(N, S) float32 weight of each token as a target; 0 = none."""
    is_lower: Tensor
    """(N, S) bool whether a token is soft-masked."""
    bases: Tensor
    """(N, S) int64 bases that a token stands for as a target; 0 = it is none."""
    sizes: BatchSizes
    window_ids: tuple[str, ...]

    @property
    def is_target(self) -> Tensor:
        """(N, S) bool: tokens that are predicted, an end of the sequence among them."""
        return (self.bases > 0) | (self.weights > 0)

    def to(self, device: torch.device | str) -> CausalBatch:
        """Return a copy on `device`."""
        return self._mapped(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> CausalBatch:
        """Return a copy in page-locked memory; a `DataLoader` calls it."""
        return self._mapped(lambda tensor: tensor.pin_memory())

    def _mapped(self, change: object) -> CausalBatch:
        assert callable(change)
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return CausalBatch(
            **{n: change(v) if isinstance(v, Tensor) else v for n, v in values.items()}
        )


class CausalCollator:
    """Makes micro-batches of windows.

    Args:
        vocabulary: The model's.
        repeat_weight: Weight of soft-masked targets.
        seed: Of the start phases; None = every window begins at its first base.
        prompts: Clade of a window -> token before its DNA, which is no target.
        has_end: Whether windows are whole sequences, whose end is a target.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        repeat_weight: float = 1.0,
        seed: int | None = None,
        prompts: Mapping[str, int] = MappingProxyType({}),
        has_end: bool = False,
    ) -> None:
        self._vocabulary, self._repeat_weight, self._seed = vocabulary, repeat_weight, seed
        self._prompts = prompts
        self._end = vocabulary.eos_id if has_end else None

    def collate(
        self, windows: Sequence[Window], *, epoch: int, first_row: int, silent: bool
    ) -> CausalBatch:
        """Make the micro-batch; start phases follow from seed, epoch and row alone."""
        phases = self._phases(len(windows), epoch, first_row)
        parts = [
            self._tokens(window.bases[phase:], self._prompts.get(window.clade))
            for window, phase in zip(windows, phases, strict=True)
        ]
        ids = _padded([part[0] for part in parts], self._vocabulary.pad_id, np.int64)
        bases = _padded([part[1] for part in parts], 0, np.int64)
        is_lower = _padded([part[2] for part in parts], 0, np.bool_)
        weights = np.where(is_lower, self._repeat_weight, 1.0)
        is_target = (ids != self._vocabulary.pad_id) & (ids != self._vocabulary.unk_id)
        is_target &= (bases != 0) | (ids == (-1 if self._end is None else self._end))
        is_target[:, 0] = False
        weights = np.where(is_target, weights, 0.0).astype(np.float32)
        bases = np.where(is_target, bases, 0)
        if silent:
            weights, bases = np.zeros_like(weights), np.zeros_like(bases)
        return CausalBatch(
            ids=torch.from_numpy(ids),
            weights=torch.from_numpy(weights),
            is_lower=torch.from_numpy(is_lower),
            bases=torch.from_numpy(bases),
            sizes=BatchSizes(
                tokens=sum(len(part[0]) for part in parts),
                bases=sum(int(part[1].sum()) for part in parts),
                padded_tokens=ids.size,
            ),
            window_ids=tuple(window.id for window in windows),
        )

    def pack(self, batch: CausalBatch) -> CausalBatch:
        """Return the batch: it has few tensors."""
        return batch

    def unpack(self, packed: CausalBatch) -> CausalBatch:
        """Return the batch."""
        return packed

    def _phases(self, number: int, epoch: int, first_row: int) -> list[int]:
        k = getattr(self._vocabulary, "k", 1)
        if self._seed is None or k == 1:
            return [0] * number
        generator = np.random.default_rng([self._seed, epoch, first_row, 0x5A5E])
        return [int(phase) for phase in generator.integers(k, size=number)]

    def _tokens(
        self, bases: Bases, prompt: int | None
    ) -> tuple[Ids, NDArray[np.int64], NDArray[np.bool_]]:
        """Return ids, the bases of each and whether it is soft-masked, with what stands around."""
        vocabulary = self._vocabulary
        ids = vocabulary.encode(bases)
        if isinstance(vocabulary, BpeVocabulary):
            lengths = vocabulary.token_lengths(bases).astype(np.int64)
            starts = np.cumsum(lengths) - lengths
        else:
            step = int(vocabulary.bp_per_token)
            starts = np.arange(len(ids), dtype=np.int64) * step
            lengths = np.full(len(ids), vocabulary.k, dtype=np.int64)
        lower = np.concatenate([[0], np.cumsum((bases & _LOWER) > 0)])
        is_lower = 2 * (lower[starts + lengths] - lower[starts]) > lengths
        if getattr(vocabulary, "is_overlapping", False):
            lengths[1:] = 1
        before = [number for number in (vocabulary.bos_id, prompt) if number is not None]
        after = [] if self._end is None else [self._end]
        ids = np.concatenate([before, ids, after]).astype(np.int32)
        around = len(before), len(after)
        lengths, is_lower = np.pad(lengths, around), np.pad(is_lower, around)
        return ids, lengths, is_lower


def _padded(
    rows: Sequence[NDArray[np.generic]], fill: int, dtype: type[np.generic]
) -> NDArray[np.generic]:
    array = np.full((len(rows), max(1, *map(len, rows))), fill, dtype=dtype)
    for index, row in enumerate(rows):
        array[index, : len(row)] = row
    return array
