"""Commands that pages and recipes show: taken from their text, and parsed without running them."""

from __future__ import annotations

import importlib
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from genet5.cli import COMMANDS, GROUP
from genet5.cli.parse import parse

ROOT = Path(__file__).resolve().parents[1]
TOOLS = {"test/eval_f1": "eval", "test/eval_busco": "busco"}


def commands(page: str) -> Iterator[list[str]]:
    """Yield the words of each command in a page's bash blocks, without comments, redirections."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if ">" in words:
                words = words[: words.index(">")]
            if words:
                yield words


def our_command(words: Sequence[str]) -> tuple[str, list[str]] | None:
    """Return (command, arguments) of one of our commands, also inside a container's call."""
    words = list(words)
    if words[0].startswith("./start-gt5.sh") and "--" in words:
        words = words[words.index("--") + 1 :]
    while words and ("=" in words[0] or Path(words[0]).name.startswith("python")):
        words = words[1:]
    head = words[0] if words else ""
    if head == "genet5" and words[1] == GROUP:
        return f"{GROUP}_{words[2]}", words[3:]
    if head == "genet5":
        return words[1], words[2:]
    if head.startswith("bin/") and not head.endswith(".sh"):
        return head.removeprefix("bin/"), words[1:]
    return (TOOLS[head], words[1:]) if head in TOOLS else None


def parse_only(monkeypatch: pytest.MonkeyPatch, name: str, arguments: Sequence[str]) -> object:
    """Run a command's `main` up to its settings."""
    module = importlib.import_module(COMMANDS[name])
    seen: list[object] = []

    def only_parse(
        body: Callable[[object], int],
        cls: type,
        argv: Sequence[str] | None = None,
        **how: Any,
    ) -> int:
        seen.append(parse(cls, argv, **how))
        return 0

    monkeypatch.setattr(module, "run", only_parse)
    assert module.main(list(arguments)) == 0
    return seen[0]
