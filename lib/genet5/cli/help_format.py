"""Help texts and errors from what tyro prints on a terminal of known width.

tyro keeps the line breaks of docstrings; here its sections are read back and wrapped anew: group
headings, flags with their values, help texts. Left out are what a reader does not need
(the default of a switch, or that an optional value is none) and, from `--help`, the fields that
are rarely used.
"""

from __future__ import annotations

import os
import re
import shutil
import textwrap
from collections.abc import Collection, Iterator
from contextlib import contextmanager

_WIDTH = "120"  # from 130 on tyro sets groups side by side
_COLUMN = 24  # where help begins
_RULE = re.compile(r"\s*-{5,}\s*")
_ENTRY = re.compile(r" {2}(-\S.*?|[A-Z\[]\S*(?: \.\.\.\]?)?)(?: {2,}(.*))?")


@contextmanager
def known_terminal() -> Iterator[None]:
    """Let tyro write for a terminal of known width, in one column."""
    former = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = _WIDTH
    try:
        yield
    finally:
        if former is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = former


def help_text(wide: str, hidden: Collection[str] = ()) -> str:
    """Return a help text that fits the terminal.

    Args:
        wide: What tyro prints for `--help` inside `known_terminal`.
        hidden: Fields to leave out.
    """
    width = min(shutil.get_terminal_size().columns, 100)
    head, *sections = _sections(wide)
    text = [textwrap.fill(line, width) for line in head]
    for title, *lines in sections:
        entries = [entry for entry in _entries(lines) if not _is_hidden(entry[0], hidden)]
        if entries:
            about = _about(lines)
            heading = f"{title}: {about}" if about else f"{title}:"
            text += ["", textwrap.fill(heading, width)]
            text += [_shown(flags, words, width) for flags, words in entries]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(text)).strip() + "\n"


def error_line(wide: str) -> str:
    """Return what tyro's error states, as one line.

    Args:
        wide: What tyro prints on stderr inside `known_terminal`.
    """
    parts: list[list[str]] = [[]]
    for line in wide.splitlines():
        if _RULE.fullmatch(line):
            parts.append([])
        else:
            parts[-1].append(line.rstrip())
    first, *others = parts[1:]
    if first[0].lstrip().startswith("Missing from"):
        return f"missing: {', '.join(_named(first))}"
    statement = first[: first.index("")] if "" in first else first
    text = re.sub(r"^Error parsing (\w+: (?=\w+ = ))?", "", " ".join(" ".join(statement).split()))
    near = [name for part in others if "Perhaps" in part[0] for name in _named(part)]
    return text + (f". Perhaps you meant {' or '.join(near)}?" if near else "")


def _named(lines: list[str]) -> list[str]:
    """Return the flags of a list in which each stands above its indented help."""
    return [line.strip() for line in lines if re.match(r" {6}\S", line)]


def _sections(wide: str) -> list[list[str]]:
    """Return the text before the first heading, then each heading with the lines below it."""
    sections: list[list[str]] = [[]]
    for line in map(str.rstrip, wide.splitlines()):
        if re.fullmatch(r" -{5,}", line):  # the line above is a heading
            sections.append([sections[-1].pop().strip()])
        else:
            sections[-1].append(line)
    return sections


def _about(lines: list[str]) -> str:
    """Return what a group's docstring states, before an indented rule; "" without one."""
    for number, line in enumerate(lines):
        if _RULE.fullmatch(line):
            return " ".join(" ".join(lines[:number]).split())
    return ""


def _entries(lines: list[str]) -> list[tuple[str, str]]:
    """Return flags and help of each entry, docstrings in one line."""
    begin = next((n + 1 for n, line in enumerate(lines) if _RULE.fullmatch(line)), 0)
    entries: list[tuple[str, str]] = []
    for line in lines[begin:]:
        match = _ENTRY.fullmatch(line)
        if match:
            entries.append((match[1], match[2] or ""))
        elif line.strip():
            flags, words = entries.pop()
            entries.append((flags, f"{words} {line}"))
    return [(flags, " ".join(words.split())) for flags, words in entries]


def _is_hidden(flags: str, hidden: Collection[str]) -> bool:
    return bool({*re.findall(r"--(\w+)", flags)} & {*hidden})


def _without_former_names(flags: str) -> str:
    """Return short names and the last long one: tyro lists aliases first."""
    *aliases, name = re.split(r", (?=-)", flags)
    return ", ".join([*(alias for alias in aliases if not alias.startswith("--")), name])


def _shown(flags: str, words: str, width: int) -> str:
    words = re.sub(r" \(default: (False|none|)\)", "", words)
    flags = _without_former_names(flags)
    first, indent = f"  {flags}".ljust(_COLUMN), " " * _COLUMN
    if first.endswith("  "):
        return textwrap.fill(words, width, initial_indent=first, subsequent_indent=indent)
    text = textwrap.fill(words, width, initial_indent=indent, subsequent_indent=indent)
    return f"{first.rstrip()}\n{text}"
