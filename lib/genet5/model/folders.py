"""A model's folder by path, shipped name or Hugging Face Hub id; PyTorch is not imported.

A training checkpoint is a model's folder as well (`model.files`). A run's folder that holds no
model yet stands for its newest checkpoint.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

from genet5.config.json_files import config_from_dict, load_json
from genet5.config.manifest import check_files
from genet5.config.model import ModelConfig
from genet5.errors import CheckpointError

CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
CHECKPOINTS_FOLDER = "checkpoints"
"""In a run's folder."""
SHIPPED = Path(__file__).resolve().parents[1] / "models"
"""Folder of the shipped models, one folder each."""
_HUB_FILES = ("*.json", "*.safetensors")
_CHECKPOINT = re.compile(r"step-(\d{8,})")

log = logging.getLogger(__name__)


def model_folder(name: str | Path) -> Path:
    """Return the folder of a model; one on the Hugging Face Hub is downloaded into the Hub's cache.

    Args:
        name: A folder (of a model, a checkpoint or a run), the name of a shipped model, or an id on
            the Hub ("user/model").

    Raises:
        CheckpointError: There is no such model.
    """
    path, shipped = Path(name), SHIPPED / str(name)
    if newest := newest_checkpoint(path):
        return newest
    if path.is_dir() and ((path / CONFIG_FILE).is_file() or not shipped.is_dir()):
        return path
    if (shipped / CONFIG_FILE).is_file():
        return shipped
    known = ", ".join(sorted(p.parent.name for p in SHIPPED.glob(f"*/{CONFIG_FILE}")))
    missing = f"model {str(name)!r}: no such folder, and no shipped model of this name ({known})"
    remedy = f"Give a folder with {CONFIG_FILE} and {WEIGHTS_FILE}"
    if "/" not in str(name):
        raise CheckpointError(f"{missing}. {remedy}")
    return _from_hub(str(name), missing, remedy)


def newest_checkpoint(run: Path) -> Path | None:
    """Return the newest checkpoint of a run's folder that holds no model yet, and say so."""
    if (run / CONFIG_FILE).is_file() or not (own := list_checkpoints(run / CHECKPOINTS_FOLDER)):
        return None
    log.info("%s holds no model yet: its newest checkpoint is taken, %s", run, own[-1].name)
    return own[-1]


def list_checkpoints(directory: Path) -> list[Path]:
    """Return the complete checkpoints below `directory`, oldest first."""
    if not directory.is_dir():
        return []
    found = (path for path in directory.iterdir() if _CHECKPOINT.fullmatch(path.name))
    return sorted(found, key=step_of)


def step_of(checkpoint: Path) -> int:
    """Return the step in the name of a run's own checkpoint."""
    return int(checkpoint.name.removeprefix("step-"))


def _from_hub(name: str, missing: str, remedy: str) -> Path:
    # Half a second of imports that a model on the disk does not need.
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=list(_HUB_FILES)))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise CheckpointError(
            f"{missing}, and no such model on the Hugging Face Hub ({type(error).__name__}). "
            f"{remedy}"
        ) from error


def load_config(folder: Path) -> ModelConfig:
    """Read a model folder's shape, once its files have been compared with their checksums.

    Raises:
        CheckpointError: A file is damaged.
        FormatError: There is none, or it is not of this version.
    """
    check_files(folder)
    path = folder / CONFIG_FILE
    return config_from_dict(ModelConfig, load_json(path), path)
