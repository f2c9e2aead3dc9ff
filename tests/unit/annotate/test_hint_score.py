"""What hints add to the odds of candidates."""

from __future__ import annotations

import math

import pytest

from genet5.annotate.calling_config import CallingConfig
from genet5.annotate.candidate import GeneCandidate
from genet5.annotate.hint_score import MOST, HintIndex, coding_frames
from genet5.annotate.select import SelectionRules, select_candidates
from genet5.decode.fragment import Interval
from genet5.genome.hints import Hint


def candidate(*parts: tuple[int, int], strand: int = 1, frame: int | None = None) -> GeneCandidate:
    leftmost = frame if frame is not None else (0 if strand > 0 else 2)
    intervals = tuple(Interval("cds", *part) for part in parts)
    return GeneCandidate("protein_coding", strand, intervals, leftmost)


def odds(one: GeneCandidate, *hints: Hint, weight: float = 1.0) -> float:
    index = HintIndex(hints, weight, place=lambda part: ("c", part))
    moved = round(float(index.log_odds(3, [one.moved(-3)])[0]), 4)
    assert moved == round(float(index.log_odds(0, [one])[0]), 4)
    return moved


SPLICED = candidate((10, 22), (50, 65))


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (Hint("c", "intron", 22, 50, 1, multiplicity=50), 1.0),
        (Hint("c", "intron", 22, 50, 1), 0.5),
        (Hint("c", "intron", 22, 50, 0, multiplicity=2), 0.75),
        (Hint("c", "intron", 22, 50, -1), 0.0),
        (Hint("c", "intron", 23, 50, 1), 0.0),
        (Hint("other", "intron", 22, 50, 1), 0.0),
        (Hint("c", "start", 10, 13, 1, multiplicity=50), 0.7),
        (Hint("c", "stop", 62, 65, 1, multiplicity=50), 0.7),
        (Hint("c", "coding", 10, 22, 1, 0), round(1.5 * 12 / 27, 4)),
        (Hint("c", "coding", 10, 22, 1, 1), 0.0),
        (Hint("c", "coding", 0, 100, 1), 1.5),
    ],
)
def test_a_hint_adds_what_it_is_worth(hint: Hint, expected: float) -> None:
    assert odds(SPLICED, hint) == expected
    assert odds(SPLICED, hint, weight=2.0) == pytest.approx(2 * expected, abs=2e-4)


def test_ends_count_on_the_reverse_strand_too() -> None:
    gene = candidate((10, 40), strand=-1)
    start, stop = (Hint("c", kind, *place, -1, multiplicity=50) for kind, place in (
        ("start", (37, 40)), ("stop", (10, 13))))  # fmt: skip
    assert odds(gene, start, stop) == 1.4
    assert odds(gene, Hint("c", "coding", 13, 40, -1, 0)) == 1.35
    assert odds(gene, Hint("c", "coding", 13, 40, -1, 1)) == 0.0


def test_hints_add_no_more_than_a_limit() -> None:
    places = [(20 * n, 20 * n + 10) for n in range(12)]
    introns = [Hint("c", "intron", a + 10, a + 20, 1, multiplicity=50) for a, _ in places]
    assert odds(candidate(*places), *introns) == MOST


@pytest.mark.parametrize("strand", [1, -1])
def test_frames_of_parts_follow_the_codons_over_introns(strand: int) -> None:
    found = [frame for _, _, frame in coding_frames(candidate((10, 14), (20, 31), strand=strand))]
    assert found == [10 % 3, 19 % 3]


def test_the_structure_that_hints_name_is_chosen_and_without_hints_scores_stay() -> None:
    rules = SelectionRules(
        calling=CallingConfig(window_bp=100, overlap_bp=50, min_score=0.0), code=11
    )
    rivals = [candidate((10, 22), (47, 65)), SPLICED]
    plain = select_candidates(rivals, rules, 1000)
    intron = Hint("c1", "intron", 22, 50, 1, multiplicity=9)
    hints = HintIndex([intron], place=lambda part: (f"c{part}", 0))
    rules_with = SelectionRules(calling=rules.calling, code=11, hints=hints, part=1)
    ((chosen, score),) = select_candidates(rivals, rules_with, 1000)
    assert chosen is SPLICED
    unhinted = SelectionRules(calling=rules.calling, code=11, hints=hints, part=2)
    assert select_candidates(rivals, unhinted, 1000) == plain
    alone = select_candidates([SPLICED], rules, 1000)[0][1]
    assert math.log(score / (1 - score)) > math.log(alone / (1 - alone)) + 0.9
