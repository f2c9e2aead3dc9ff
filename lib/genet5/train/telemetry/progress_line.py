"""The progress line of a training run, and its short forms of numbers.

Example:
    >>> format_rate(0.0001), format_count(41234), format_duration(7980)
    ('1.0e-4', '41.2k', '2h13m')
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressLine:
    """One line on how a run goes; None = unknown, then left out."""

    step: int
    total_steps: int
    loss: float
    lr: float
    tokens_per_s: float
    padding_pct: float
    mfu_pct: float | None
    memory_gib: float
    memory_total_gib: float
    eta_s: float

    def __str__(self) -> str:
        width = len(str(self.total_steps))
        parts = [
            f"step {self.step:0{width}d}/{self.total_steps} "
            f"({100 * self.step / self.total_steps:.1f}%)",
            f"loss {self.loss:.4f}",
            f"lr {format_rate(self.lr)}",
            f"{format_count(self.tokens_per_s)} tok/s",
            f"pad {self.padding_pct:.1f}%",
            None if self.mfu_pct is None else f"mfu {self.mfu_pct:.0f}%",
            f"mem {self.memory_gib:.1f}/{self.memory_total_gib:.1f} GiB",
            f"eta {format_duration(self.eta_s)}",
        ]
        return " | ".join(part for part in parts if part is not None)


def format_rate(value: float) -> str:
    """Return a learning rate: 0.0001 -> 1.0e-4."""
    if not value:
        return "0"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def format_count(value: float) -> str:
    """Return a rounded number: 41234 -> 41.2k."""
    for limit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.1f}{suffix}"
    return f"{value:.0f}"


def format_duration(seconds: float) -> str:
    """Return a time: 7980 -> 2h13m, 75 -> 1m15s."""
    if not math.isfinite(seconds):
        return "?"
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 60}m{whole % 60:02d}s" if whole >= 60 else f"{whole}s"
