"""What configuration dataclasses share: the check of a rule, and the words for a default."""

from __future__ import annotations

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
