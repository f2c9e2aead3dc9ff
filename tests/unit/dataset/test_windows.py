"""Tiling and the window record."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from genet5.dataset.windows import Window, reverse_intervals
from genet5.genome.sequence import encode_bases


def test_reversed_intervals_count_from_the_other_end() -> None:
    intervals = np.array([[0, 3], [5, 6]], dtype=np.int32)
    assert reverse_intervals(intervals, 10).tolist() == [[4, 5], [7, 10]]


def window(**changes) -> Window:
    return replace(
        Window(
            bases=encode_bases("ACGTACGT"),
            input_ids=np.array([5, 6], dtype=np.int32),
            token_start_bp=np.array([0, 4], dtype=np.int32),
            labels=np.array([1, 7, 2], dtype=np.int32),
            label_weights=np.ones(3, dtype=np.float32),
            genetic_code=11,
            clade="prokaryotes",
            genome="G",
            contig="c",
            start=100,
            strand=-1,
        ),
        **changes,
    )


def test_the_id_says_where_the_window_comes_from() -> None:
    assert window().id == "G/c:100-108(-)"
    assert window(recoded=True, genetic_code=4, strand=1).id == "G/c:100-108(+)[code 4]"


@pytest.mark.parametrize(
    "changes",
    [
        {"bases": encode_bases("ACGTACGa")},
        {"labels": np.array([1, 7, 3], dtype=np.int32)},
        {"label_weights": np.array([1, 0, 1], dtype=np.float32)},
        {"ignore": np.array([[0, 3]], dtype=np.int32)},
        {"genetic_code": 4},
        {"contig": "d"},
        {"start": 7},
        {"recoded": True},
    ],
)
def test_the_digest_changes_with_any_content(changes) -> None:
    assert window().digest() == window().digest()
    assert window(**changes).digest() != window().digest()
