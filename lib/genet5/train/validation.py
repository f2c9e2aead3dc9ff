"""Validation: the loss of each head over the validation windows, without gradients."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from genet5.dataset.batch import TrainingBatch
from genet5.train.distributed.processes import Ranks
from genet5.train.objective import Objective


def validation_losses(
    model: nn.Module,
    batches: Iterable[TrainingBatch],
    objective: Objective,
    ranks: Ranks,
    *,
    use_bf16: bool,
    max_batches: int | None = None,
) -> dict[str, float]:
    """Return each head's mean loss ("loss_<head>"), their weighted sum ("loss"), and measures.

    Args:
        model: Put into evaluation mode while this runs.
        batches: This rank's part of the validation data.
        objective: Heads.
        ranks: This process among the run's.
        use_bf16: Evaluate under autocast.
        max_batches: Most batches to use; None = all.
    """
    totals: dict[str, Tensor] = {}
    weights: dict[str, float] = {}
    was_training = model.training
    model.eval()
    try:
        for batch in itertools.islice(batches, max_batches):
            moved = batch.to(ranks.device)
            with torch.no_grad():
                with torch.autocast(ranks.device.type, torch.bfloat16, enabled=use_bf16):
                    output = model(moved)
                counts = objective.counts(moved)
                for head, term in objective.sums(output, moved).items():
                    weights[head] = term.weight
                    pair = torch.stack([term.sum.double(), counts[head].double()])
                    totals[head] = totals.get(head, torch.zeros_like(pair)) + pair
    finally:
        model.train(was_training)
    for measure in objective.measures:
        weights.pop(measure, None)
    return _means(totals, weights, ranks, objective)


def _means(
    totals: dict[str, Tensor], weights: dict[str, float], ranks: Ranks, objective: Objective
) -> dict[str, float]:
    means: dict[str, float] = {}
    for head, pair in sorted(totals.items()):
        total, count = ranks.sum(pair).tolist()
        means[head] = total / max(count, 1.0)
    loss = sum(weight * means[head] for head, weight in sorted(weights.items()))
    return {"loss": loss, **{objective.name(head): mean for head, mean in means.items()}}
