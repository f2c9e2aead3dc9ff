"""The loss: sums per head from the model's output, counts per head from the targets alone.

A head's loss is its sum divided by its count, both over *all* micro-batches of a step on *all*
ranks; so the gradient of a step depends on which windows it holds, not on how they were packed,
padded or shared out. That is why the counts are needed before the forward pass of the step's first
micro-batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from genet5.blocks.moe import MixtureOfExperts
from genet5.dataset.batch import Batch, TrainingBatch
from genet5.dataset.per_base import IGNORE
from genet5.model.results import Output
from genet5.train.distributed.processes import Ranks
from genet5.train.loss import (
    LossTerm,
    LossWeights,
    boundary_weights,
    loss_sums,
    routed_tokens,
    start_weights,
)


class Term(Protocol):
    """One head's loss of one micro-batch."""

    @property
    def sum(self) -> Tensor:
        """Loss summed over what is counted; a scalar."""

    @property
    def count(self) -> Tensor:
        """How much was summed; a scalar."""

    @property
    def weight(self) -> float:
        """Share in the total loss."""


@dataclass(frozen=True, slots=True)
class Objective:
    """What is minimised, the weighted sum of the heads' mean losses, and what is measured."""

    sums: Callable[[Any, Any], Mapping[str, Term]]
    """(model output, batch) -> a term per head or measure."""
    counts: Callable[[Any], Mapping[str, Tensor]]
    """Batch -> the counts of these terms."""
    measures: frozenset[str] = frozenset()
    """Terms that are logged under their own name and not minimised, such as an accuracy."""
    some_sums: Callable[[Any, Any, Tensor], Mapping[str, Term]] | None = None
    """(model output, batch, mask of windows) -> terms of these windows alone, with their counts;
    what only the whole batch has is left out. None = windows cannot be told apart."""

    def name(self, term: str) -> str:
        """Return the name under which a term's mean is logged."""
        return term if term in self.measures else f"loss_{term}"


def gene_objective(model: nn.Module, weights: LossWeights, ranks: Ranks | None = None) -> Objective:
    """Return GeneT5's objective.

    `model` determines how many layers of decoder and encoder have a router.

    With `ranks`, every rank evaluates the losses of each micro-batch: they balance experts
    together.
    """
    over_ranks = (ranks or Ranks()).sum
    named = [n for n, module in model.named_modules() if isinstance(module, MixtureOfExperts)]
    in_encoder = sum(name.startswith("encoder.") for name in named)
    routers = len(named) - in_encoder
    return Objective(
        sums=lambda output, batch: loss_sums(output, batch, weights, over_ranks),
        counts=lambda batch: target_counts(
            batch, routers, in_encoder, has_starts=weights.start > 0
        ),
        some_sums=lambda output, batch, chosen: _sums_of(output, batch, chosen, weights),
    )


def _sums_of(
    output: Output, batch: Batch, chosen: Tensor, weights: LossWeights
) -> dict[str, LossTerm]:
    """Return the losses of the windows that a mask (N,) chooses; experts have none."""
    targets = batch.targets
    part = replace(
        targets,
        label_weights=targets.label_weights * chosen[:, None],
        base_weights=targets.base_weights * chosen[:, None, None],
    )
    some = replace(batch, targets=part)
    counts = target_counts(some, has_starts=weights.start > 0)
    terms = loss_sums(replace(output, router_losses=[], encoder_router_losses=[]), some, weights)
    return {name: LossTerm(t.sum, counts[name], t.weight) for name, t in terms.items()}


def target_counts(
    batch: Batch, routers: int = 0, encoder_routers: int = 0, *, has_starts: bool = False
) -> dict[str, Tensor]:
    """Return the count of each head: labels, bases with a state and true boundaries, by weight.

    Args:
        batch: With its targets.
        routers: Decoder layers that have experts.
        encoder_routers: Encoder layers that have experts.
        has_starts: Whether the choice among start codons is a part of the loss.
    """
    targets = batch.targets
    labels, weights = targets.labels[:, 1:], targets.label_weights[:, 1:]
    counts = {
        "token": (weights * (labels >= 0)).sum(),
        "position": (weights * (labels < 0)).sum(),
        "state": (targets.base_weights * (targets.states != IGNORE)).sum(),
        "boundary": (boundary_weights(targets) * (targets.boundaries == 1)).sum(),
    }
    if has_starts:
        counts["start"] = counts["start_boundary"] = start_weights(targets).sum()
    if routers:
        counts["balance"] = counts["router_z"] = (weights > 0).sum() * routers
    if encoder_routers:
        count = routed_tokens(batch) * encoder_routers
        counts["encoder_balance"] = counts["encoder_router_z"] = count
    return counts


def step_counts(
    objective: Objective, batches: Sequence[TrainingBatch], ranks: Ranks
) -> dict[str, float]:
    """Return each head's count over all micro-batches of a step on all ranks, at least 1."""
    each = [objective.counts(batch) for batch in batches]
    heads = sorted(each[0])
    local = torch.stack([torch.stack([one[head].double() for one in each]).sum() for head in heads])
    total = ranks.sum(local).clamp(min=1.0)
    return dict(zip(heads, total.tolist(), strict=True))
