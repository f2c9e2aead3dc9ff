"""The notebooks of examples/ run from top to bottom, and are stored as they ran."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="needs the extra examples")
nbclient = pytest.importorskip("nbclient", reason="needs the extra examples")

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
LARGEST_BYTES = 200_000


SMALLER = {
    "40_000": "12_000",
    "10_000": "4_000",
    "--length_bp 300000": "--length_bp 60000",
    "max_steps=40": "max_steps=4",
    "eval_steps=10": "eval_steps=2",
}


def command(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


@pytest.fixture
def jupyter(tmp_path: Path, python: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel and a command `genet5` that start fast."""
    kernel = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    record = {"argv": kernel, "display_name": "python3", "language": "python"}
    command(tmp_path, "jupyter/kernels/python3/kernel.json", json.dumps(record))
    command(tmp_path, "bin/genet5", f'#!/bin/sh\nexec "{python}" -m genet5 "$@"\n')
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "lib"), *sys.path]))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.usefixtures("jupyter")
def test_the_notebook_runs(path: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra examples")
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        for number, smaller in SMALLER.items():
            cell.source = cell.source.replace(number, smaller)
    nbclient.NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    ).execute()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_is_stored_as_it_ran(path: Path) -> None:
    assert path.stat().st_size < LARGEST_BYTES
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert any("image/png" in output.get("data", {}) for cell in cells for output in cell.outputs)


def test_there_are_notebooks() -> None:
    assert len(NOTEBOOKS) >= 2
