"""The compiled walk along strands: it equals the steps in NumPy, and runs without a cache."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from genet5.decode.compiled import compiled
from genet5.decode.viterbi import LOWEST, StrandScores, walk
from viterbi_steps import walk_together


def random_strand(
    draw: np.random.Generator, length: int, introns: tuple[int, int, int]
) -> StrandScores:
    """Scores as a window has them: most starts, stops and splice sites are not legal."""
    count = sum(introns)

    def rare(share: float, *shape: int) -> np.ndarray:
        values = draw.normal(0, 4, shape).astype(np.float32)
        return np.where(draw.random(shape) < share, values, LOWEST).astype(np.float32)

    return StrandScores(
        introns=introns,
        states=-draw.exponential(1, (length, 4 + count)).astype(np.float32),
        start=rare(0.05, length),
        stop=rare(0.05, length),
        proceed=np.where(draw.random(length) < 0.05, LOWEST, np.float32(0)),
        donor=rare(0.1, length, count),
        acceptor=rare(0.1, length, count),
    )


@pytest.mark.parametrize("introns", [(1, 2, 3), (2, 6, 8), (1, 1, 1)])
@pytest.mark.parametrize("lag", [1, 20])
def test_all_choices_equal_those_of_the_steps_in_numpy(
    lag: int, introns: tuple[int, int, int]
) -> None:
    draw = np.random.default_rng(lag)
    strands = [random_strand(draw, length, introns) for length in (300, 1, 2, 211, 19, 45)]
    choices, lasts, cuts = walk_together(strands, lag, edge=-2.0)
    for row, strand in enumerate(strands):
        choice, last, cut_after = walk(strand, lag, -2.0)
        assert (last, cut_after) == (lasts[row], cuts[row])
        assert (choice == choices[: len(choice), :, row]).all()


def test_where_no_folder_may_hold_machine_code_functions_are_compiled_anew(monkeypatch) -> None:
    asked = []

    def njit(function=None, **settings):
        asked.append(settings)
        if settings.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return function

    monkeypatch.setattr(
        numba,
        "njit",
        lambda *f, **settings: (
            njit(*f, **settings) if f else lambda function: njit(function, **settings)
        ),
    )
    double = compiled(lambda number: 2 * number)
    assert asked == []
    assert [double(4), double(5)] == [8, 10]
    assert asked == [{"cache": True}, {}]
