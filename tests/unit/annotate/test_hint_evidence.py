"""Windows get the hints that show in them."""

from __future__ import annotations

import numpy as np
import pytest

from genet5.annotate.hint_evidence import HintEvidence
from genet5.genome.evidence import paint
from genet5.genome.hints import Hint

LENGTH = 300


def random_hints(seed: int) -> list[Hint]:
    rng = np.random.default_rng(seed)
    hints = [Hint("c", "intron", 5, 290, 1)]
    for _ in range(60):
        start, kind = int(rng.integers(LENGTH - 30)), rng.choice(["intron", "coding", "stop"])
        end = start + (3 if kind == "stop" else int(rng.integers(5, 30)))
        phase = int(rng.integers(3)) if kind == "coding" else None
        hints.append(Hint("c", kind, start, end, int(rng.choice([-1, 0, 1])), phase))
    return hints


@pytest.mark.parametrize("window", [(0, 300), (0, 80), (81, 82), (100, 180), (250, 300)])
def test_a_window_shows_its_part_of_the_contig(window: tuple[int, int]) -> None:
    hints = random_hints(1)
    whole = paint(hints, 0, LENGTH)
    evidence = HintEvidence(hints, place=lambda _: ("c", 0))
    shown = evidence.channels(0, *window, contig_bp=LENGTH)
    assert np.array_equal(shown, whole[:, slice(*window)])


def test_parts_of_a_contig_are_found_at_their_place() -> None:
    hints = random_hints(2)
    evidence = HintEvidence(hints, place=lambda part: ("c", 100 * part))
    shown = evidence.channels(2, 10, 50, contig_bp=100)
    assert np.array_equal(shown, paint(hints, 210, 40))
    assert not HintEvidence(hints, place=lambda _: ("other", 0)).channels(0, 0, 9, 99).any()


def test_a_window_over_the_origin_continues_at_the_start() -> None:
    hints = random_hints(3)
    evidence = HintEvidence(hints, place=lambda _: ("c", 0))
    over = evidence.channels(0, 280, 320, contig_bp=LENGTH)
    whole = paint(hints, 0, LENGTH)
    assert np.array_equal(over, np.concatenate((whole[:, 280:], whole[:, :20]), axis=1))
    assert np.array_equal(evidence.channels(0, 300, 330, contig_bp=LENGTH), whole[:, :30])
