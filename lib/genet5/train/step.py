"""One optimizer step over the micro-batches of all ranks.

Every head's loss is divided by its count over the whole step, gradients are summed over
micro-batches and ranks, clipped, and move the weights. Nothing moves if the loss or the gradient is
not finite. Nothing waits for the device but the check for finite numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from genet5.config.run import RunConfig
from genet5.dataset.batch import TrainingBatch
from genet5.train.distributed.parallel import Parallel, whole
from genet5.train.distributed.processes import Ranks
from genet5.train.experts import update_experts
from genet5.train.finite import require_finite
from genet5.train.objective import Objective, step_counts
from genet5.train.optim import clip_gradients, set_learning_rate
from genet5.train.state.run_state import RunState
from genet5.train.telemetry.meter import Meter


class OptimizerStep:
    """Takes steps; what it measures goes to the meter.

    Args:
        config: Settings.
        state: What a step changes.
        parallel: The model as the ranks share it.
        objective: What to minimise.
        meter: Gets losses, the gradient's norm, and how experts are used.
        use_bf16: Compute under autocast.
    """

    def __init__(
        self,
        config: RunConfig,
        state: RunState,
        parallel: Parallel,
        objective: Objective,
        meter: Meter,
        *,
        use_bf16: bool,
    ) -> None:
        self._config, self._state, self._parallel = config, state, parallel
        self._objective, self._meter, self._use_bf16 = objective, meter, use_bf16

    @property
    def _ranks(self) -> Ranks:
        return self._parallel.ranks

    def take(self, batches: Sequence[TrainingBatch], lr: float) -> None:
        """Take one step.

        Args:
            batches: This rank's micro-batches, on the CPU.
            lr: Learning rate.

        Raises:
            NonFiniteLossError: Loss or gradient is not finite; on all ranks alike.
        """
        losses = self._accumulate_gradients(batches)
        norm = whole(clip_gradients(self._state.model.parameters(), self._config.optim))
        step = self._state.progress.step + 1
        require_finite(losses, norm, batches, self._ranks, step=step, out=self._config.out)
        self._move_weights(lr)
        for name, value in update_experts(self._state.model, self._ranks).items():
            self._meter.add_shared(name, value)
        self._meter.add_shared("grad_norm", norm)
        self._release_memory(step)

    def _accumulate_gradients(self, batches: Sequence[TrainingBatch]) -> Tensor:
        """Return each micro-batch's part of the step's loss, (micro-batches,)."""
        counts = step_counts(self._objective, batches, self._ranks)
        losses = []
        for number, batch in enumerate(batches, 1):
            with self._parallel.accumulate(is_last=number == len(batches)):
                losses.append(self._forward_backward(batch, counts))
        return torch.stack(losses)

    def _forward_backward(self, batch: TrainingBatch, counts: dict[str, float]) -> Tensor:
        moved = batch.to(self._ranks.device)
        with self._autocast():
            output = self._parallel.call(moved)
        parts = []
        for head, term in self._objective.sums(output, moved).items():
            mean = term.sum / counts[head]
            self._meter.add(self._objective.name(head), mean.detach())
            if head not in self._objective.measures:
                parts.append(term.weight * mean)
        loss = torch.stack(parts).sum()
        torch.autograd.backward(loss * self._ranks.world_size)  # gradients are averaged over ranks
        self._meter.add("loss", loss.detach())
        return loss.detach()

    def _autocast(self) -> AbstractContextManager[Any]:
        if not self._use_bf16:
            return nullcontext()
        return torch.autocast(self._ranks.device.type, torch.bfloat16)

    def _move_weights(self, lr: float) -> None:
        optimizer, average = self._state.optimizer, self._state.average
        set_learning_rate(optimizer, lr)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if average is not None:
            average.update(self._state.model)

    def _release_memory(self, step: int) -> None:
        every = self._config.compute.empty_cache_steps
        if every and step % every == 0 and self._ranks.device.type == "cuda":
            torch.cuda.empty_cache()
