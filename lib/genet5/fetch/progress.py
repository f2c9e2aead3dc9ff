"""How far a download is."""

from __future__ import annotations

from rich.progress import DownloadColumn, TransferSpeedColumn

from genet5.progress import TaskProgress


class DownloadProgress(TaskProgress):
    """Shows one download; a context manager, and a `Meter`."""

    def __init__(self, name: str) -> None:
        super().__init__(name, DownloadColumn(), TransferSpeedColumn())
        self._name = name

    def at(self, done: int, total: int | None) -> None:
        """So many bytes are there."""
        of = f" of {total / 1e6:.1f}" if total else ""
        self._show(done, total, f"{self._name}: {done / 1e6:.1f}{of} MB")
