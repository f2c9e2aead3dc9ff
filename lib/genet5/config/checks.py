"""The check that settings share."""

from __future__ import annotations

from genet5.errors import ConfigError


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
