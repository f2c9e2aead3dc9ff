"""How much memory the tensors take that live at once while a block runs.

Exact, on any device, kernels' scratch left out.

Each operation's outputs are watched until their storages are freed, so a peak does not depend on
the allocator and is the same in every run. Costs microseconds per operation; time nothing inside.

Example:
    with LiveBytes() as live:
        step()
    live.peak
"""

from __future__ import annotations

import weakref
from typing import Any

import machine  # noqa: F401  (it finds genet5 where it is not installed)
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Counts bytes of storages that came into being while it is active.

    Views count with their base.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: dict[int, weakref.finalize[Any, Any]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = {
            leaf.untyped_storage()._cdata
            for leaf in tree_leaves((args, kwargs))
            if isinstance(leaf, torch.Tensor)
        }
        made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, torch.Tensor):
                self._watch(leaf.untyped_storage(), given)
        return made

    def _watch(self, storage: torch.UntypedStorage, given: set[int]) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known or key in given:
            return
        self.now += size
        self.peak = max(self.peak, self.now)
        self._known[key] = weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        del self._known[key]
        self.now -= size
