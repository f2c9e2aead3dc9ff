"""Which features are active in which classes more often than by chance.

Tokens beside one another are not independent, so windows are: for a feature that is active at a of
a window's s tokens, m of which are of a class, a m / s are expected within the class if activity
and class have nothing to do with one another in that window. The test is Student's for one sample:
is the mean difference of observed and expected numbers, over the windows that have both, above 0?
It compares within windows: what holds of whole regions, such as their share of G and C, does not
count. p-values are one-sided, and corrected by Benjamini and Hochberg over all features and
classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

COLUMNS = {
    "feature": int,
    "class": str,
    "active_tokens": int,
    "expected": float,
    "fold": float,
    "windows": int,
    "t": float,
    "p": float,
    "p_adjusted": float,
}

Figures = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Enrichments:
    """Figures of F features and C classes, each (F, C)."""

    classes: tuple[str, ...]
    observed: Figures
    expected: Figures
    windows: Figures
    t: Figures
    p: Figures
    p_adjusted: Figures

    @property
    def fold(self) -> Figures:
        """Observed over expected; not a number where nothing is expected."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.observed / self.expected

    def best_class(self, feature: int) -> int:
        """Return the class with the lowest p of a feature; t decides where p is 0."""
        return int(np.lexsort((-self.t[feature], self.p[feature]))[0])

    def most_enriched(self) -> list[int]:
        """Return features by the p of their best class, the lowest first."""
        best = [(feature, self.best_class(feature)) for feature in range(len(self.p))]
        return [feature for feature, _ in sorted(best, key=lambda at: (self.p[at], -self.t[at]))]

    def rows(self, features: Sequence[int]) -> Iterator[dict[str, object]]:
        """Yield the rows of a table."""
        for feature in features:
            for number, name in enumerate(self.classes):
                at = feature, number
                yield {
                    "feature": feature,
                    "class": name,
                    "active_tokens": int(self.observed[at]),
                    "expected": float(self.expected[at]),
                    "fold": float(self.fold[at]) if self.expected[at] else None,
                    "windows": int(self.windows[at]),
                    "t": float(self.t[at]),
                    "p": float(self.p[at]),
                    "p_adjusted": float(self.p_adjusted[at]),
                }


class EnrichmentCounts:
    """Sums over windows; its size does not depend on their number.

    Args:
        features: Number of features, F.
        classes: Names of the classes, C.
    """

    def __init__(self, features: int, classes: tuple[str, ...]) -> None:
        self._classes = classes
        zeros = torch.zeros(features, len(classes), dtype=torch.float64)
        self._observed, self._expected = zeros.clone(), zeros.clone()
        self._difference, self._squares, self._windows = zeros.clone(), zeros.clone(), zeros

    def add(self, active_SF: Tensor, classes_CS: NDArray[np.bool_]) -> None:
        """Count a window's tokens."""
        active = active_SF.cpu().double()
        masks = torch.from_numpy(classes_CS).double()
        size = max(1, len(active))
        observed = active.T @ masks.T
        expected = active.sum(0)[:, None] * masks.sum(1)[None] / size
        difference = observed - expected
        self._observed += observed
        self._expected += expected
        self._difference += difference
        self._squares += difference.square()
        self._windows += (expected > 0) & (masks.sum(1) < size)[None]

    def tested(self) -> Enrichments:
        """Return the figures of all features and classes."""
        from scipy.stats import false_discovery_control
        from scipy.stats import t as student

        windows, difference = self._windows.numpy(), self._difference.numpy()
        mean = difference / np.maximum(1, windows)
        variance = self._squares.numpy() - mean * difference
        error = np.sqrt(variance.clip(min=1e-12) / np.maximum(1, windows * (windows - 1)))
        t = np.where(windows > 1, mean / error, 0.0)
        p = np.where(windows > 1, student.sf(t, np.maximum(1, windows - 1)), 1.0)
        adjusted = false_discovery_control(p.ravel()).reshape(p.shape)
        observed, expected = self._observed.numpy(), self._expected.numpy()
        return Enrichments(self._classes, observed, expected, windows, t, p, adjusted)
