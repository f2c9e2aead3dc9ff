"""The extra `genet5[lm]`: one clear line where it is not installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from genet5.errors import ConfigError

if TYPE_CHECKING:
    from genet5.config.lm.compute import LmComputeConfig
    from genet5.lm.folders import LanguageModel


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


def load_with_extra(name: str, compute: LmComputeConfig, *packages: str) -> LanguageModel:
    """Load a language model for a command, after `require_extra`.

    Args:
        name: A folder, or a name on the hub.
        compute: Where and how precisely it runs.
        packages: Names beside transformers.

    Raises:
        ConfigError: A package is not installed, or there is no GPU though one is wanted.
        CheckpointError: There is no such model.
    """
    require_extra(*packages)
    from genet5.lm.devices import load_for

    return load_for(name, compute)
