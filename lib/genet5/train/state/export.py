"""Model directories of a run: OUT itself and OUT/best, whose files are replaced whole, one by one.

`BestModel` keeps the weights of the lowest validation loss. Its checkpoint is saved first, so a
kill while OUT/best is written loses nothing: after a resume, `compare` finds that it must be
written again.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from genet5.config.json_files import load_json, save_json
from genet5.config.manifest import record_checksums
from genet5.train.state.run_state import Progress

log = logging.getLogger(__name__)

_RECORD = "best.json"
_CALIBRATED = ("annotate.json",)
Found = Literal["same", "present", "lost"]


def write_model(directory: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a new directory, then move its files into `directory`, each by rename.

    What a calibration has put into `directory` stays.
    """
    scratch = directory / ".model.tmp"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    write(scratch)
    kept = [name for name in _CALIBRATED if (directory / name).exists()]
    for path in sorted(scratch.iterdir()):
        path.unlink() if path.name in kept else path.replace(directory / path.name)
    scratch.rmdir()
    if kept:
        record_checksums(directory, *kept)


class BestModel:
    """The model of the lowest validation loss, in OUT/best; rank 0 uses it.

    Args:
        out: Directory of the run.
    """

    def __init__(self, out: Path) -> None:
        self._out, self._directory = out, out / "best"

    def save(self, progress: Progress, write: Callable[[Path], None]) -> None:
        """Keep the present weights, which `write` puts into a directory."""
        write_model(self._directory, write)
        record = {"step": progress.best_step, "loss": progress.best_loss}
        save_json(self._directory / _RECORD, record)

    def compare(self, progress: Progress) -> Found:
        """Compare OUT/best with a checkpoint's progress.

        Returns:
            same = OUT/best is the checkpoint's; present = the weights in memory are the best and
            are to be saved; lost = the best model of this branch of the run is gone. That of
            another branch is renamed.
        """
        path = self._directory / _RECORD
        step = load_json(path).get("step") if path.exists() else None
        if step == progress.best_step:
            return "same"
        if progress.best_step == progress.step:
            return "present"
        if self._directory.exists():
            aside = self._out / f"best-{step or 'unknown'}"
            shutil.rmtree(aside, ignore_errors=True)
            self._directory.rename(aside)
            log.warning("the best model so far is not of this branch: it is now %s", aside)
        return "lost"

    def export(self) -> bool:
        """Copy the model into OUT; return whether there is one."""
        if not (self._directory / _RECORD).exists():
            return False
        write_model(self._out, self._copy_to)
        return True

    def _copy_to(self, target: Path) -> None:
        for path in self._directory.iterdir():
            if path.name != _RECORD and path.is_file():
                shutil.copyfile(path, target / path.name)
