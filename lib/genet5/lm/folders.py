"""Model folders: what is on disk or on the hub, loaded into stock classes without remote code.

GENERator's published checkpoints name a class of their own (`auto_map`), in a file that is neither
downloaded nor run: their weights are Llama's. A model type that `transformers` does not know itself
is refused, with the reason. Weights are safetensors, never pickle. A training checkpoint is a
model's folder as well; a run's folder that holds no model yet stands for its newest one.

Example:
    lm = load_model("GenerTeam/GENERator-v2-eukaryote-1.2b-base", device)
    lm.network, lm.vocabulary
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, LlamaForCausalLM, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import logging as transformers_logging

from genet5.config.json_files import load_json
from genet5.config.manifest import check_files, record_checksums
from genet5.errors import CheckpointError, clipped
from genet5.lm.nucleotide_gpt import MODEL_TYPE, NucleotideGPTForCausalLM
from genet5.lm.text import Vocabulary
from genet5.lm.tokenizer_files import load_vocabulary, save_vocabulary
from genet5.model.files import SHARDS_FOLDER, load_weights
from genet5.model.folders import newest_checkpoint

log = logging.getLogger(__name__)

_FILES = ("*.json", "*.safetensors", "vocab.txt")
"""What is downloaded from a hub: no code, no pickles."""
_OF_WRONG_CONFIGS = (KeyError, TypeError, AttributeError, ArithmeticError)
"""What transformers raises besides for values in config.json that no network can have."""
TRAINED_PREFIX = "network."
"""How the names of a network's tensors begin in a training checkpoint."""


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """A network with its tokenizer."""

    network: PreTrainedModel
    vocabulary: Vocabulary
    name: str
    """As the user gave it."""

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return torch.device(self.network.device)

    @property
    def max_tokens(self) -> int:
        """Longest sequence in tokens."""
        return int(self.network.config.max_position_embeddings)

    def save(self, folder: Path) -> None:
        """Write config.json, model.safetensors and the tokenizer's files."""
        transformers_logging.disable_progress_bar()
        self.network.save_pretrained(folder)
        record_network(folder)
        save_vocabulary(self.vocabulary, folder)


def load_model(
    name: str, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> LanguageModel:
    """Load a causal language model, in evaluation mode.

    Args:
        name: A folder, or a model's name on the hub, `OWNER/NAME` or `OWNER/NAME@REVISION`.
        device: Where it shall run.
        dtype: Of its weights.

    Raises:
        CheckpointError: There is no such model, or it needs code from the hub.
        FormatError: Its tokenizer is not one of ours.
    """
    folder = model_folder(name)
    check_files(folder)
    network_class = _class_of(folder)
    transformers_logging.disable_progress_bar()
    network, found = read_network(network_class, folder, dtype=dtype, output_loading_info=True)
    if missing := sorted(found["missing_keys"]):
        raise CheckpointError(f"{name}: {len(missing)} weights are missing, the first {missing[0]}")
    vocabulary = load_vocabulary(folder)
    size = network.get_input_embeddings().weight.shape[0]
    if vocabulary.vocab_size > size:
        raise CheckpointError(
            f"{name}: the network embeds {size} tokens, its tokenizer has {vocabulary.vocab_size}"
        )
    return LanguageModel(network.to(device).eval(), vocabulary, name)


def read_network(network_class: Any, folder: Path, config: Any = None, **how: Any) -> Any:
    """Read a network of a class of `transformers` from a model's folder or a training checkpoint.

    Args:
        network_class: Any class that has `from_pretrained`.
        folder: The folder.
        config: Instead of its config.json.
        how: Passed on to `from_pretrained`.

    Raises:
        CheckpointError: It cannot be loaded.
    """
    how |= {"use_safetensors": True, "trust_remote_code": False}
    source: Path | None = folder
    if (folder / SHARDS_FOLDER).is_dir():
        tensors = load_weights(folder).items()
        source = None
        how["state_dict"] = {name.removeprefix(TRAINED_PREFIX): each for name, each in tensors}
        config = config or network_config(folder)
    try:
        return network_class.from_pretrained(
            source, **({} if config is None else {"config": config}), **how
        )
    except RuntimeError as error:
        raise CheckpointError(
            f"{folder}: weights and config.json do not fit each other ({clipped(str(error))})"
        ) from error
    except (OSError, ValueError, *_OF_WRONG_CONFIGS) as error:
        reason = f"{type(error).__name__}: {clipped(str(error))}"
        raise CheckpointError(f"{folder}: cannot be loaded ({reason})") from error


def network_config(folder: Path) -> Any:
    """Return a model's configuration, if its type is one of `transformers` or ours.

    Raises:
        CheckpointError: It is not: it would need code from a hub.
    """
    kind, values = read_settings(folder)
    try:
        return AutoConfig.for_model(kind, **values)
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder}: model type {kind!r} is none that transformers knows itself, and code from a"
            " hub is never run"
        ) from error


def record_network(folder: Path) -> None:
    """Enter the files that transformers has written into the folder's checksums."""
    written = [*folder.glob("*config.json"), *folder.glob("*.safetensors*")]
    record_checksums(folder, *sorted(path.name for path in written))


def model_folder(name: str) -> Path:
    """Return a model's folder, downloaded from the hub if it is not on disk.

    Args:
        name: A folder (of a model, a checkpoint or a run), or a name on the hub.

    Raises:
        CheckpointError: It is neither.
    """
    path = Path(name)
    if newest := newest_checkpoint(path):
        return newest
    if path.is_dir():
        return path
    repository, _, revision = name.partition("@")
    if repository.count("/") != 1 or path.is_absolute():
        raise CheckpointError(
            f"{name}: no such folder, and no OWNER/NAME of a hub. genet5 lm init makes a model"
        )
    from huggingface_hub import snapshot_download

    try:
        found = snapshot_download(
            repository, revision=revision or None, allow_patterns=list(_FILES)
        )
    except Exception as error:  # the client's errors share no class
        raise CheckpointError(
            f"{name}: no such folder, and not found on the hub ({type(error).__name__}: {error})"
        ) from error
    return Path(found)


def read_settings(folder: Path) -> tuple[Any, dict[str, Any]]:
    """Return a network's type and the other values of its config.json; its own code is not run.

    Raises:
        CheckpointError: There is no config.json.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise CheckpointError(f"{folder}: no config.json; is it a model's folder?")
    values = load_json(path)
    if values.pop("auto_map", None):
        log.info("%s: its own code (auto_map) is ignored; a stock class is used", folder)
    return values.pop("model_type", None), values


def _class_of(folder: Path) -> Any:
    """Choose the class by the model's type."""
    kind, _ = read_settings(folder)
    if kind == "llama":
        return LlamaForCausalLM
    if kind == MODEL_TYPE:
        return NucleotideGPTForCausalLM
    if kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return AutoModelForCausalLM
    raise CheckpointError(
        f"{folder}: model type {kind!r} is no causal language model of transformers, and code from"
        " a hub is never run"
    )
