"""What changes with each step of a run, and all its tensors by name.

Names do not depend on the number of ranks, nor on whether they share the model
(`train.distributed.parallel`):

    model/<name>                    parameters and buffers, tied ones once
    optimizer/<parameter>/<moment>
    average/<parameter>             moving average of the weights, if there is one
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from genet5.dataset.batch import TrainingBatch
from genet5.model.files import AVERAGE_PREFIX, MODEL_PREFIX
from genet5.train.optim import WeightAverage, set_learning_rate


class BatchSource(Protocol):
    """This rank's training batches, in an order that depends on seed and epoch alone.

    Its state is the position after the last batch yielded.
    """

    @property
    def epoch(self) -> int:
        """Number of the present epoch, from 0."""

    @property
    def step(self) -> int:
        """Batches of it that were yielded."""

    def __len__(self) -> int:
        """Batches of the present epoch."""

    def __iter__(self) -> Iterator[TrainingBatch]:
        """Yield the rest of the present epoch; the next call yields the next epoch."""

    def state_dict(self) -> dict[str, Any]:
        """Return the position as plain JSON values."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a position."""


@dataclass(slots=True)
class Progress:
    """How far a run is; plain JSON values."""

    step: int = 0
    """Optimizer steps done."""
    epoch: float = 0.0
    """Epochs of training done."""
    micro_batches: int = 0
    """Micro-batches of each rank."""
    tokens: int = 0
    """Sequence tokens that this rank has trained on, without padding."""
    bases: int = 0
    """Bases that this rank has trained on."""
    is_evaluation_due: bool = False
    """Whether this step is still to be evaluated: a signal came first."""
    elapsed_s: float = 0.0
    """Training time, earlier parts of a resumed run counted in."""
    best_loss: float | None = None
    """Lowest validation loss."""
    best_step: int | None = None
    """Step of the lowest validation loss."""
    evaluations_since_best: int = 0
    """Evaluations after it."""
    interval: dict[str, float] = field(default_factory=dict)
    """Sums since the last progress line on this rank."""

    @property
    def ends_epoch(self) -> bool:
        """Whether this step is the last of an epoch."""
        return self.step > 0 and self.epoch.is_integer()

    def note_evaluation(self, loss: float) -> bool:
        """Take over the validation loss of this step; return whether it is the lowest so far."""
        self.is_evaluation_due = False
        is_best = math.isfinite(loss) and (self.best_loss is None or loss < self.best_loss)
        if is_best:
            self.best_loss, self.best_step = loss, self.step
        self.evaluations_since_best = 0 if is_best else self.evaluations_since_best + 1
        return is_best


@dataclass(frozen=True, slots=True)
class RunState:
    """The parts of a run that change with each step."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    source: BatchSource
    progress: Progress
    average: WeightAverage | None = None

    def averaged_weights(self) -> AbstractContextManager[None]:
        """Put the averaged weights into the model while a block runs, if there are any."""
        return nullcontext() if self.average is None else self.average.applied(self.model)


def state_tensors(state: RunState) -> dict[str, Tensor]:
    """Return the tensors that a checkpoint holds, by name; writing into them changes the state."""
    names = {id(parameter): name for name, parameter in state.model.named_parameters()}
    found = {MODEL_PREFIX + name: tensor for name, tensor in _model_tensors(state.model)}
    for parameter, moments in state.optimizer.state.items():
        for key, value in moments.items():
            if isinstance(value, Tensor):
                where = f"optimizer/{names[id(parameter)]}/{key}"
                found |= {where + suffix: plain for suffix, plain in _plain_parts(value)}
    if state.average is not None:
        found |= {AVERAGE_PREFIX + name: tensor for name, tensor in state.average.average.items()}
    return found


def materialise(state: RunState, saved: set[str]) -> None:
    """Make the optimizer's lazy moments exist for the parameters whose moments are among `saved`.

    One step with learning rate 0 and gradients 0 changes no weight.
    """
    optimizer = state.optimizer
    used = {name.split("/")[1] for name in saved if name.startswith("optimizer/")}
    rates = [group["lr"] for group in optimizer.param_groups]
    optimizer.zero_grad(set_to_none=True)
    set_learning_rate(optimizer, 0.0)
    for name, parameter in state.model.named_parameters():
        if name in used:
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate


def _model_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield what the model's state holds, tied parameters under their first name."""
    kept = {id(tensor) for tensor in model.state_dict(keep_vars=True).values()}
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if id(tensor) in kept:
            yield name, tensor.detach()


def _plain_parts(tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Yield the plain tensors of a quantised tensor; any other tensor is its own only part."""
    is_plain = type(tensor) is Tensor or isinstance(tensor, DTensor)
    if is_plain or not hasattr(tensor, "__tensor_flatten__"):
        yield "", tensor.detach()
        return
    for name in tensor.__tensor_flatten__()[0]:
        for suffix, plain in _plain_parts(getattr(tensor, name)):
            yield f"/{name}{suffix}", plain
