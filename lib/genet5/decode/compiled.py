"""Loops over bases, compiled to machine code by numba at their first call.

The machine code is kept in a `__pycache__` beside the module, or in the user's cache folder where
the package lies on a read-only disk (NUMBA_CACHE_DIR names another one). Where neither may be
written, each process compiles anew: some seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compile a function of NumPy arrays and numbers."""
    try:
        return cast("F", numba.njit(cache=True)(function))
    except RuntimeError:  # there is no folder that may hold the cache
        return cast("F", numba.njit(function))
