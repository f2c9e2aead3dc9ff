"""A model's files: config.json, model.safetensors and tokenizer.json, or a training checkpoint.

`folders` finds the folder itself.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from genet5.errors import CheckpointError
from genet5.model.adapters import merged
from genet5.model.checksums import check_tensors, checksums_of
from genet5.model.folders import WEIGHTS_FILE

SHARDS_FOLDER, MODEL_PREFIX, AVERAGE_PREFIX = "state", "model/", "average/"
"""Of a training checkpoint: its tensors in shards, and how the names of the model's and of their
moving average begin."""


def load_weights(folder: Path, device: torch.device | str = "cpu") -> dict[str, Tensor]:
    """Read the tensors of a model folder or of a training checkpoint, in their stored type.

    A checkpoint's moving average takes the place of its weights, and its adapters are merged, as in
    what a run exports.

    Raises:
        CheckpointError: There are none, or a file is damaged.
    """
    path = folder / WEIGHTS_FILE
    try:
        if path.exists():
            check_tensors(path)
        if not path.exists() and (folder / SHARDS_FOLDER).is_dir():
            path = folder / SHARDS_FOLDER
            return {name: tensor.to(device) for name, tensor in _load_shards(path).items()}
        return load_file(path, device=str(device))
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: {error}") from error


def _load_shards(folder: Path) -> dict[str, Tensor]:
    # A second of imports that annotation need not wait for.
    from torch.distributed.checkpoint import state_dict_loader
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.metadata import TensorStorageMetadata

    for shard in sorted(folder.glob("*.safetensors")):
        check_tensors(shard)
    reader = HuggingFaceStorageReader(str(folder))
    found = {
        name: torch.empty(saved.size, dtype=saved.properties.dtype)
        for name, saved in reader.read_metadata().state_dict_metadata.items()
        if name.startswith((MODEL_PREFIX, AVERAGE_PREFIX))
        and isinstance(saved, TensorStorageMetadata)
    }
    try:
        state_dict_loader.load(found, storage_reader=reader, no_dist=True)
    except CheckpointException as error:
        raise CheckpointError(f"{folder}: {error}") from error
    weights, average = (
        {name.removeprefix(begin): found[name] for name in found if name.startswith(begin)}
        for begin in (MODEL_PREFIX, AVERAGE_PREFIX)
    )
    return merged(weights | average)


def save_weights(folder: Path, tensors: dict[str, Tensor]) -> None:
    """Write tensors into a model folder, by temporary file and rename."""
    scratch = folder / (WEIGHTS_FILE + ".tmp")
    write_tensors(scratch, tensors, {"format": "pt"})
    os.replace(scratch, folder / WEIGHTS_FILE)


def write_tensors(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Write a safetensors file with checksums and usual access rights.

    safetensors 0.8 excludes other users.
    """
    path.unlink(missing_ok=True)  # what a killed process left may have other rights
    path.touch()
    mode = path.stat().st_mode
    metadata = metadata or {}
    save_file(tensors, path, metadata=metadata | checksums_of(tensors, metadata))
    path.chmod(mode)
