"""The commands in README.md and in docs/ are real: flags parse, files and targets exist."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from genet5.cli import COMMANDS, main
from pages import ROOT, commands, our_command, parse_only

PAGES = (
    "README.md",
    "bin/README.md",
    *sorted(
        str(path.relative_to(ROOT))
        for path in (ROOT / "docs").rglob("*.md")
        if not {"generated", "_build"} & set(path.parts)
    ),
)
TUTORIALS = tuple(f"docs/tutorial/{name}.md" for name in ("annotate", "submit", "train"))
MADE_BY_THE_BUILD = "generated/"


def our_commands() -> list[tuple[str, list[str]]]:
    """Return (command, arguments) of all pages, each once."""
    found = [our_command(words) for page in PAGES for words in commands(page)]
    return [each for index, each in enumerate(found) if each and each not in found[:index]]


OURS = [
    pytest.param(name, arguments, id=" ".join([name, *arguments])[:80])
    for name, arguments in our_commands()
]


@pytest.mark.parametrize(("name", "arguments"), OURS)
def test_command_in_a_page_parses(
    monkeypatch: pytest.MonkeyPatch, name: str, arguments: list[str]
) -> None:
    assert parse_only(monkeypatch, name, arguments) is not None


def test_pages_show_every_command() -> None:
    assert {name for name, _ in our_commands()} == set(COMMANDS)


@pytest.mark.parametrize("page", PAGES)
def test_linked_files_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", text) + re.findall(
        r'src(?:set)?="([^"]+)"', text
    )
    for target in targets:
        if MADE_BY_THE_BUILD not in target:
            assert (ROOT / page).parent.joinpath(target).exists(), target


def test_make_targets_in_the_pages_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in (*PAGES, "CONTRIBUTING.md"):
        for target in re.findall(r"`make ([a-z-]+)`", (ROOT / page).read_text(encoding="utf-8")):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("page", [*PAGES, "CONTRIBUTING.md", "CHANGELOG.md"])
def test_prose_wraps_at_100(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    prose = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.DOTALL | re.MULTILINE).splitlines()
    assert not [line for line in prose if len(line) > 100 and not line.startswith(("|", ":alt:"))]


@pytest.mark.slow
def test_tutorials_run_from_a_genome_to_the_genes_of_a_trained_model(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    smaller = {"300000": "9000", "400000": "24000", "20": "1", "6000": "3000"}
    monkeypatch.chdir(tmp_path)
    for page in TUTORIALS:
        for words in commands(page):
            if words[0] == "genet5":
                assert main([smaller.get(word, word) for word in words[1:]]) == 0, words
            elif shutil.which(words[0]):  # programs that check our files
                subprocess.run(words, check=True, capture_output=True)
    for name in ("genes.gff3", "proteins.faa", "run/model.safetensors", "genes_of_run.gff3"):
        assert (tmp_path / "toy" / name).is_file(), name
    for kind in ("gff3", "tbl", "gbk", "faa", "ffn"):
        assert "TOY1_00001" in (tmp_path / f"toy/submission/genes.{kind}").read_text(), kind
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    capsys.readouterr()
    exec(compile(example, "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith("simulated_1 ")


def test_readmes_commands_are_those_of_the_tutorial() -> None:
    tutorial = list(commands(TUTORIALS[0]))
    toy = [words for words in commands("README.md") if words[0] == "genet5"]
    assert toy == tutorial


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_scripts_in_the_pages_take_their_arguments() -> None:
    dry = 0
    for page in PAGES:
        for words in commands(page):
            if words[0].endswith(".sh"):
                at = words.index("--") if "--" in words else len(words)
                call = [str(ROOT / words[0]), *words[1:at], "--dry_run", *words[at:]]
                done = subprocess.run(call, capture_output=True, text=True, check=False)
                assert done.returncode == 0, done.stderr
                dry += 1
    assert dry >= 6


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_help_lists_the_targets() -> None:
    done = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for target in ("demo", "test", "test-data", "check", "docs", "golden", "help"):
        assert re.search(rf"make {target} ", done.stdout), target
