"""The examples of docs/api.md, run from the first to the last in one folder."""

from __future__ import annotations

import doctest
import logging
import re
import shutil
from pathlib import Path

import pytest

from genet5.cli.simulate import main as simulate


@pytest.fixture
def folder(tmp_path: Path, toy_run: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory that the page describes."""
    assert simulate([str(tmp_path), "--length_bp", "30000", "--seed", "1"]) == 0
    shutil.copytree(toy_run / "base", tmp_path / "base")
    (tmp_path / "baked").mkdir()
    for name in ("training.packed", "validation.packed"):
        shutil.copy(toy_run / name, tmp_path / "baked")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_examples_of_the_api_page_hold(
    root: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "genet5")
    pytest.importorskip("pandas", reason="needs the extra pandas")
    page = root / "docs" / "api.md"
    text = re.sub(r"^```.*$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    examples = doctest.DocTestParser().get_doctest(text, {}, page.name, str(page), 0)
    assert examples.examples
    assert doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(examples).failed == 0
