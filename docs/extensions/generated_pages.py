"""Pages made at build time: one per command from its own `--help`, one per notebook of examples/.

The parsers themselves write the option lists, so that the site cannot disagree with the program.
The pages are written to docs/generated, which git ignores.
"""

from __future__ import annotations

import importlib
import io
import os
import re
import shutil
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any
from unittest import mock

from genet5.cli import COMMANDS, SUMMARIES

HERE = Path(__file__).resolve().parents[1]
EXAMPLES = HERE.parent / "examples"
INDEX = """\
# Commands

`genet5 COMMAND` and `bin/COMMAND` of a checkout are the same program. These pages are what `--help`
prints; flags may be typed with `_` or `-`.

| command | what it does |
|---|---|
{rows}

`bin/distributed.sh` trains on several GPUs or machines, and `bin/check_network.sh` checks the
network between two of them: see [](../../how-to/distributed.md).

Exit codes: 0 done, 1 wrong data or a failed run, 2 wrong usage, 130 interrupted. Logs go to
standard error, results to standard output; `--debug` shows the traceback of an error.

```{{toctree}}
:hidden:

{entries}
```
"""
_FRAME = re.compile("[╭╮╰╯]")
_WIDTH = {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}


def help_of(command: str) -> str:
    """Return what `genet5 COMMAND --help` prints.

    Raises:
        RuntimeError: The command did not exit with 0.
    """
    module, text = importlib.import_module(COMMANDS[command]), io.StringIO()
    with mock.patch.dict(os.environ, _WIDTH), redirect_stdout(text):
        code = module.main(["--help"])
    if code:
        raise RuntimeError(f"genet5 {command} --help exits with {code}, expected 0")
    return text.getvalue()


def command_page(command: str, text: str) -> str:
    """Return the Markdown page of a command.

    Args:
        command: Its name.
        text: Its `--help`: usage, description, boxes of options.
    """
    usage, description, *boxes = text.strip().split("\n\n", 2)
    options = "\n".join(map(_unboxed, "\n".join(boxes).splitlines()))
    return (
        f"# genet5 {command}\n\n{description}\n\n"
        f"```text\n{usage}\n```\n\n```text\n{options.strip()}\n```\n"
    )


def _unboxed(line: str) -> str:
    """Return a line of a box without its frame; a heading keeps its words alone.

    Example:
        >>> _unboxed("│ --json F   Write scores. │"), _unboxed("╭─ options ───╮"), _unboxed("╰───╯")
        ('--json F   Write scores.', 'options:', '')
    """
    if _FRAME.search(line):
        words = line.strip("╭╮╰╯─ ")
        return f"{words}:" if words else ""
    return line.removeprefix("│ ").removesuffix("│").rstrip("─ ")


def write_command_pages(folder: Path) -> None:
    """Write a page for each command, and the list of them."""
    rows = "\n".join(f"| [`genet5 {name}`]({name}.md) | {SUMMARIES[name]} |" for name in COMMANDS)
    entries = "\n".join(COMMANDS)
    index = INDEX.format(rows=rows, entries=entries)
    _write(folder / "index.md", index)
    for name in COMMANDS:
        _write(folder / f"{name}.md", command_page(name, help_of(name)))


def write_example_pages(folder: Path) -> None:
    """Copy the notebooks and list them."""
    notebooks = sorted(EXAMPLES.glob("*.ipynb"))
    folder.mkdir(parents=True, exist_ok=True)
    for notebook in notebooks:
        shutil.copyfile(notebook, folder / notebook.name)
    listed = "\n".join(notebook.stem for notebook in notebooks)
    _write(
        folder / "index.md",
        "# Notebooks\n\n"
        "The notebooks of `examples/`, as they were last run; open them there to run them.\n\n"
        f"```{{toctree}}\n:maxdepth: 1\n\n{listed}\n```\n",
    )


def _write(path: Path, text: str) -> None:
    """Write a page if it changed, so that an incremental build reads it no second time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def write_pages(_app: Any) -> None:
    """Write all pages before Sphinx looks for its sources."""
    generated = HERE / "generated"
    write_command_pages(generated / "commands")
    write_example_pages(generated / "examples")


def setup(app: Any) -> dict[str, Any]:
    """Register the extension."""
    app.connect("builder-inited", write_pages, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
