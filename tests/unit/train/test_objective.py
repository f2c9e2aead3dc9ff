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
from genet5.train.validation import split_groups, validation_losses


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


@pytest.mark.parametrize("num_experts", [0, 4])
def test_losses_of_parts_of_a_batch_add_up_to_those_of_all(toy: Any, num_experts: int) -> None:
    model = toy.tiny_gene_model(num_experts)
    objective, batch = gene_objective(model, LossWeights(start=0.5)), toy.gene_batch()
    output = model(batch)
    whole = objective.sums(output, batch)
    chosen = torch.tensor([True, False, True])
    assert objective.some_sums is not None
    parts = [objective.some_sums(output, batch, mask) for mask in (chosen, ~chosen)]
    for head in ("token", "position", "state", "boundary", "start", "start_boundary"):
        torch.testing.assert_close(parts[0][head].sum + parts[1][head].sum, whole[head].sum)
        torch.testing.assert_close(
            parts[0][head].count.float() + parts[1][head].count.float(), whole[head].count.float()
        )


class Named:
    """Groups by the last letter of a window's name."""

    names = ("0", "1", "2", "9")

    def of(self, window_id: str) -> tuple[str, ...]:
        return (window_id[-1],)


def test_each_group_with_windows_has_a_validation_loss(toy: Any) -> None:
    model = toy.tiny_gene_model()
    objective = gene_objective(model, LossWeights())
    how = {"use_bf16": False, "max_batches": None}
    losses = validation_losses(
        model, [toy.gene_batch(1), toy.gene_batch(2)], objective, Ranks(), groups=Named(), **how
    )
    assert {"0_loss", "1_loss", "2_loss"} <= losses.keys()
    assert "9_loss" not in losses
    alone = validation_losses(
        model, [toy.gene_batch(1), toy.gene_batch(2)], objective, Ranks(), **how
    )
    assert alone == {name: value for name, value in losses.items() if name[0] == "l"}
    whole, parts = split_groups(losses, Named.names)
    assert whole == alone
    assert parts["1"] == {"loss": losses["1_loss"]}
