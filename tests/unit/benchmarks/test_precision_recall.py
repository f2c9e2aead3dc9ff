"""Precision and recall: which calls count, short ones or all, and recall at a precision."""

from __future__ import annotations

import pytest
from precision_recall import (
    PrecisionRecallConfig,
    calls_of,
    curve,
    main,
    number_of,
    recall_at,
)

from genet5.errors import ConfigError

LINES = """\
##gff-version 3
c1\tx\tgene\t{0}\t{1}\t{2}\t+\t.\tID=g{0};start_score=0.8000;gene_biotype=protein_coding
c1\tx\tmRNA\t{0}\t{1}\t.\t+\t.\tID=g{0}.1;Parent=g{0}
c1\tx\tCDS\t{0}\t{1}\t.\t+\t0\tID=g{0}.1.cds;Parent=g{0}.1
"""


def test_a_call_is_short_by_the_reference_and_scored_by_its_stop(make_gene) -> None:
    truth = [make_gene((0, 90)), make_gene((200, 800))]
    right = make_gene((30, 90), score=0.4, start_score=0.5)
    cut_short = make_gene((650, 800), score=0.9)
    wrong = make_gene((900, 990), strand=-1, score=0.3)
    assert number_of(truth, 300) == 1
    assert calls_of([right, cut_short, wrong], truth, 300) == [(0.8, True), (0.3, False)]


def test_calls_about_pseudogenes_do_not_count(make_gene) -> None:
    pseudo = make_gene((0, 600), pseudo=True)
    within, across = make_gene((300, 390), score=0.5), make_gene((560, 680), score=0.5)
    assert calls_of([within, across], [pseudo], 300) == [(0.5, False)]


def test_recall_is_the_largest_that_keeps_the_precision() -> None:
    calls = [(0.9, True), (0.8, False), (0.7, True), (0.6, True), (0.5, False), (0.5, False)]
    assert recall_at(curve(calls, 4), 1.0) == 0.25
    assert recall_at(curve(calls, 4), 0.75) == 0.75
    assert recall_at(curve([(0.5, True), (0.5, False)], 2), 0.9) == 0.0


def test_the_table_holds_each_way_to_call(tmp_path, capsys) -> None:
    truth, found = tmp_path / "t.gff3", tmp_path / "f.gff3"
    truth.write_text(LINES.format(1, 90, "."))
    found.write_text(LINES.format(1, 90, 0.8))
    arguments = [
        "--references",
        str(truth),
        "--predictions",
        f"auto={found}",
        "--precisions",
        "0.9",
        "--figure",
        str(tmp_path / "curves.svg"),
    ]
    assert main(arguments) == 0
    assert "| auto | 1.000 | 1.000 | 1.000 |" in capsys.readouterr().out
    assert "precision" in (tmp_path / "curves.svg").read_text()


def test_each_name_needs_a_file_for_each_reference(tmp_path) -> None:
    with pytest.raises(ConfigError, match="one for each reference"):
        PrecisionRecallConfig(predictions=("a=x", "a=y"), references=(tmp_path / "t",))
