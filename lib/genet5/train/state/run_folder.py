"""OUT, the folder of a run: all that may be written there, who holds it, and how a run begins.

`RunFolder` is the only place that knows what belongs to a run: the model with what calibration adds
to it, checkpoints, metrics, logs, and the files of trackers. `--overwrite` deletes exactly that, so
a run in a folder that was used before leaves the files of one in a fresh folder. What a user writes
there himself (plots, notes, the work folder of a calibration) is his, and stays.

Nothing in OUT changes before a run has begun, so a start that fails costs nothing:

    folder = RunFolder(config)
    with folder.held(ranks):
        ranks.on_first(folder.check)
        ...                             read BASE, data and checkpoint
        ranks.on_first(lambda: folder.begin(ranks.agent))
"""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from genet5.config.manifest import MANIFEST, listed_files
from genet5.config.run import RunConfig
from genet5.errors import ConfigError
from genet5.locks import locked_folder
from genet5.model.folders import (
    CHECKPOINTS_FOLDER,
    CONFIG_FILE,
    WEIGHTS_FILE,
    list_checkpoints,
)
from genet5.train.distributed.processes import Ranks
from genet5.train.state.checkpoint_files import read_step, set_aside_later
from genet5.train.state.restart import MARK, mark_start

log = logging.getLogger(__name__)

BEST, RECORD = "best", "run.json"
METRICS = ("metrics.jsonl", "metrics.csv", "validation.csv")
LOG_FILE, MEMORY_FILE, NONFINITE_FILE = "finet.log", "memwatch.csv", "nonfinite.json"
PROFILE_FOLDER = "profile"
TRACKERS = ("tensorboard", "wandb", "wandb.json")
_SIGNS = (CHECKPOINTS_FOLDER, BEST, *METRICS, RECORD)
"""What shows that a run was here."""
_MODEL = (CONFIG_FILE, WEIGHTS_FILE, "tokenizer.json", "annotate.json", MANIFEST)
_NAMES = (*_SIGNS, *_MODEL, *TRACKERS, MARK, LOG_FILE, MEMORY_FILE, NONFINITE_FILE, PROFILE_FOLDER)
_PATTERN = re.compile(
    r"best-(\d+|unknown)|stacks-\d+\.txt|\.model\.tmp|.+\.(genet5|safetensors)\.tmp"
)
"""Best models of other branches, stacks of a run that hung, and what a killed run left."""


class RunFolder:
    """The folder of a run.

    Args:
        config: Settings of the run; `out` is the folder.
    """

    def __init__(self, config: RunConfig) -> None:
        self._config, self.path = config, config.out

    def owned(self) -> list[Path]:
        """Return what is there and belongs to a run, model files of any family included."""
        if not self.path.is_dir():
            return []
        names = {*_NAMES, *listed_files(self.path)}
        found = sorted(self.path.iterdir())
        return [each for each in found if each.name in names or _PATTERN.fullmatch(each.name)]

    @contextmanager
    def held(self, ranks: Ranks) -> Iterator[None]:
        """Keep other runs out while the block runs; every rank calls it.

        Raises:
            FolderInUseError: Another run is at work there.
        """
        with ExitStack() as stack:
            ranks.on_first(lambda: stack.enter_context(locked_folder(self.path)))
            yield

    def check(self) -> None:
        """Refuse to mix with another run or model; the first rank calls it.

        Raises:
            ConfigError: There is one, and neither resume nor overwrite.
            CheckpointError: The checkpoint to resume from is none.
        """
        keep, out = self._config.checkpoints, self.path
        if out.resolve() == self._config.base.resolve():
            raise ConfigError("OUT", str(out), "must be another directory than BASE")
        if keep.checkpoint is not None:
            read_step(keep.checkpoint)
        if keep.overwrite:
            for name, path in (("checkpoint", keep.checkpoint), ("BASE", self._config.base)):
                if path is not None and path.resolve().is_relative_to(out.resolve()):
                    rule = "must not lie in OUT, which --overwrite deletes"
                    raise ConfigError(name, str(path), rule)
            return
        signs = self._signs()
        if signs and not keep.resume and keep.checkpoint is None:
            raise ConfigError(
                "OUT",
                str(out),
                f"holds an earlier run ({signs[0].name}); --resume continues it,"
                " --overwrite deletes it",
            )
        if not signs and not keep.resume and (out / WEIGHTS_FILE).exists():
            raise ConfigError(
                "OUT",
                str(out),
                "holds a model that no run wrote; name another folder (are OUT and BASE swapped?),"
                " or --overwrite replaces it",
            )

    def begin(self, agent: str | None) -> None:
        """Make room for the run, whose start has succeeded; the first rank calls it.

        Args:
            agent: `Ranks.agent`.
        """
        keep = self._config.checkpoints
        if keep.overwrite:
            self._delete(self.owned())
        elif keep.resume and self._signs() and not list_checkpoints(self.path / CHECKPOINTS_FOLDER):
            log.warning("no checkpoint in %s: the run starts from BASE", self.path)
            self._delete([self.path / name for name in (*METRICS, *TRACKERS)])
        if keep.checkpoint is not None:
            set_aside_later(self.path / CHECKPOINTS_FOLDER, keep.checkpoint)
        self.path.mkdir(parents=True, exist_ok=True)
        mark_start(self.path, agent)

    def _signs(self) -> list[Path]:
        return [self.path / name for name in _SIGNS if (self.path / name).exists()]

    @staticmethod
    def _delete(paths: list[Path]) -> None:
        for path in paths:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
