"""Likelihoods of rows of labels: those of the training pass, whatever the other rows are."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from genet5.decode.likelihood import log_likelihoods
from small_models import make_batch, make_model

PAD = 0


def test_a_row_has_the_likelihood_of_the_training_pass_beside_shorter_and_longer_ones() -> None:
    model, batch = make_model(), make_batch(lengths=(96,))
    labels = batch.targets.labels
    longer = torch.cat([labels, labels[:, 3:7]], dim=1)
    with torch.inference_mode():
        encoded = model.encode(batch.inputs)
        output = model(batch)
    following, expected = labels[0, 1:], 0.0
    tokens = output.token_logits[0].log_softmax(dim=-1)
    bases = output.position_logits[0].log_softmax(dim=-1)
    steps = batch.targets.position_steps[0].tolist()
    for step, label in enumerate(following.tolist()):
        if label < 0:
            expected += float(bases[steps.index(step), -1 - label])
        else:
            expected += float(tokens[step, label])
    rows = [row.numpy() for row in (labels[0], labels[0, :5], longer[0])]
    found = log_likelihoods(model, encoded, rows, PAD)
    assert found[0] == pytest.approx(expected, abs=1e-4)
    assert found[1] > found[0] > found[2]
    alone = log_likelihoods(model, replace(encoded), rows[1:2], PAD)
    assert alone[0] == pytest.approx(found[1], abs=1e-5)
