"""Pages made at build time: commands from their `--help`, the API from `__all__`, the notebooks.

The parsers themselves write the option lists, so that the site cannot disagree with the program.
The pages are written to docs/generated, which git ignores.
"""

from __future__ import annotations

import importlib
import inspect
import io
import json
import os
import re
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any
from unittest import mock

import genet5
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
    """Return what `genet5 COMMAND --help` prints, with rarely used options where some are hidden.

    Raises:
        RuntimeError: The command did not exit with 0.
    """
    text = _output_of(command, "--help")
    return _output_of(command, "--help_all") if "--help_all" in text else text


def _output_of(command: str, flag: str) -> str:
    module, text = importlib.import_module(COMMANDS[command]), io.StringIO()
    with mock.patch.dict(os.environ, _WIDTH), redirect_stdout(text):
        code = module.main([flag])
    if code:
        raise RuntimeError(f"genet5 {command} {flag} exits with {code}, expected 0")
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
    r"""Return a line of a box without its frame; a heading keeps its words alone.

    Example:
        >>> _unboxed("│ --json F   Write scores. │"), _unboxed("╭─ options ───╮")
        ('--json F   Write scores.', '\noptions:')
    """
    if _FRAME.search(line):
        words = line.strip("╭╮╰╯─ ")
        return f"\n{words}:" if words else ""
    return line.removeprefix("│ ").removesuffix("│").rstrip("─ ")


def write_command_pages(folder: Path) -> None:
    """Write a page for each command, and the list of them."""
    rows = "\n".join(f"| [`genet5 {name}`]({name}.md) | {SUMMARIES[name]} |" for name in COMMANDS)
    entries = "\n".join(COMMANDS)
    index = INDEX.format(rows=rows, entries=entries)
    _write(folder / "index.md", index)
    for name in COMMANDS:
        _write(folder / f"{name}.md", command_page(name, help_of(name)))


def api_directives() -> str:
    """Return the autodoc directives of all public names: functions, classes, configurations."""
    named = {name: getattr(genet5, name) for name in genet5.__all__ if not name.startswith("_")}
    functions = [name for name, value in named.items() if not inspect.isclass(value)]
    configs = [name for name in named if name.endswith("Config")]
    classes = [name for name in named if name not in functions and name not in configs]
    return "\n".join(
        [
            *(f".. autoclass:: genet5.{name}\n   :members:\n" for name in classes),
            *(f".. autofunction:: genet5.{name}\n" for name in functions),
            *(f".. autoclass:: genet5.{name}\n   :no-members:\n" for name in configs),
        ]
    )


def hide_config_signature(
    _app: Any, _what: str, name: str, _value: Any, _options: Any, _signature: str, _returns: str
) -> tuple[str, None] | None:
    """Leave the many fields of a configuration to the page of its command."""
    return ("(...)", None) if name.endswith("Config") else None


def write_example_pages(folder: Path) -> None:
    """Copy the notebooks, marked as IPython since cells may run shell commands, and list them."""
    notebooks = sorted(EXAMPLES.glob("*.ipynb"))
    for notebook in notebooks:
        content = json.loads(notebook.read_text(encoding="utf-8"))
        content["metadata"]["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
        _write(folder / notebook.name, json.dumps(content))
    listed = "\n".join(notebook.stem for notebook in notebooks)
    _write(
        folder / "index.md",
        "# Notebooks\n\n"
        "The notebooks of `examples/`, as they were last run; open them there to run them.\n\n"
        f"```{{toctree}}\n:maxdepth: 1\n\n{listed}\n```\n",
    )


def _write(path: Path, text: str) -> None:
    """Write a page if it changed, so that an incremental build does not read it again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def write_pages(_app: Any) -> None:
    """Write all pages before Sphinx looks for its sources."""
    generated = HERE / "generated"
    write_command_pages(generated / "commands")
    write_example_pages(generated / "examples")
    _write(generated / "api.txt", api_directives())


def setup(app: Any) -> dict[str, Any]:
    """Register the extension."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("builder-inited", write_pages, priority=100)
    app.connect("autodoc-process-signature", hide_config_signature)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
