"""How many segments of windows a device takes at a time: half after it ran out of memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

log = logging.getLogger(__name__)

T = TypeVar("T")


class BatchLimit:
    """Splits batches that are too large for the device's memory; remembers what was."""

    def __init__(self) -> None:
        self._most: int | None = None

    def decode(self, count: int, decode: Callable[[slice], Sequence[T]]) -> list[T]:
        """Decode a batch, at once or in parts.

        Args:
            count: Segments in the batch: windows that are read together (`decode.segments`).
            decode: Decodes some of them.

        Raises:
            torch.OutOfMemoryError: There is no room for a single segment.
        """
        found: list[T] = []
        while len(found) < count:
            size = min(self._most or count, count - len(found))
            try:
                found += decode(slice(len(found), len(found) + size))
            except torch.OutOfMemoryError:
                if size == 1:
                    raise
                self._lower(size)
            else:
                continue
            torch.cuda.empty_cache()  # now that the error no longer holds what was computed
        return found

    def _lower(self, size: int) -> None:
        is_first = self._most is None
        self._most = max(size // 2, 1)
        if is_first:
            log.warning(
                "no memory for %d segments of windows at a time: halving them, as often as it takes"
                " (next time give --batch_size)",
                size,
            )
