"""Commands that count things."""

from __future__ import annotations

import io
import logging
import sys

from genet5.progress import CountProgress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_now_and_then_where_there_is_no_terminal(monkeypatch, caplog) -> None:
    monkeypatch.setattr("genet5.progress._LINE_EVERY_S", -1.0)
    with caplog.at_level(logging.INFO, "genet5"), CountProgress("rows") as progress:
        progress.show("reading", 250, 1000)
    assert caplog.messages == ["reading | 250/1,000 rows (25.0%)"]


def test_a_bar_on_a_terminal(monkeypatch, caplog) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with caplog.at_level(logging.INFO, "genet5"), CountProgress("rows") as progress:
        progress.show("writing", 3, 4)
    assert "writing" in screen.getvalue()
    assert "3/4" in screen.getvalue()
    assert not caplog.messages


def test_a_quiet_command_has_no_bar(monkeypatch, caplog) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with caplog.at_level(logging.WARNING, "genet5"), CountProgress("rows") as progress:
        progress.show("writing", 3, 4)
    assert screen.getvalue() == ""
