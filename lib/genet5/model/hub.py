"""Publishing a model's folder on the Hugging Face Hub, as one commit.

Only the files of a model are taken: no checkpoints, metrics or logs of a run that lie beside them.
The token is huggingface_hub's: the variable HF_TOKEN, or `hf auth login`. HF_ENDPOINT names another
server than huggingface.co.

Example:
    files = model_files(Path("run"), "user/model")
    push_model(files, "user/model", private=True)    # the address
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

from genet5.config.manifest import MANIFEST, check_files
from genet5.errors import CheckpointError, ConfigError, ServerError
from genet5.model.card_page import PAGE, model_page
from genet5.model.folders import CONFIG_FILE

_NAMES = (
    CONFIG_FILE, "generation_config.json", "tokenizer.json", "dna_tokenizer.json",
    "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "annotate.json", "card.json",
    MANIFEST, "LICENSE",
)  # fmt: skip
_WEIGHTS = ("model.safetensors", "model-*.safetensors", "model.safetensors.index.json")


def model_files(folder: Path, repo_id: str) -> dict[str, Path | bytes]:
    """Return what is published of a model: name -> file, or content that is made here.

    Raises:
        CheckpointError: The folder holds no model, or a damaged one.
    """
    check_files(folder)
    weights = sorted({path for pattern in _WEIGHTS for path in folder.glob(pattern)})
    if not (folder / CONFIG_FILE).is_file() or not weights:
        raise CheckpointError(f"{folder} holds no model: expected {CONFIG_FILE} and {_WEIGHTS[0]}")
    found: dict[str, Path | bytes] = {PAGE: model_page(folder, repo_id).encode()}
    others = [path for name in _NAMES if (path := folder / name).is_file()]
    return found | {path.name: path for path in (*others, *weights)}


def size_of(file: Path | bytes) -> int:
    """Return bytes."""
    return len(file) if isinstance(file, bytes) else file.stat().st_size


def push_model(
    files: dict[str, Path | bytes], repo_id: str, *, private: bool, message: str = "Add the model"
) -> str:
    """Make the repository if there is none, commit the files, and return its address.

    Args:
        files: As `model_files` gives them.
        repo_id: "user/model".
        private: Whether a new repository is private; one that exists stays as it is.
        message: Of the commit.

    Raises:
        ConfigError: There is no token.
        ServerError: The Hub refuses, or cannot be reached.
    """
    # Half a second of imports that other commands do not need.
    from huggingface_hub import CommitOperationAdd, HfApi, get_token
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    if get_token() is None:
        raise ConfigError("HF_TOKEN", None, "must hold a token that may write (or: hf auth login)")
    # The base of all errors of the HTTP client that huggingface_hub uses, whichever that is.
    network_error = cast("type[Exception]", HfHubHTTPError.__mro__[1])
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    operations = [
        CommitOperationAdd(path_in_repo=name, path_or_fileobj=file) for name, file in files.items()
    ]
    try:
        address = api.create_repo(repo_id, private=private, exist_ok=True)
        api.create_commit(repo_id, operations, commit_message=message)
    except HFValidationError as error:
        raise ConfigError("REPO_ID", repo_id, "must look like user/model") from error
    except (network_error, OSError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ServerError(f"{repo_id} could not be published: {reason}") from error
    return str(address)
