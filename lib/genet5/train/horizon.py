"""How long a run is, and how it ended; pure numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from genet5.config.run import RunConfig
from genet5.errors import DataError


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run is in its data."""

    epoch: int
    """Number of the present epoch, from 0."""
    taken: int
    """Micro-batches of it that were taken."""
    micro_batches: int
    """All that it has."""

    @property
    def epochs(self) -> float:
        """Epochs done; a whole number at the end of one."""
        return self.epoch + self.taken / max(1, self.micro_batches)


@dataclass(frozen=True, slots=True)
class Horizon:
    """How long a run is: a number of steps, or of epochs, which it never passes.

    A step takes micro-batches of one epoch only, so the last step of an epoch may be smaller. Where
    epochs decide, the place in the data does: it also holds for a run that resumed with another
    batch size or number of ranks, and where epochs differ by some micro-batches.
    """

    total_steps: int
    """Steps that the schedule spans; of epochs, as many as they have if all are like the first."""
    steps_per_epoch: int
    epochs: float | None = None
    """Where the run ends; None = after `total_steps`."""

    @classmethod
    def of(cls, config: RunConfig, micro_batches_per_epoch: int) -> Horizon:
        """Return the horizon that the settings ask for; `max_steps` goes before `epochs`.

        Raises:
            DataError: There is no micro-batch.
        """
        if micro_batches_per_epoch < 1:
            raise DataError("no training batch", path=config.train, remedy="Bake more windows")
        size, epochs = config.batch.grad_accum, config.duration.epochs
        per_epoch = math.ceil(micro_batches_per_epoch / size)
        if config.duration.max_steps is not None:
            return cls(config.duration.max_steps, per_epoch)
        rest = cls(1, per_epoch, epochs).left(Place(int(epochs), 0, micro_batches_per_epoch))
        return cls(int(epochs) * per_epoch + math.ceil(rest / size), per_epoch, epochs)

    def left(self, place: Place) -> int:
        """Return how many micro-batches of the present epoch the run may still take."""
        if self.epochs is None or place.epoch < int(self.epochs):
            return place.micro_batches - place.taken
        part = round((self.epochs - int(self.epochs)) * place.micro_batches)
        least = 1 if self.epochs < 1 else 0  # a run has one step
        return max(part, least) - place.taken if place.epoch == int(self.epochs) else 0

    def is_over(self, step: int, place: Place) -> bool:
        """Whether the run ends after `step` steps, at this place in the data."""
        if self.epochs is None:
            return step >= self.total_steps
        at = place if place.taken < place.micro_batches else replace(
            place, epoch=place.epoch + 1, taken=0
        )  # fmt: skip
        return self.left(at) <= 0

    def last_step(self, step: int, epoch: float) -> int:
        """Return the number of the run's last step, as it looks after `step` steps."""
        if self.epochs is None:
            return self.total_steps
        return step + max(0, math.ceil((self.epochs - epoch) * self.steps_per_epoch - 1e-6))

    def on_schedule(self, step: int, epoch: float) -> float:
        """Return where on the schedule the step is that follows `step` steps and `epoch` epochs."""
        if self.epochs is None:
            return float(step)
        return round(epoch / self.epochs * self.total_steps, 9)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    reason: str
    """finished, max_minutes, early_stopping or interrupted."""
    step: int
    """Steps done."""
    best_step: int | None
    """Step of the lowest validation loss."""
    best_loss: float | None
    """Lowest validation loss."""
    elapsed_s: float
    """Training time, earlier parts of a resumed run counted in."""
