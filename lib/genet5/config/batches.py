"""How large a micro-batch may be: what planning, loading and training share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from genet5.config.checks import by_default, require


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchLimits:
    """Size of a micro-batch."""

    token_budget: int = 36_400
    """Encoder tokens in a micro-batch per process, padding included; lower it when memory runs
    out."""
    label_budget: Annotated[int | None, by_default("no limit")] = None
    """Decoder labels in a micro-batch per process, padding included."""
    max_batch_size: int = 8
    """Most packed rows in a micro-batch."""
    min_batch_size: int = 1
    """Fewest packed rows in a micro-batch, even beyond the budgets; only the last one of an epoch
    and those split among processes have fewer."""

    def __post_init__(self) -> None:
        for name in ("token_budget", "label_budget", "max_batch_size", "min_batch_size"):
            value = getattr(self, name)
            require(value is None or value >= 1, name, value, "must be at least 1")
        require(
            self.min_batch_size <= self.max_batch_size,
            "min_batch_size",
            self.min_batch_size,
            f"must not exceed max_batch_size = {self.max_batch_size}",
        )
