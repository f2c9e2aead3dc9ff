"""Counts that are known before the forward pass equal those that the losses report."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from genet5.dataset.per_base import IGNORE
from genet5.train.distributed.processes import Ranks
from genet5.train.loss import LossWeights
from genet5.train.objective import Objective, gene_objective, step_counts, target_counts
from genet5.train.validation import validation_losses


@pytest.mark.parametrize("num_experts", [0, 4])
@pytest.mark.parametrize("start", [0.0, 0.5])
def test_counts_from_targets_equal_counts_of_the_losses(
    toy: Any, num_experts: int, start: float
) -> None:
    model = toy.tiny_gene_model(num_experts)
    objective, batch = gene_objective(model, LossWeights(start=start)), toy.gene_batch()
    terms = objective.sums(model(batch), batch)
    counts = objective.counts(batch)
    assert counts.keys() == terms.keys()
    assert ("balance" in counts) == bool(num_experts)
    for head, term in terms.items():
        torch.testing.assert_close(counts[head].float(), term.count.float(), msg=head)


def test_a_step_counts_all_micro_batches_and_never_divides_by_zero(toy: Any) -> None:
    batches = [toy.batch(1), toy.batch(2)]
    counts = step_counts(Objective(toy.sums, toy.counts), batches, Ranks())
    assert counts["token"] == sum(float(batch.targets.label_weights.sum()) for batch in batches)
    silent = replace(
        batches[0], targets=replace(batches[0].targets, label_weights=torch.zeros(3, 12))
    )
    assert step_counts(Objective(toy.sums, toy.counts), [silent], Ranks())["token"] == 1.0


def test_boundaries_of_unknown_bases_do_not_count(toy: Any) -> None:
    batch = toy.batch(1)
    states = torch.full_like(batch.targets.states, IGNORE)
    states[:, 0] = 0
    boundaries = torch.ones_like(batch.targets.boundaries)
    targets = replace(batch.targets, states=states, boundaries=boundaries)
    counts = target_counts(replace(batch, targets=targets))
    assert counts["boundary"] == 3 * 4 * 12  # the four kinds on the forward strand


def test_validation_does_not_depend_on_how_windows_are_batched(toy: Any) -> None:
    model, objective = toy.Model(), Objective(toy.sums, toy.counts)
    one = validation_losses(model, [toy.batch(1), toy.batch(2)], objective, Ranks(), use_bf16=False)
    first = validation_losses(
        model, [toy.batch(1), toy.batch(2)], objective, Ranks(), use_bf16=False, max_batches=1
    )
    alone = validation_losses(model, [toy.batch(1)], objective, Ranks(), use_bf16=False)
    assert first == alone != one
    assert one["loss"] == pytest.approx(one["loss_token"] + 0.5 * one["loss_position"])
    assert model.training
