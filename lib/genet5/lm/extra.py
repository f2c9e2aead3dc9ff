"""The extra `genet5[lm]`: one clear line where it is not installed."""

from __future__ import annotations

from importlib.util import find_spec

from genet5.errors import ConfigError


def require_extra(*packages: str) -> None:
    """Check that packages of the extra are installed; imports none of them.

    Args:
        packages: Names beside transformers, which all commands need.

    Raises:
        ConfigError: One is not.
    """
    for name in ("transformers", *packages):
        if find_spec(name) is None:
            raise ConfigError(
                "lm", name, 'is not installed; install it with: pip install "genet5[lm]"'
            )
