"""How long a run is, and how it ended; pure numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from genet5.config.train import RunConfig
from genet5.errors import DataError


@dataclass(frozen=True, slots=True)
class Horizon:
    """How long a run is, in steps."""

    total_steps: int
    """The run ends here."""
    steps_per_epoch: float
    """Need not be whole: a step may take micro-batches of two epochs."""
    counts_epochs: bool = False
    """Whether epochs decide the length, not a number of steps."""
    ahead: int = 0
    """Steps by which the epochs are ahead of the run's count, as earlier steps took in more than
    those of now (negative: less)."""

    @classmethod
    def of(cls, config: RunConfig, micro_batches_per_epoch: int) -> Horizon:
        """Return the horizon that the settings ask for; `max_steps` goes before `epochs`.

        Raises:
            DataError: There is no micro-batch.
        """
        if micro_batches_per_epoch < 1:
            raise DataError("no training batch", path=config.train, remedy="Bake more windows")
        per_epoch = micro_batches_per_epoch / config.batch.grad_accum
        steps = config.duration.max_steps or math.ceil(config.duration.epochs * per_epoch)
        by_epochs = config.duration.max_steps is None
        return cls(max(1, steps), per_epoch, by_epochs)

    def after(self, step: int, epoch: float) -> Horizon:
        """Return the horizon of a run resumed at `step` after `epoch` epochs, on any world size.

        Where epochs decide the length, the rest of them is trained, and the schedule resumes at
        the share that is done; a number of steps stays.
        """
        ahead = round(epoch * self.steps_per_epoch) - step
        shorter = ahead - self.ahead if self.counts_epochs else 0
        return replace(self, total_steps=self.total_steps - shorter, ahead=ahead)

    def on_schedule(self, step: int) -> int:
        """Return the position of `step` on the schedule of the whole run."""
        return step + self.ahead if self.counts_epochs else step

    def epoch(self, step: int) -> float:
        """Return the epochs after `step` steps."""
        return (step + self.ahead) / self.steps_per_epoch

    def ends_epoch(self, step: int) -> bool:
        """Whether the last of `step` steps ends an epoch."""
        return int(self.epoch(step)) > int(self.epoch(step - 1))


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
