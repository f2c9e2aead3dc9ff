"""Reliability of scores: which genes count, bins, the calibration error, the files."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from reliability import curve, judge, main, markdown, start_scores

PREDICTED = """\
##gff-version 3
c1\tx\tgene\t1\t90\t0.72\t+\t.\tID=g1;start_score=0.9000;gene_biotype=protein_coding
c1\tx\tmRNA\t1\t90\t.\t+\t.\tID=g1.1;Parent=g1
c1\tx\tCDS\t1\t90\t.\t+\t0\tID=g1.1.cds;Parent=g1.1
"""


def test_stop_start_and_whole_are_judged_apart(make_gene) -> None:
    truth = [make_gene((0, 90)), make_gene((200, 320), strand=-1)]
    right = make_gene((0, 90), id="a", score=0.72)
    late = make_gene((200, 290), strand=-1, id="b", score=0.4)
    wrong = make_gene((500, 590), id="c", score=0.1)
    judged = judge([right, late, wrong], {"a": 0.9, "b": 0.5, "c": 0.5}, truth)
    assert judged["gene"] == [(0.72, True), (0.4, False), (0.1, False)]
    assert judged["start"] == [(0.9, True), (0.5, False)]
    assert [is_right for _, is_right in judged["stop"]] == [True, True, False]
    assert [p for p, _ in judged["stop"]] == pytest.approx([0.8, 0.8, 0.2])


def test_genes_without_start_score_have_no_start_to_judge(make_gene) -> None:
    gene = make_gene((0, 90), id="a", score=0.7)
    judged = judge([gene], {}, [gene])
    assert judged == {"gene": [(0.7, True)], "start": [], "stop": [(0.7, True)]}


def test_what_the_reference_leaves_open_is_left_out(make_gene) -> None:
    pseudo = make_gene((0, 90), pseudo=True)
    whole = make_gene((0, 90), score=0.7)
    cut = replace(whole.canonical, partial_3=True)
    partial = replace(make_gene((200, 290), score=0.9), transcripts=(cut,))
    other = make_gene((400, 490))
    assert judge([whole, partial], {}, [pseudo, other])["gene"] == []


def test_bins_hold_mean_and_share_and_the_error_weighs_genes() -> None:
    pairs = [(0.95, True)] * 9 + [(0.95, False)] + [(0.2, False)] * 10
    found = curve("gene", pairs, 10)
    assert [(b.low, b.high, b.right.total) for b in found.bins] == [(0.2, 0.3, 10), (0.9, 1.0, 10)]
    assert found.bins[1].mean == pytest.approx(0.95)
    assert found.bins[1].right.value == 0.9
    assert found.error == pytest.approx((10 * 0.2 + 10 * 0.05) / 20)
    assert curve("gene", [(1.0, True)], 10).bins[0].high == 1.0


def test_start_scores_are_read_from_gene_lines(tmp_path) -> None:
    path = tmp_path / "p.gff3"
    path.write_text(PREDICTED)
    assert start_scores(path) == {"g1": 0.9}


@pytest.mark.slow
def test_table_figure_and_json_are_written(tmp_path, capsys) -> None:
    pytest.importorskip("matplotlib")
    path, out, figure = (tmp_path / name for name in ("p.gff3", "r.json", "r.svg"))
    path.write_text(PREDICTED)
    flags = ["--predictions", str(path), "--references", str(path)]
    assert main([*flags, "--out", str(out), "--figure", str(figure)]) == 0
    text = capsys.readouterr().out
    assert "**start_score: is the start right, where the stop is?** 1 genes" in text
    assert "| 0.70 to 0.80 | 1 | 0.720 | 100.0% [20.7%, 100.0%] |" in text
    assert [c["what"] for c in json.loads(out.read_text())["curves"]] == ["gene", "start", "stop"]
    assert figure.read_text().startswith("<?xml")


def test_each_prediction_needs_its_reference(capsys) -> None:
    assert main(["--predictions", "a", "b", "--references", "c"]) == 2
    assert "must be as many as 2 predictions" in capsys.readouterr().err


def test_a_table_has_a_row_for_each_bin_with_genes() -> None:
    text = markdown([curve("stop", [(0.05, False), (0.95, True)], 2)])
    assert text.count("\n| 0") == 2
