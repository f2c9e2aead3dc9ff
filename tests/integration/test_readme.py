"""The commands in README.md and bin/README.md are real: their flags parse, their files and targets exist."""

from __future__ import annotations

import importlib
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from genet5.cli import COMMANDS, main
from genet5.cli.parse import parse

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "bin/README.md")
TOOLS = {"test/eval_f1": "eval", "test/eval_busco": "busco"}


def commands(page: str) -> Iterator[list[str]]:
    """Yield the words of every command in the page's bash blocks, comments and redirections left out."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if ">" in words:
                words = words[: words.index(">")]
            if words:
                yield words


def our_commands() -> Iterator[tuple[str, list[str]]]:
    """Yield (command, arguments) for everything that is one of our commands, also inside a container's call."""
    for page in PAGES:
        for words in commands(page):
            if words[0].startswith("./start-gt5.sh") and "--" in words:
                words = words[words.index("--") + 1 :]
            while words and ("=" in words[0] or words[0] == "python"):
                words = words[1:]
            head = words[0]
            if head == "genet5":
                yield words[1], words[2:]
            elif head.startswith("bin/") and not head.endswith(".sh"):
                yield head.removeprefix("bin/"), words[1:]
            elif head in TOOLS:
                yield TOOLS[head], words[1:]


OURS = [pytest.param(name, arguments, id=" ".join([name, *arguments])[:80]) for name, arguments in our_commands()]  # fmt: skip


def parse_only(monkeypatch: pytest.MonkeyPatch, name: str, arguments: Sequence[str]) -> object:
    """Run a command's `main` up to its settings."""
    module = importlib.import_module(COMMANDS[name])
    seen: list[object] = []

    def only_parse(
        body: Callable[[object], int], cls: type, argv: Sequence[str] | None = None, *, name: str, description: str
    ) -> int:  # fmt: skip
        seen.append(parse(cls, argv, name=name, description=description))
        return 0

    monkeypatch.setattr(module, "run", only_parse)
    assert module.main(list(arguments)) == 0
    return seen[0]


@pytest.mark.parametrize(("name", "arguments"), OURS)
def test_command_in_a_readme_parses(
    monkeypatch: pytest.MonkeyPatch, name: str, arguments: list[str]
) -> None:
    assert parse_only(monkeypatch, name, arguments) is not None


def test_readmes_show_every_command() -> None:
    shown = {name for name, _ in our_commands()}
    assert shown == set(COMMANDS)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"`genet5 {name}" in readme for name in COMMANDS)


@pytest.mark.parametrize("page", PAGES)
def test_linked_files_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (ROOT / page).parent.joinpath(target).exists(), target


def test_make_targets_in_the_readmes_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in (*PAGES, "CONTRIBUTING.md"):
        for target in re.findall(r"`make ([a-z-]+)`", (ROOT / page).read_text(encoding="utf-8")):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.slow
def test_readme_runs_from_a_genome_to_scores_of_a_trained_model(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    smaller = {"300000": "30000", "400000": "80000", "20": "2"}  # --length_bp, --max_steps
    monkeypatch.chdir(tmp_path)
    for words in commands("README.md"):
        if words[0] == "genet5":
            assert main([smaller.get(word, word) for word in words[1:]]) == 0, words
    for name in ("genes.gff3", "proteins.faa", "run/model.safetensors", "genes_of_run.gff3"):
        assert (tmp_path / "toy" / name).is_file(), name


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_scripts_in_the_readmes_take_their_arguments() -> None:
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
    for target in ("demo", "test", "test-data", "check", "golden", "help"):
        assert re.search(rf"make {target} ", done.stdout), target
