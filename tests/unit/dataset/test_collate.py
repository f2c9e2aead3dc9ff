"""Windows to padded tensors."""

from __future__ import annotations

import numpy as np
import torch

from genet5.dataset.buckets import bucket
from genet5.dataset.collate import collate, make_inputs, silence
from genet5.dataset.per_base import IGNORE, base_targets
from genet5.genome.sequence import encode_bases
from genet5.tokens.sequence import KmerTokenizer
from genet5.tokens.structure import decode_window
from genet5.tokens.vocabulary import StructureVocabulary


def test_inputs_are_padded_as_the_batch_says() -> None:
    inputs = make_inputs([encode_bases("ACGTAC"), encode_bases("ACG")], [11, 4], KmerTokenizer(3))
    assert inputs.num_tokens.tolist() == [2, 1]
    assert inputs.num_bases.tolist() == [6, 3]
    assert inputs.token_start_bp.tolist() == [[0, 3], [0, 3]]
    assert bytes(inputs.bases[1].tolist()) == b"ACGNNN"
    assert inputs.genetic_code.tolist() == [11, 4]
    dtypes = (inputs.input_ids, inputs.token_start_bp, inputs.num_tokens, inputs.genetic_code)
    assert {tensor.dtype for tensor in dtypes} == {torch.int64}
    assert inputs.bases.dtype == torch.uint8


def test_a_batch_holds_each_window_and_nothing_behind_it(packed_rows) -> None:
    windows = [window for row in packed_rows[:4] for window in row]
    batch = collate(windows)
    vocabulary = StructureVocabulary()
    assert batch.window_ids == tuple(window.id for window in windows)
    targets = batch.targets
    assert (targets.labels.dtype, targets.states.dtype) == (torch.int64, torch.int8)
    assert (targets.boundaries.dtype, targets.label_weights.dtype) == (torch.int8, torch.float32)
    for index, window in enumerate(windows):
        size, labels = len(window.bases), len(window.labels)
        assert np.array_equal(batch.inputs.bases[index, :size], window.bases)
        assert np.array_equal(targets.labels[index, :labels], window.labels)
        assert np.array_equal(targets.label_weights[index, :labels], window.label_weights)
        assert (targets.labels[index, labels:] == vocabulary.pad).all()
        assert (targets.label_weights[index, labels:] == 0).all()
        assert (targets.states[index, :, size:] == IGNORE).all()
        assert not targets.boundaries[index, :, size:].any()
        genes = decode_window(window.labels, vocabulary).genes
        states, boundaries = base_targets(genes, size, window.ignore.tolist())
        assert np.array_equal(targets.states[index, :, :size], states)
        assert np.array_equal(targets.boundaries[index, :, :size], boundaries)


def test_training_and_annotation_differ_in_padding_alone(packed_rows) -> None:
    windows = packed_rows[0] + packed_rows[1]
    made = make_inputs(
        [w.bases for w in windows], [w.genetic_code for w in windows], KmerTokenizer(3)
    )
    trained = collate(windows).inputs
    for name in ("num_tokens", "bases", "num_bases", "genetic_code"):
        assert torch.equal(getattr(made, name), getattr(trained, name)), name
    length = made.input_ids.shape[1]
    assert torch.equal(trained.input_ids[:, :length], made.input_ids)
    assert torch.equal(trained.token_start_bp[:, :length], made.token_start_bp)
    padding = trained.token_start_bp[:, length:]
    assert torch.equal(padding, trained.num_bases[:, None].expand_as(padding))
    assert not trained.input_ids[:, length:].any()


def test_tokens_and_labels_have_lengths_of_few_values(packed_rows) -> None:
    shapes = set()
    for row in packed_rows:
        batch = collate(row)
        tokens, steps = batch.inputs.input_ids.shape[1], batch.targets.labels.shape[1] - 1
        assert tokens == bucket(max(len(window.input_ids) for window in row))
        assert steps == bucket(max(len(window.labels) for window in row) - 1)
        shapes.add((tokens, steps))
    assert all(size % 8 == 0 for shape in shapes for size in shape)


def test_a_silent_batch_has_no_target(packed_rows) -> None:
    silent = silence(collate(packed_rows[0]))
    assert not silent.targets.label_weights.any()
    assert (silent.targets.states == IGNORE).all()
    assert not silent.targets.boundaries.any()
