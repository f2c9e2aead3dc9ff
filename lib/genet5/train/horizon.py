"""How long a run is, and how it ended; pure numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

from genet5.config.train import TrainConfig
from genet5.errors import DataError


@dataclass(frozen=True, slots=True)
class Horizon:
    """How long a run is, in steps."""

    total_steps: int
    """The schedule ends here."""
    steps_per_epoch: float
    """Need not be whole: a step may take micro-batches of two epochs."""

    @classmethod
    def of(cls, config: TrainConfig, micro_batches_per_epoch: int) -> Horizon:
        """Return the horizon that the settings ask for; `max_steps` goes before `epochs`.

        Raises:
            DataError: There is no micro-batch.
        """
        if micro_batches_per_epoch < 1:
            raise DataError("no training batch", path=config.train, remedy="Bake more windows")
        per_epoch = micro_batches_per_epoch / config.batch.grad_accum
        steps = config.duration.max_steps or math.ceil(config.duration.epochs * per_epoch)
        return cls(max(1, steps), per_epoch)

    def ends_epoch(self, step: int) -> bool:
        """Whether an epoch ends with the step that makes `step` steps done."""
        return int(step / self.steps_per_epoch) > int((step - 1) / self.steps_per_epoch)


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
