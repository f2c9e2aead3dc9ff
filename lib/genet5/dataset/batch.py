"""What the model is fed: windows of one micro-batch, padded to the longest.

Letters in shapes: N windows, S sequence tokens, L bases, T labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Protocol, Self

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class BatchSizes:
    """How much a micro-batch holds."""

    tokens: int
    """Sequence tokens without padding."""
    bases: int
    padded_tokens: int
    """Sequence tokens with padding."""


class TrainingBatch(Protocol):
    """What the training loop knows of a micro-batch, whatever the family of models."""

    @property
    def window_ids(self) -> tuple[str, ...]:
        """Provenance of each window; errors name it."""

    @property
    def sizes(self) -> BatchSizes:
        """How much it holds; on the CPU, before it moves."""

    def to(self, device: torch.device | str) -> Self:
        """Return a copy on `device`."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """DNA of N windows."""

    input_ids: Tensor
    """(N, S) int64 sequence tokens; anything after a window's `num_tokens`."""
    token_start_bp: Tensor
    """(N, S) int64 first base of each token in its window; after `num_tokens`: the window's number
    of bases."""
    num_tokens: Tensor
    """(N,) int64."""
    bases: Tensor
    """(N, L) uint8 ASCII letters; ord("N") after a window's `num_bases`."""
    num_bases: Tensor
    """(N,) int64."""
    genetic_code: Tensor
    """(N,) int64 NCBI numbers."""
    evidence: Tensor
    """(N, E, L) uint8 strengths of hints (`genome.evidence`), 0 after a window's `num_bases`; E is
    0 where there are none."""

    def to(self, device: torch.device | str) -> Inputs:
        """Return a copy on `device`."""
        return Inputs(**_moved(self, device))

    def split(self, size: int) -> Iterator[Inputs]:
        """Yield the windows in parts of at most `size`, as views."""
        columns = [getattr(self, field.name).split(size) for field in fields(self)]
        for part in zip(*columns, strict=True):
            yield Inputs(*part)


@dataclass(frozen=True, slots=True)
class Targets:
    """What the model should predict for N windows."""

    labels: Tensor
    """(N, T) int64 gene-structure labels from <bos> to <eos>: token ids, base p as -1 - p; <pad>
    after the end."""
    label_weights: Tensor
    """(N, T) float32 weight of each label in the loss; 0 for padding and for what the grammar calls
    illegal."""
    position_steps: Tensor
    """(N, P) int64 steps whose next label is a position, from `position_steps`; made on the CPU, as
    P depends on values."""
    states: Tensor
    """(N, 2, L) int8 state of each base on the forward and the reverse strand (`dataset.per_base`);
    IGNORE = no loss."""
    boundaries: Tensor
    """(N, 8, L) int8 boundaries (`dataset.per_base`): 1 = here, 0 = not here, IGNORE = no loss."""
    base_weights: Tensor
    """(N, 2, L) float32 weight of each base's state and boundaries in the loss, on + and -."""
    starts: Tensor
    """(N, T, 1 + NUM_RIVALS) int32: for each label that names a gene's start, this start and its
    rivals as keys (`dataset.starts`); -1 elsewhere."""

    def to(self, device: torch.device | str) -> Targets:
        """Return a copy on `device`."""
        return Targets(**_moved(self, device))


@dataclass(frozen=True, slots=True)
class Batch:
    """One micro-batch."""

    inputs: Inputs
    targets: Targets
    window_ids: tuple[str, ...]
    """Provenance of each window: "genome/contig:start-end(strand)"; errors name it."""

    @property
    def sizes(self) -> BatchSizes:
        """How much it holds."""
        return BatchSizes(
            tokens=int(self.inputs.num_tokens.sum()),
            bases=int(self.inputs.num_bases.sum()),
            padded_tokens=self.inputs.input_ids.numel(),
        )

    def to(self, device: torch.device | str) -> Batch:
        """Return a copy on `device`."""
        return Batch(self.inputs.to(device), self.targets.to(device), self.window_ids)


def position_steps(labels_NT: Tensor) -> Tensor:
    """Say which steps predict a position.

    Args:
        labels_NT: Labels, base p as -1 - p.

    Returns: (N, P) int64 steps t whose next label t + 1 is a position, first to last; P is the most
        that a window has, and windows with fewer are filled up with other steps.

    Example:
        >>> position_steps(torch.tensor([[1, 7, -5, -9, 2], [1, 7, -3, 2, 2]])).tolist()
        [[1, 2], [1, 0]]
    """
    is_position = labels_NT[:, 1:] < 0
    most = int(is_position.sum(dim=1).max())
    return is_position.int().argsort(dim=1, descending=True, stable=True)[:, :most]


def _moved(part: Inputs | Targets, device: torch.device | str) -> dict[str, Tensor]:
    """Return all tensors on `device`; copies to a GPU are queued before its later work."""
    is_gpu = torch.device(device).type == "cuda"
    names = [field.name for field in fields(part)]
    return {name: getattr(part, name).to(device, non_blocking=is_gpu) for name in names}
