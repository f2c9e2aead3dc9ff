"""`genet5 plot`: curves of runs, read and drawn."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genet5.cli.plot import main, short_names
from genet5.errors import DataError, FormatError
from genet5.train.telemetry.curves import draw, read_run, smoothed

pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")


def write_run(folder: Path, lr: float = 0.1, **extra: Any) -> Path:
    folder.mkdir()
    rows = [
        {"kind": "train", "step": k, "loss": 3 / k, "bases": 1e6 * k, "elapsed_s": 36 * k,
         "bp_per_s": 4000, "rss_gib": 1.0, "cuda_active_peak_gib": 0.0, "lr": lr, "grad_norm": 1}
        for k in range(1, 11)
    ]  # fmt: skip
    rows.insert(5, {"kind": "validation", "step": 5, "loss": 0.7, "gene_f1": 0.9})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = {"out": "x", "optim": {"lr": lr}, **extra}
    (folder / "run.json").write_text(json.dumps({"settings": settings}))
    return folder


def test_rows_become_columns_by_kind(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "a"))
    assert run.name == "a"
    assert run.train["loss"].tolist() == [3 / k for k in range(1, 11)]
    assert run.validation["gene_f1"].tolist() == [0.9]
    assert run.settings == {"out": "x", "optim.lr": 0.1}


@pytest.mark.parametrize(("axis", "expected"), [("step", 5), ("bases", 5), ("hours", 0.05)])
def test_validation_lies_where_training_was(axis: Any, expected: float, tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "a"))
    assert run.validation.x(axis).tolist() == [expected]
    assert len(run.train.x(axis)) == 10


def test_a_line_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a")
    with (folder / "metrics.jsonl").open("a") as out:
        out.write('{"kind": "train", "st')
    assert len(read_run(folder).train["step"]) == 10


@pytest.mark.parametrize(
    "line", ["nonsense", "[1]", '{"step": 1}', '{"kind": "train", "loss": []}']
)
def test_a_damaged_line_is_named(line: str, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a")
    with (folder / "metrics.jsonl").open("a") as out:
        out.write(line + "\n")
    with pytest.raises(FormatError, match="line 12"):
        read_run(folder)


@pytest.mark.slow
def test_groups_of_validation_windows_have_panels_of_their_own(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a")
    row = {"kind": "validation", "step": 10, "hard_loss": 1.0, "plants_loss": 2.0}
    row |= {"hard_gene_f1": 0.5, "plants_stop_f1": 0.6}
    with (folder / "metrics.jsonl").open("a") as out:
        out.write(json.dumps(row) + "\n")
    page = tmp_path / "page.html"
    draw([read_run(folder)], page)
    titles = ("validation loss", "F1 of genes", "F1 of 3' ends")
    assert all(f"{title} by clade and difficulty" in page.read_text() for title in titles)


def test_a_folder_without_metrics_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no metrics\.jsonl"):
        read_run(tmp_path)


def test_the_running_mean_keeps_a_constant_and_passes_over_gaps() -> None:
    values = np.full(200, 2.0)
    values[17] = np.nan
    assert np.allclose(smoothed(values), 2.0)


@pytest.mark.slow
@pytest.mark.parametrize(("ending", "begins"), [("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_the_name_decides_the_format(ending: str, begins: bytes, tmp_path: Path) -> None:
    runs = [read_run(write_run(tmp_path / "a"))]
    draw(runs, tmp_path / f"curves.{ending}")
    assert (tmp_path / f"curves.{ending}").read_bytes().startswith(begins)


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"\.html"):
        draw([], tmp_path / "curves.gif")


@pytest.mark.slow
def test_a_page_compares_runs_and_needs_no_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = write_run(tmp_path / "a"), write_run(tmp_path / "b", lr=0.2, seed=1)
    page = tmp_path / "curves.html"
    assert main([str(a), str(b), "-o", str(page), "--names", "<old>", "new"]) == 0
    assert "2 runs" in capsys.readouterr().err
    found = _Page()
    found.feed(page.read_text())
    assert ["optim.lr", "0.1", "0.2"] in found.rows
    assert ["seed", "", "1"] in found.rows
    assert ["validation loss, lowest", "0.7000", "0.7000"] in found.rows
    assert ["", "<old>", "new"] in found.rows
    assert not [link for link in found.links if not link.startswith("#")]


def test_runs_of_one_name_are_told_apart() -> None:
    assert short_names([Path("left/run"), Path("right/run"), Path("x/b")]) == [
        "left/run", "right/run", "b",
    ]  # fmt: skip


def test_names_must_be_as_many_as_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "-o", str(tmp_path / "x.svg"), "--names", "a", "b"]) == 2
    assert "as many as runs (1)" in capsys.readouterr().err


class _Page(HTMLParser):
    """The rows of a page's tables, and what it links to."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.links: list[str] = []
        self._in_cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [
            value or "" for name, value in attrs if name in ("src", "href", "xlink:href")
        ]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        self._in_cell = tag in ("td", "th")

    def handle_endtag(self, tag: str) -> None:
        self._in_cell = False

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.rows[-1][-1] += data
