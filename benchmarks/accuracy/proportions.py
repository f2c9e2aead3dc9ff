"""Shares with their intervals: so many of so many, between so much and so much."""

from __future__ import annotations

import math
from dataclasses import dataclass

Z_95 = 1.959964
"""Standard deviations that hold the middle 95 % of a normal distribution."""


@dataclass(frozen=True, slots=True)
class Proportion:
    """A share and its 95 % interval."""

    count: int
    total: int
    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if not self.total:
            return "-"
        return f"{self.value:.1%} [{self.low:.1%}, {self.high:.1%}]"


def wilson(count: int, total: int) -> Proportion:
    """Return a share with Wilson's score interval, which holds near 0 and 1 too.

    Of nothing the share is NaN, between 0 and 1.

    Reference: Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953.

    Example:
        >>> print(wilson(9, 10))
        90.0% [59.6%, 98.2%]
    """
    if not total:
        return Proportion(0, 0, math.nan, 0.0, 1.0)
    share, z2 = count / total, Z_95**2
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    spread = Z_95 * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2)) / (1 + z2 / total)
    return Proportion(count, total, share, max(0.0, middle - spread), min(1.0, middle + spread))
