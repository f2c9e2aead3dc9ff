"""The documentation's generated parts: a page for each command, and the stored figure."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import architecture
import pytest
from generated_pages import command_page, help_of, write_command_pages

from genet5.cli import COMMANDS

HELP = """\
usage: genet5 score [-h] [OPTIONS]

Score genes.

╭─ options ────────────╮
│ --json F  Write JSON │
│           too.       │
╰──────────────────────╯
"""


def test_a_commands_page_has_its_usage_and_options_without_frames() -> None:
    page = command_page("score", HELP)
    assert page.startswith("# genet5 score\n\nScore genes.\n")
    assert "usage: genet5 score [-h] [OPTIONS]\n" in page
    assert "options:\n--json F  Write JSON\n          too.\n" in page
    assert not set("╭╮╰╯│─") & set(page)


def test_every_command_has_a_page(tmp_path: Path) -> None:
    write_command_pages(tmp_path)
    assert {path.stem for path in tmp_path.glob("*.md")} == {"index", *COMMANDS}
    assert help_of("eval").splitlines()[0].startswith("usage: genet5 eval")


@pytest.mark.parametrize("palette", [architecture.LIGHT, architecture.DARK], ids=lambda p: p.name)
def test_the_stored_figure_is_what_its_script_draws(palette: architecture.Palette) -> None:
    stored = architecture.HERE / f"architecture_{palette.name}.svg"
    drawn = architecture.drawing(palette)
    assert stored.read_text(encoding="utf-8") == drawn, "run docs/figures/architecture.py"


def test_the_gene_of_the_figure_is_legal() -> None:
    (a, b), (c, d) = architecture.EXONS
    coding = architecture.DNA[a:b] + architecture.DNA[c:d]
    codons = [coding[i : i + 3] for i in range(0, len(coding), 3)]
    assert (codons[0], codons[-1]) == ("ATG", "TAA")
    assert not {"TAA", "TAG", "TGA"} & set(codons[:-1])
    assert (architecture.DNA[b : b + 2], architecture.DNA[c - 2 : c]) == ("GT", "AG")


def test_the_rooms_that_contributors_read_of_are_those_of_the_contract(root: Path) -> None:
    with (root / "pyproject.toml").open("rb") as source:
        layers = tomllib.load(source)["tool"]["importlinter"]["contracts"][0]["layers"]
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    block = re.search(r"```\n(.*?)```", text, re.DOTALL)
    assert block is not None
    assert block[1].splitlines() == [re.sub(r"genet5\.|[()]", "", layer) for layer in layers]
