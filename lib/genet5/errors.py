"""Errors, divided by who can mend them; texts give place, found, expected, and the remedy.

Example:
    >>> print(DataError("phase 3", expected="0, 1 or 2", path="a.gff3", line=7, remedy="Mend it"))
    a.gff3:7: phase 3; expected 0, 1 or 2. Mend it
    >>> print(ConfigError("threads", 0, "must be at least 1"))
    threads = 0: must be at least 1
"""

from __future__ import annotations

from pathlib import Path

_LONGEST_TEXT = 400


def printable(text: str) -> str:
    r"""Return a text as a terminal may show it: control characters of inputs are spelt out.

    Line feeds and tabs stay.

    Example:
        >>> printable("a\x1b[31m\tb")
        'a\\x1b[31m\tb'
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text
    )


class GeneT5Error(Exception):
    """Base of all errors that a user may see; the command line prints its text on one line."""


class ConfigError(GeneT5Error, ValueError):
    """A setting has a value outside its rule.

    Args:
        field: Name of the setting as the user types it.
        value: What was given.
        rule: What is allowed, as a phrase: "must be at least 1".
    """

    def __init__(self, field: str, value: object, rule: str) -> None:
        # The first argument is the whole text: tyro prints it when a dataclass refuses its values.
        super().__init__(f"{field} = {value!r}: {rule}")
        self.field, self.value, self.rule = field, value, rule

    def __reduce__(self) -> tuple[type[ConfigError], tuple[str, object, str]]:
        return type(self), (self.field, self.value, self.rule)


class DataError(GeneT5Error, ValueError):
    """Input data are wrong.

    Args:
        found: What the data contain.
        expected: What they should contain; empty if `found` is enough.
        path: The file, when there is one.
        line: 1-based line number in `path`.
        remedy: What to type or change next.
    """

    def __init__(
        self,
        found: str,
        *,
        expected: str = "",
        path: str | Path | None = None,
        line: int | None = None,
        remedy: str = "",
    ) -> None:
        super().__init__(found)
        self.found, self.expected, self.remedy = found, expected, remedy
        self.path, self.line = path, line

    def __str__(self) -> str:
        where = (
            ""
            if self.path is None
            else f"{self.path}:" + (f"{self.line}:" if self.line else "") + " "
        )
        expected = f"; expected {clipped(self.expected)}" if self.expected else ""
        remedy = f". {self.remedy}" if self.remedy else ""
        return f"{where}{clipped(self.found)}{expected}{remedy}"


def clipped(text: str) -> str:
    """Return the text without its middle if it is long: a bad file may contain megabytes."""
    return text if len(text) <= _LONGEST_TEXT else f"{text[:200]} ... {text[-100:]}"


class FormatError(DataError):
    """A file is not in the expected format, or version of the format."""


class CheckpointError(GeneT5Error):
    """A model directory or training checkpoint cannot be used."""


class ExternalToolError(GeneT5Error):
    """A program outside this package is missing or failed."""


class RankError(GeneT5Error):
    """Another process of a run of several failed, died or is silent.

    Args:
        text: All of the message.
        rank: Which process it is; None where only a broken connection is known.
    """

    def __init__(self, text: str, rank: int | None = None) -> None:
        super().__init__(text)
        self.rank = rank


class ServerError(GeneT5Error):
    """A server cannot be reached, or does not answer as expected.

    Args:
        text: All of the message.
        status: HTTP status code, if there was an answer.
    """

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status
