"""Fit a conditional logit: of several alternatives one is right, and features say which.

The probability of alternative j of a choice is exp(w . f_j) / sum_k exp(w . f_k); w maximises the
sum of the logarithms of the right ones' probabilities, less ridge / 2 * |w|^2 in units of the
features' standard deviations, by Newton's method. Source: McFadden 1974.

Example:
    >>> features = np.array([[1.0], [0.0], [1.0], [0.0], [0.0], [1.0]])
    >>> firsts, right = np.array([0, 2, 4, 6]), np.array([0, 2, 4])
    >>> fit_conditional_logit(features, firsts, right, ridge=0.0).round(3).tolist()
    [0.693]
"""

from __future__ import annotations

import numpy as np

from genet5.annotate.adapt.ragged import Floats, Ints, row_index, row_softmax


def fit_conditional_logit(
    features: Floats, firsts: Ints, right: Ints, *, ridge: float = 1.0, steps: int = 50
) -> Floats:
    """Return the weights, (F,).

    Args:
        features: (m, F) of all alternatives.
        firsts: (n + 1,) where the alternatives of each choice begin.
        right: (n,) index of the right alternative of each choice.
        ridge: Weight of the squared coefficients of standardised features, in units of a choice.
        steps: Most Newton steps.
    """
    scale = features.std(axis=0)
    scale[scale == 0] = 1.0
    scaled, rows = features / scale, row_index(firsts)
    weights = np.zeros(features.shape[1])
    for _ in range(steps):
        p = row_softmax(scaled @ weights, firsts)
        expected = np.column_stack(
            [np.bincount(rows, p * column, len(firsts) - 1) for column in scaled.T]
        )
        gradient = (scaled[right] - expected).sum(axis=0) - ridge * weights
        centred = scaled - expected[rows]
        curvature = (centred * p[:, None]).T @ centred + (ridge + 1e-9) * np.eye(len(weights))
        change = np.linalg.solve(curvature, gradient)
        weights = weights + change / max(1.0, float(np.abs(change).max()) / 2)
        if np.abs(change).max() < 1e-8:
            break
    return np.asarray(weights / scale)
