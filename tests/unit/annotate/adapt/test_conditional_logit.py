"""The conditional logit finds the weights that made the choices."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from genet5.annotate.adapt.conditional_logit import fit_conditional_logit
from genet5.annotate.adapt.ragged import row_softmax


def choices(weights: list[float], count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    firsts = np.concatenate(([0], np.cumsum(rng.integers(1, 6, count))))
    features = rng.normal(size=(firsts[-1], len(weights))) * [1.0, 10.0]
    p = row_softmax(features @ np.array(weights), firsts)
    right = [
        low + rng.choice(high - low, p=p[low:high]) for low, high in itertools.pairwise(firsts)
    ]
    return features, firsts, np.array(right)


def test_the_weights_that_made_the_choices_are_found() -> None:
    found = fit_conditional_logit(*choices([1.0, -0.2], 4000))
    assert found.tolist() == pytest.approx([1.0, -0.2], abs=0.08)


def test_the_gradient_is_zero_at_the_solution() -> None:
    features, firsts, right = choices([0.5, 0.1], 200)
    found = fit_conditional_logit(features, firsts, right, ridge=0.0)
    p = row_softmax(features @ found, firsts)
    assert features[right].sum(axis=0).tolist() == pytest.approx((p @ features).tolist(), abs=1e-4)


def test_a_feature_that_never_differs_gets_no_weight() -> None:
    features, firsts, right = choices([1.0, 0.0], 100)
    features[:, 1] = 3.0
    assert fit_conditional_logit(features, firsts, right)[1] == pytest.approx(0)
