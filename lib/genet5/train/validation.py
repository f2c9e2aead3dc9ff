"""Validation: the loss of each head over the validation windows, without gradients.

Losses of groups of windows (`dataset.groups`) come from the same passes: only the sums are taken
anew, over the windows of the group.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from genet5.dataset.batch import TrainingBatch
from genet5.dataset.groups import WindowGroups
from genet5.train.distributed.processes import Ranks
from genet5.train.objective import Objective

log = logging.getLogger(__name__)


def validation_losses(
    model: nn.Module,
    batches: Iterable[TrainingBatch],
    objective: Objective,
    ranks: Ranks,
    *,
    use_bf16: bool,
    max_batches: int | None = None,
    groups: WindowGroups | None = None,
) -> dict[str, float]:
    """Return each head's mean loss ("loss_<head>"), their weighted sum ("loss"), and measures.

    Args:
        model: Put into evaluation mode while this runs.
        batches: This rank's part of the validation data.
        objective: Heads.
        ranks: This process among the run's.
        use_bf16: Evaluate under autocast.
        max_batches: Most batches to use; None = all.
        groups: Also return the loss of each group of windows ("<group>_loss").
    """
    totals: dict[str, Tensor] = {}
    weights: dict[str, float] = {}
    grouped = _GroupLosses(objective, groups, ranks)
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
                grouped.add(output, moved)
    finally:
        model.train(was_training)
    for measure in objective.measures:
        weights.pop(measure, None)
    return {**_means(totals, weights, ranks, objective), **grouped.means()}


def split_groups(
    values: Mapping[str, float], groups: Collection[str]
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Divide figures into those of all windows and those of each group.

    Example:
        >>> split_groups({"loss": 1.0, "fungi_loss": 2.0}, ["fungi"])
        ({'loss': 1.0}, {'fungi': {'loss': 2.0}})
    """
    whole: dict[str, float] = {}
    parts: dict[str, dict[str, float]] = {}
    for name, value in values.items():
        group = next((each for each in groups if name.startswith(f"{each}_")), None)
        if group is None:
            whole[name] = value
        else:
            parts.setdefault(group, {})[name.removeprefix(f"{group}_")] = value
    return whole, parts


class _GroupLosses:
    """Adds up the losses of each group; without groups it does nothing but pass."""

    def __init__(self, objective: Objective, groups: WindowGroups | None, ranks: Ranks) -> None:
        self._take = objective.some_sums
        self._groups = groups if self._take is not None and groups and groups.names else None
        self._ranks = ranks
        self._weights: dict[str, float] = {}
        self._sums: Tensor | None = None

    def add(self, output: Any, batch: TrainingBatch) -> None:
        """Take one batch."""
        if self._groups is None or self._take is None:
            return
        member_of = [self._groups.of(name) for name in batch.window_ids]
        parts = []
        for group in self._groups.names:
            mask = torch.tensor([group in found for found in member_of], device=self._ranks.device)
            terms = self._take(output, batch, mask)
            self._weights = {head: term.weight for head, term in sorted(terms.items())}
            pairs = [torch.stack([terms[head].sum, terms[head].count]) for head in self._weights]
            parts.append(torch.stack(pairs).double())
        sums = torch.stack(parts)
        self._sums = sums if self._sums is None else self._sums + sums

    def means(self) -> dict[str, float]:
        """Return the loss of each group that has windows; every rank calls it."""
        if self._groups is None or self._sums is None:
            return {}
        found = {}
        sums = self._ranks.sum(self._sums).tolist()
        for group, pairs in zip(self._groups.names, sums, strict=True):
            if any(count for _, count in pairs):
                shares = zip(self._weights.values(), pairs, strict=True)
                found[f"{group}_loss"] = sum(w * s / max(count, 1.0) for w, (s, count) in shares)
        return found


def _means(
    totals: dict[str, Tensor], weights: dict[str, float], ranks: Ranks, objective: Objective
) -> dict[str, float]:
    means: dict[str, float] = {}
    for head, pair in sorted(totals.items()):
        total, count = ranks.sum(pair).tolist()
        means[head] = total / max(count, 1.0)
    loss = sum(weight * means[head] for head, weight in sorted(weights.items()))
    return {"loss": loss, **{objective.name(head): mean for head, mean in means.items()}}


def log_validation(
    values: Mapping[str, float], groups: Collection[str], step: int, *, is_best: bool
) -> None:
    """Log the values of an evaluation, and those of each group of windows in a line of its own."""
    whole, parts = split_groups(values, groups)
    shown = " | ".join(f"{name} {value:.4f}" for name, value in whole.items())
    log.info("validation at step %d%s: %s", step, " (best)" if is_best else "", shown)
    for group, own in parts.items():
        shown = " | ".join(f"{name} {value:.4f}" for name, value in own.items())
        log.info("validation, %s: %s", group, shown)
