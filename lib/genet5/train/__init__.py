"""Training: loss, loop, optimizer, checkpoints, logs.

The package can be called: `genet5.train(config)` is the function of the Python API
(`genet5.api.train`), and `genet5.train.loop` is a module like any other. Python looks a call up in
an object's class, so the package's class is one with `__call__`.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from genet5.config.train import TrainConfig
    from genet5.train.run import TrainResult


class _CallablePackage(ModuleType):
    """The package as a function."""

    def __call__(self, config: TrainConfig) -> TrainResult:
        """Train a model as `genet5.api.train` does."""
        from genet5.api import train

        return train(config)


sys.modules[__name__].__class__ = _CallablePackage
