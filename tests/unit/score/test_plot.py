"""The picture is well-formed, complete and needs nothing from outside."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from builders import make_gene
from genet5.score.causes import CAUSES
from genet5.score.genes import score_genes
from genet5.score.levels import Scores
from genet5.score.plot import plot_html, plot_svg

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def scores() -> Scores:
    return score_genes(
        [make_gene((0, 300)), make_gene((1030, 1600))],
        [make_gene((0, 300)), make_gene((1000, 1600))],
    )


def test_every_level_and_cause_has_two_bars_with_numbers(scores: Scores) -> None:
    picture = ET.fromstring(plot_svg(scores))
    words = [element.text for element in picture.iter(f"{SVG}text")]
    shown = [name for name, level in scores.levels.items() if level.reference]
    for name in (*shown, *(name for key, name in CAUSES.items() if key != "right")):
        assert name in words
    assert words.count("50.0 %") == 8  # exon, transcript, gene and exact, on both sides
    bars = [r for r in picture.iter(f"{SVG}rect") if r.get("height") == "15"]
    assert len(bars) == 2 * (len(shown) + len(CAUSES) - 1)


def test_bars_and_numbers_stay_in_the_picture(scores: Scores) -> None:
    picture = ET.fromstring(plot_svg(scores))
    width, height = (float(picture.get(side, "0")) for side in ("width", "height"))
    for text in picture.iter(f"{SVG}text"):
        assert 0 <= float(text.get("x", "-1")) <= width - 40
        assert 0 <= float(text.get("y", "-1")) <= height


def test_no_predictions_can_be_drawn() -> None:
    assert "missed" in plot_svg(score_genes([], [make_gene((0, 300))]))


def test_the_page_holds_tables_protocol_and_escaped_names(scores: Scores) -> None:
    page = plot_html(scores, "<p>.gff3", "a&b.gff3")
    assert "&lt;p&gt;.gff3 against a&amp;b.gff3" in page
    assert "wrong start" in page
    assert "Ignored references" in page
    assert "<script" not in page
    assert page.count("http") == 1  # the name space of SVG, which nobody fetches
