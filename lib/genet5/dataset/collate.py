"""Windows to padded tensors: `collate` for training, `make_inputs` for annotation.

Training pads tokens and labels to lengths of few values (`dataset.buckets`), annotation no further
than the longest window; no result depends on padding. Per-base targets are made here, from the
labels: a window of 6 kb costs well under a millisecond, and storing them would make baked files
four times as large.

Example:
    >>> from genet5.genome.sequence import encode_bases
    >>> from genet5.tokens.sequence import KmerTokenizer
    >>> bases = [encode_bases("ACGTACGT"), encode_bases("ACGT")]
    >>> inputs = make_inputs(bases, [11, 4], KmerTokenizer(4))
    >>> inputs.num_tokens.tolist(), inputs.token_start_bp.tolist()
    ([2, 1], [[0, 4], [0, 4]])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genet5.dataset.batch import Batch, Inputs, Targets, position_steps
from genet5.dataset.buckets import bucket
from genet5.dataset.per_base import IGNORE, NUM_BOUNDARIES, base_targets, base_weights
from genet5.dataset.starts import (
    NUM_RIVALS,
    find_starts,
    forget_starts,
    start_keys,
    unsure_starts,
)
from genet5.dataset.windows import Window
from genet5.genome.evidence import Channels
from genet5.genome.sequence import Bases
from genet5.tokens.sequence import SequenceTokenizer
from genet5.tokens.structure import decode_window
from genet5.tokens.vocabulary import StructureVocabulary
from genet5.tokens.window import WindowGene

EvidenceOf = Callable[[Window, Sequence[WindowGene]], Channels]
"""Channels of hints of a window with these genes."""
_ENCODED = tuple[NDArray[np.int32], NDArray[np.int32]]


def make_inputs(
    bases_list: Sequence[Bases],
    genetic_codes: Sequence[int],
    tokenizer: SequenceTokenizer,
    evidence: Sequence[Channels] = (),
) -> Inputs:
    """Tokenize and pad windows, 5' to 3' as the model takes them."""
    encoded = [tokenizer.encode(bases) for bases in bases_list]
    return pad_inputs(bases_list, encoded, genetic_codes, evidence=evidence)


def pad_inputs(
    bases_list: Sequence[Bases],
    encoded: Sequence[_ENCODED],
    genetic_codes: Sequence[int],
    num_tokens: int = 0,
    evidence: Sequence[Channels] = (),
) -> Inputs:
    """Pad tokenized windows.

    Args:
        bases_list: Bases of each.
        encoded: Token ids and first bases of each.
        genetic_codes: NCBI number of each.
        num_tokens: Pad to so many tokens at least; to the longest window in any case.
        evidence: Channels of hints of each window; none = without evidence.
    """
    num_bases = [len(bases) for bases in bases_list]
    ids = _padded([ids for ids, _ in encoded], 0, np.int64, num_tokens)
    starts = _padded([starts for _, starts in encoded], num_bases, np.int64, num_tokens)
    bases = _padded(bases_list, ord("N"), np.uint8)
    channels = np.zeros((len(bases), len(evidence[0]) if evidence else 0, bases.shape[1]), np.uint8)
    for row, some in enumerate(evidence):
        channels[row, :, : some.shape[1]] = some
    return Inputs(
        input_ids=torch.from_numpy(ids),
        token_start_bp=torch.from_numpy(starts),
        num_tokens=torch.tensor([len(ids) for ids, _ in encoded], dtype=torch.int64),
        bases=torch.from_numpy(bases),
        num_bases=torch.tensor(num_bases, dtype=torch.int64),
        genetic_code=torch.tensor(list(genetic_codes), dtype=torch.int64),
        evidence=torch.from_numpy(channels),
    )


def collate(
    windows: Sequence[Window],
    vocabulary: StructureVocabulary | None = None,
    evidence: EvidenceOf | None = None,
) -> Batch:
    """Make one micro-batch, padded to its longest window and on to the next of few lengths.

    The decoder reads one label less than there are, so T - 1 is such a length. Bases, which no
    compiled layer takes, are padded to the longest window: rounded up, they might exceed what the
    model takes.

    Args:
        windows: At least one.
        vocabulary: The labels' vocabulary; the default one if None.
        evidence: Channels of hints of each window; None = without evidence.
    """
    vocabulary = vocabulary or StructureVocabulary()
    genes = [decode_window(window.labels, vocabulary).genes for window in windows]
    inputs = pad_inputs(
        [window.bases for window in windows],
        [(window.input_ids, window.token_start_bp) for window in windows],
        [window.genetic_code for window in windows],
        bucket(max(len(window.input_ids) for window in windows)),
        [evidence(*each) for each in zip(windows, genes, strict=True)] if evidence else (),
    )
    steps = bucket(max(len(window.labels) for window in windows) - 1) + 1
    per_base = _PerBase(len(windows), inputs.bases.shape[1], steps)
    for index, window in enumerate(windows):
        per_base.add(index, window, genes[index], vocabulary)
    labels = _tensor([window.labels for window in windows], vocabulary.pad, np.int64, steps)
    targets = Targets(
        labels=labels,
        label_weights=_tensor([window.label_weights for window in windows], 0, np.float32, steps),
        position_steps=position_steps(labels),
        states=torch.from_numpy(per_base.states),
        boundaries=torch.from_numpy(per_base.boundaries),
        base_weights=torch.from_numpy(per_base.weights),
        starts=torch.from_numpy(per_base.starts),
    )
    return Batch(inputs, targets, tuple(window.id for window in windows))


def silence(batch: Batch) -> Batch:
    """The same micro-batch without any target: it adds nothing to any loss."""
    targets = replace(
        batch.targets,
        label_weights=torch.zeros_like(batch.targets.label_weights),
        states=torch.full_like(batch.targets.states, IGNORE),
        boundaries=torch.zeros_like(batch.targets.boundaries),
    )
    return replace(batch, targets=targets)


class _PerBase:
    """Targets that are made from the labels: of each base, and the rivals of each start."""

    def __init__(self, num_windows: int, length_bp: int, num_labels: int) -> None:
        self.states = np.full((num_windows, 2, length_bp), IGNORE, dtype=np.int8)
        self.boundaries = np.zeros((num_windows, NUM_BOUNDARIES, length_bp), dtype=np.int8)
        self.weights = np.ones((num_windows, 2, length_bp), dtype=np.float32)
        self.starts = np.full((num_windows, num_labels, 1 + NUM_RIVALS), -1, dtype=np.int32)

    def add(
        self,
        index: int,
        window: Window,
        genes: Sequence[WindowGene],
        vocabulary: StructureVocabulary,
    ) -> None:
        length = len(window.bases)
        states, boundaries = base_targets(genes, length, window.ignore.tolist())
        states_here, edges = self.states[index, :, :length], self.boundaries[index, :, :length]
        states_here[:], edges[:] = states, boundaries
        starts = find_starts(window, genes, vocabulary)
        forget_starts(states_here, edges, genes, unsure_starts(starts, window.label_weights))
        self.starts[index, [start.at.label for start in starts]] = start_keys(starts, genes)
        of_type = window.label_weights[window.labels >= vocabulary.first_type]
        self.weights[index, :, :length] = base_weights(genes, of_type.tolist(), length)


def _tensor(
    rows: Sequence[NDArray[Any]], fill: int, dtype: type[np.generic], length: int
) -> Tensor:
    return torch.from_numpy(_padded(rows, fill, dtype, length))


def _padded(
    rows: Sequence[NDArray[Any]],
    fill: int | Sequence[int],
    dtype: type[np.generic],
    length: int = 0,
) -> NDArray[Any]:
    """Stack rows, padded to `length` or the longest by one value or one per row."""
    array = np.empty((len(rows), max(length, *map(len, rows), 0)), dtype=dtype)
    array[:] = fill if isinstance(fill, int) else np.asarray(fill, dtype=dtype)[:, None]
    for index, row in enumerate(rows):
        array[index, : len(row)] = row
    return array
