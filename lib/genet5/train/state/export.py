"""Model directories of a run: OUT itself and OUT/best, whose files are replaced whole, one by one.

`ModelWriter` writes them with all ranks: the averaged weights, where a run keeps an average.
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

from safetensors import SafetensorError

from genet5.config.json_files import load_json, save_json
from genet5.config.manifest import record_checksums
from genet5.errors import CheckpointError, DataError
from genet5.train.distributed.parallel import Parallel
from genet5.train.distributed.processes import Ranks
from genet5.train.state.run_state import Progress, RunState

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


class ModelWriter:
    """Writes the present weights as models, the averaged ones if there are any.

    Every rank makes the same calls; rank 0 writes.

    Args:
        out: Directory of the run.
        state: The run; its record of the best evaluation follows what OUT/best holds.
        parallel: How the ranks share the weights.
        ranks: This process among the run's.
        write_companions: Puts config.json and tokenizer.json into a directory.
    """

    def __init__(
        self,
        out: Path,
        state: RunState,
        parallel: Parallel,
        ranks: Ranks,
        write_companions: Callable[[Path], None],
    ) -> None:
        self._out, self._state, self._parallel, self._ranks = out, state, parallel, ranks
        self._write_companions = write_companions
        self._best = BestModel(out)

    def settle(self) -> None:
        """Bring OUT/best to the progress that was loaded: save, set aside or forget the best."""
        progress, best = self._state.progress, "same"
        if self._ranks.is_first:
            best = self._best.compare(progress)
        best = self._ranks.gather(best)[0]
        if best == "present" and not self.save_best():
            best = "lost"
        if best == "lost":
            progress.best_loss = progress.best_step = None

    def save_best(self) -> bool:
        """Keep the present weights as the best; return whether the disk took them, else warn."""
        problem = self._write(lambda write: self._best.save(self._state.progress, write))
        if problem:
            log.warning("the best model could not be written (%s); the run continues", problem)
        return not problem

    def export(self, which: Literal["best", "last"]) -> None:
        """Write the trained model into OUT: the best weights, or the last ones.

        Raises:
            CheckpointError: The disk took nothing.
        """
        has_best = which == "best" and self._ranks.is_first
        if self._ranks.gather(has_best and self._best.export())[0]:
            return
        if problem := self._write(lambda write: write_model(self._out, write)):
            raise CheckpointError(
                f"no model could be written to {self._out}: {problem}. Its last checkpoint is"
                " a model, too; --resume writes it here"
            )

    def _write(self, use: Callable[[Callable[[Path], None]], None]) -> str | None:
        """Call `use` on rank 0 with a function that writes the weights into a directory.

        Every rank returns why the disk took nothing, if it did not.
        """
        model = self._state.model
        with self._state.averaged_weights():
            weights = self._parallel.weights()

            def write(directory: Path) -> None:
                model.save_pretrained(directory, tensors=weights)  # type: ignore[operator]
                self._write_companions(directory)

            problem = None
            if self._ranks.is_first:
                try:
                    use(write)
                except (OSError, SafetensorError, DataError) as error:
                    problem = str(error).partition("\n")[0]
            failed: str | None = self._ranks.gather(problem)[0]
        return failed
