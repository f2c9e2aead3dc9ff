"""The compiled loops equal themselves as Python runs them.

Inputs are 64 bits wide: NumPy keeps the width of narrow numbers in products, numba widens them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from genet5.annotate.adapt import compiled_motif, compiled_strand

DRAW = np.random.default_rng(4)
INDEX = DRAW.choice(5, 900, p=(0.3, 0.2, 0.2, 0.28, 0.02))
UPSTREAM = DRAW.integers(0, 5, (7, 21)).astype(np.uint8)
IS_START = np.isin(np.arange(65), (14, 46, 62))
IS_STOP = np.isin(np.arange(65), (48, 50, 56))


def codons() -> np.ndarray:
    found = np.zeros(len(INDEX), np.int64)
    compiled_strand.read_codons.__wrapped__(INDEX, found)
    return found


def genes() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every start and the stop after it; the first is taken for unknown."""
    found = codons()
    own, ends = [], []
    for place in np.flatnonzero(IS_START[found]):
        after = [p for p in range(place, len(found) - 2, 3) if IS_STOP[found[p]]]
        if after:
            own.append(place)
            ends.append(after[0])
    known = np.ones(len(own), np.bool_)
    known[0] = False
    return np.array(own), np.array(ends), known


def read_codons() -> tuple[Any, ...]:
    return compiled_strand.read_codons, INDEX, np.zeros(len(INDEX), np.int64)


def count_hexamers() -> tuple[Any, ...]:
    return compiled_strand.count_hexamers, INDEX, np.zeros(4096, np.int64)


def starts_around() -> tuple[Any, ...]:
    own, ends, known = genes()
    found = np.zeros((len(own), 7), np.int64)
    limits = (30, 300, 3)
    return (
        compiled_strand.starts_around,
        codons(),
        IS_START,
        IS_STOP,
        own,
        ends - 12,
        known,
        limits,
        found,
    )


def open_frames() -> tuple[Any, ...]:
    usage = np.random.default_rng(1).normal(size=4097)
    found, coding = np.zeros((900, 2), np.int64), np.zeros(900)
    limits = (0, 890, 0, 300, 12)
    function = compiled_strand.open_frames
    return function, codons(), IS_START, IS_STOP, usage, limits, 0.0, found, coding


def site_odds() -> tuple[Any, ...]:
    ratio = np.random.default_rng(2).uniform(0.1, 3, (6, 5))
    return compiled_motif.site_odds, UPSTREAM, ratio, 13, np.empty((7, 14))


def site_counts() -> tuple[Any, ...]:
    belief = np.random.default_rng(3).uniform(size=(7, 14))
    return compiled_motif.site_counts, UPSTREAM, belief, 13, np.zeros((6, 5))


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", [read_codons, count_hexamers, starts_around, open_frames, site_odds, site_counts]
)
def test_a_compiled_loop_equals_its_python(case: Callable[[], tuple[Any, ...]]) -> None:
    (function, *ours), (_, *theirs) = case(), case()
    results = function(*ours), function.__wrapped__(*theirs)
    np.testing.assert_array_equal(*results)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
    assert any(np.any(np.asarray(one)) for one in ours[-2:])
