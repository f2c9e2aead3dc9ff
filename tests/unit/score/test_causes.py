"""Why genes are wrong: one small case per cause, and sums that always agree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import make_gene
from genet5.genome.gene import Gene
from genet5.score.genes import score_genes
from genet5.score.levels import Scores


def wrong(scores: Scores) -> dict[str, tuple[int, int]]:
    """(reference, predicted) of the causes that occur."""
    counts = {name: (cause.reference, cause.predicted) for name, cause in scores.causes.items()}
    return {name: pair for name, pair in counts.items() if name != "right" and any(pair)}


SPLICED = make_gene((0, 300), (600, 800), (1000, 1200))
FAR = make_gene((5000, 5600))

CASES: dict[str, tuple[list[Gene], list[Gene], dict[str, tuple[int, int]]]] = {
    "nothing": ([SPLICED], [SPLICED], {}),
    "missed": ([], [SPLICED], {"missed": (1, 0)}),
    "extra": ([SPLICED, FAR], [SPLICED], {"extra": (0, 1)}),
    "a duplicate is extra": ([SPLICED, SPLICED], [SPLICED], {"extra": (0, 1)}),
    "wrong strand": ([make_gene((5000, 5600), strand=-1)], [FAR], {"wrong_strand": (1, 1)}),
    "split": (
        [make_gene((0, 300)), make_gene((600, 800), (1000, 1200))],
        [SPLICED],
        {"split": (1, 2)},
    ),
    "merged": (
        [make_gene((0, 300), (600, 800), (1000, 1200), (5000, 5600))],
        [SPLICED, FAR],
        {"merged": (2, 1)},
    ),
    "start": ([make_gene((30, 300), (600, 800), (1000, 1200))], [SPLICED], {"wrong_start": (1, 1)}),
    "start in another exon": (
        [make_gene((630, 800), (1000, 1200))],
        [SPLICED],
        {"wrong_start": (1, 1)},
    ),
    "stop": ([make_gene((0, 300), (600, 800), (1000, 1230))], [SPLICED], {"wrong_stop": (1, 1)}),
    "start on the other strand": (
        [make_gene((5000, 5660), strand=-1)],
        [make_gene((5000, 5600), strand=-1)],
        {"wrong_start": (1, 1)},
    ),
    "splice site": (
        [make_gene((0, 303), (600, 800), (1000, 1200))],
        [SPLICED],
        {"wrong_splice_site": (1, 1)},
    ),
    "skipped exon": ([make_gene((0, 300), (1000, 1200))], [SPLICED], {"wrong_splice_site": (1, 1)}),
    "several": ([make_gene((30, 303), (600, 800), (1000, 1200))], [SPLICED], {"several": (1, 1)}),
    "nearest isoform": (
        [make_gene((30, 300), (1000, 1200))],
        [make_gene((0, 300), (600, 800), (1000, 1200), others=[[(0, 300), (1000, 1200)]])],
        {"wrong_start": (1, 1)},
    ),
    "neighbours that overlap by some bases": (
        [make_gene((4997, 5600))],
        [FAR, make_gene((5596, 5900))],
        {"wrong_start": (1, 1), "missed": (1, 0)},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_cause(name: str) -> None:
    predicted, reference, expected = CASES[name]
    assert wrong(score_genes(predicted, reference, prokaryote=False)) == expected


def test_a_gene_within_the_intron_of_another_is_no_merger() -> None:
    nested = make_gene((320, 560))
    scores = score_genes([make_gene((0, 306), (600, 800), (1000, 1200))], [SPLICED, nested])
    assert wrong(scores) == {"wrong_splice_site": (1, 1), "missed": (1, 0)}


def test_a_shifted_gene_over_the_origin_is_found() -> None:
    scores = score_genes(
        [make_gene((930, 1200))], [make_gene((900, 1200))], {"c": 1000}, prokaryote=True
    )
    assert wrong(scores) == {"wrong_start": (1, 1)}
    over_and_within = score_genes([make_gene((0, 200))], [make_gene((900, 1200))], {"c": 1000})
    assert wrong(over_and_within) == {"several": (1, 1)}


@st.composite
def genes(draw: st.DrawFn) -> Gene:
    edges = sorted(draw(st.sets(st.integers(0, 120), min_size=2, max_size=8)))
    edges = edges[: len(edges) // 2 * 2]
    return make_gene(
        *zip(edges[::2], edges[1::2], strict=True), strand=draw(st.sampled_from((1, -1)))
    )


@pytest.mark.slow
@given(st.lists(genes(), max_size=6), st.lists(genes(), min_size=1, max_size=6))
def test_every_gene_has_one_cause(predicted: list[Gene], reference: list[Gene]) -> None:
    scores = score_genes(predicted, reference, prokaryote=False)
    level, causes = scores.levels["gene"], scores.causes
    assert causes["right"].reference == causes["right"].predicted == level.tp
    assert sum(cause.reference for cause in causes.values()) == level.reference
    assert sum(cause.predicted for cause in causes.values()) == level.predicted
    assert causes["missed"].predicted == causes["extra"].reference == 0
    for name in ("wrong_start", "wrong_stop", "wrong_splice_site", "several"):
        assert causes[name].reference == causes[name].predicted


def test_the_table_and_the_json_tell_the_causes() -> None:
    scores = score_genes([make_gene((0, 300), (600, 800), (1000, 1230))], [SPLICED, FAR])
    lines = scores.causes_table().splitlines()
    assert [line.split() for line in lines[1:4]] == [
        ["right", "0", "0"],
        ["missed", "1", "-"],
        ["extra", "-", "0"],
    ]
    assert scores.causes_table() in scores.table()
    assert scores.to_dict()["gene_causes"]["wrong_stop"] == {"reference": 1, "predicted": 1}
