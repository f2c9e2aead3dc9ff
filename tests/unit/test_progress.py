"""Progress: a line now and then where stderr is no terminal, a bar where it is one."""

from __future__ import annotations

import logging
import sys

from genet5 import progress
from genet5.progress import BaseProgress, DownloadProgress


def test_lines_come_no_more_often_than_their_interval(monkeypatch, caplog) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    caplog.set_level(logging.INFO, logger="genet5")
    with DownloadProgress("genome.fa.gz") as meter:
        for now[0] in (10.0, 31.0, 40.0, 62.0):
            meter.at(int(now[0] * 1e5), 10_000_000 if now[0] > 40 else None)
    assert caplog.messages == ["genome.fa.gz: 3.1 MB", "genome.fa.gz: 6.2 of 10.0 MB"]


def test_bases_are_counted_with_rate_and_time_left(monkeypatch, caplog) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    caplog.set_level(logging.INFO, logger="genet5")
    with BaseProgress(4_000_000) as counter:
        now[0] = 50.0
        counter.add(1_000_000)
        assert (counter.done_bp, counter.elapsed_s) == (1_000_000, 50.0)
    assert caplog.messages == ["1.0 of 4.0 Mbp (25%) | 20.0 kbp/s | eta 2m30s"]


def test_contigs_and_genes_are_shown_once_they_are_written(monkeypatch, caplog) -> None:
    monkeypatch.setattr(progress, "_LINE_EVERY_S", -1.0)
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    caplog.set_level(logging.INFO, logger="genet5")
    with BaseProgress(4_000_000, 3) as counter:
        counter.add_contig(1200)
        now[0] = 1.0
        counter.add(2_000_000)
    assert caplog.messages == [
        "2.0 of 4.0 Mbp (50%) | 2.00 Mbp/s | 1 of 3 contigs, 1,200 genes | eta 0m01s"
    ]


def test_a_terminal_gets_a_bar_and_no_lines(monkeypatch, capsys, caplog) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(progress, "_LINE_EVERY_S", -1.0)
    caplog.set_level(logging.INFO, logger="genet5")
    with BaseProgress(1000) as counter:
        counter.add(500)
    shown = capsys.readouterr().err
    assert "annotate" in shown
    assert "50%" in shown
    with DownloadProgress("genome.fa.gz") as meter:
        meter.at(500, 1000)
    shown = capsys.readouterr().err
    assert "genome.fa.gz" in shown
    assert "0.5/1.0 kB" in shown
    assert not caplog.messages
