"""What configuration dataclasses share: the check of a rule, and the words for a default."""

from __future__ import annotations

import math
from collections.abc import Sequence

import tyro

from genet5.errors import ConfigError


def by_default(text: str) -> object:
    """Return the annotation of a field whose default the help text puts into words.

    Example:
        threads: Annotated[int | None, by_default("all cores")] = None
    """
    return tyro.conf.arg(help_behavior_hint=f"(default: {text})")


def require(ok: bool, name: str, value: object, rule: str) -> None:
    """Raise ConfigError unless `ok`.

    Args:
        ok: Whether the value follows the rule.
        name: The setting as the user types it.
        value: What was given.
        rule: What is allowed, as a phrase: "must be at least 1".
    """
    if not ok:
        raise ConfigError(name, value, rule)


def named_numbers(words: Sequence[str], name: str, form: str) -> dict[str, float]:
    """Read words such as "encoder=0.1".

    Args:
        words: As typed.
        name: The setting.
        form: What a word should look like, such as "PART=FACTOR".

    Raises:
        ConfigError: A word is of another form, or two give one name.
    """
    found: dict[str, float] = {}
    for word in words:
        key, _, text = word.rpartition("=")
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        require(bool(key) and math.isfinite(number), name, word, f"must look like {form}")
        require(key not in found, name, word, f"names {key} twice")
        found[key] = number
    return found
