"""Loops over bases, compiled to machine code by numba when they are first called.

The machine code is kept in `__pycache__` beside the module, or in the user's cache folder where the
package lies on a read-only disk (NUMBA_CACHE_DIR names another one). Where none of them may be
written, each process compiles anew: some seconds. Numba is loaded when the first such function is
called (half a second).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile a function of NumPy arrays and numbers."""
    fast = functools.cache(lambda: _compile(function))

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        return fast()(*args)

    return cast("F", call)


def _compile(function: F) -> F:
    import numba

    try:
        return cast("F", numba.njit(cache=True)(function))
    except RuntimeError:  # there is no folder that may hold the cache
        return cast("F", numba.njit(function))
