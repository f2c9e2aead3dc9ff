"""`genet5 models`: list, info, path and fetch; the shipped cards are true."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors import safe_open

from genet5.annotate.calling_config import load_calling_config
from genet5.cli.models import main
from genet5.model.card import load_card, shipped_models
from genet5.model.folders import WEIGHTS_FILE, load_config, model_folder

SHIPPED = list(shipped_models())


def test_list_names_every_shipped_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.split()[0] for line in lines] == [folder.name for folder in SHIPPED]


def test_list_as_json_is_the_cards(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json"]) == 0
    cards = json.loads(capsys.readouterr().out)
    assert [card["name"] for card in cards] == [folder.name for folder in SHIPPED]


def test_info_has_figures_and_limits(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "nano"]) == 0
    text = capsys.readouterr().out
    for words in ("figures:", "pyrodigal", "limits:", "Apache-2.0"):
        assert words in text


@pytest.mark.parametrize("action", ["path", "fetch"])
def test_path_and_fetch_print_the_folder(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([action, "nano"]) == 0
    assert capsys.readouterr().out.strip() == str(model_folder("nano"))


def test_fetch_downloads_from_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def snapshot(name: str, **_: object) -> str:
        assert name == "someone/model"
        folder = tmp_path / "cached"
        folder.mkdir()
        (folder / "config.json").write_text((SHIPPED[0] / "config.json").read_text())
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    assert main(["fetch", "someone/model"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "cached")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["info"], "info needs a model"),
        (["list", "nano"], "list takes no model"),
        (["path", "nano", "--json"], "is for list and info"),
        (["info", "nope"], "no shipped model"),
    ],
)
def test_wrong_use_is_one_line(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) != 0
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_a_card_agrees_with_its_model(folder: Path) -> None:
    card = load_card(folder)
    calling = load_calling_config(folder, load_config(folder).max_window_bp)
    with safe_open(folder / WEIGHTS_FILE, "pt") as weights:
        stored = sum(weights.get_tensor(name).numel() for name in weights.keys())  # noqa: SIM118
    assert card.name == folder.name
    assert card.window_bp == calling.window_bp
    assert calling.genetic_code in card.genetic_codes
    assert card.parameters == stored


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_a_cards_figures_stand_in_the_results(folder: Path, root: Path) -> None:
    for figure in load_card(folder).figures:
        stored = (root / figure.source).read_text()
        results = json.loads(stored)
        rows = results["results"] if "results" in results else _peers(results)
        assert any(abs(value - figure.value) < 5e-5 for value in _values(rows)), figure


def _peers(results: dict) -> list[dict]:
    """The means of each tool over the genomes of a regime."""
    means = []
    for regime in results["regimes"].values():
        by_tool: dict[str, list[dict]] = {}
        for row in regime["results"]:
            by_tool.setdefault(row["label"], []).append(row["f1"])
        for found in by_tool.values():
            levels = [level for level, value in found[0].items() if value is not None]
            means.append({level: sum(f1[level] for f1 in found) / len(found) for level in levels})
    return means


def _values(node: object) -> list[float]:
    if isinstance(node, dict):
        return [v for child in node.values() for v in _values(child)]
    if isinstance(node, list):
        return [v for child in node for v in _values(child)]
    return [float(node)] if isinstance(node, (int, float)) else []
