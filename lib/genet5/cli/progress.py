"""How far a command is that counts things: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from rich.progress import MofNCompleteColumn

from genet5.progress import TaskProgress


class CountProgress(TaskProgress):
    """Counts what is done of a stage; a context manager.

    Args:
        unit: What is counted, as a plural.
    """

    def __init__(self, unit: str) -> None:
        super().__init__("", MofNCompleteColumn())
        self._unit = unit

    def show(self, stage: str, done: int, total: int) -> None:
        """Tell that `done` of the stage's `total` are done."""
        line = f"{stage} | {done:,}/{total:,} {self._unit} ({100 * done / total:.1f}%)"
        self._show(done, total, line, description=stage)
