"""Model folders: what is on disk or on the hub, loaded into stock classes without remote code.

GENERator's published checkpoints name a class of their own (`auto_map`), in a file that is neither
downloaded nor run: their weights are Llama's. A model type that `transformers` does not know itself
is refused, with the reason. Weights are safetensors, never pickle.

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
from transformers import AutoModelForCausalLM, LlamaForCausalLM, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import logging as transformers_logging

from genet5.config.json_files import load_json
from genet5.config.manifest import check_files, record_checksums
from genet5.errors import CheckpointError
from genet5.lm.nucleotide_gpt import MODEL_TYPE, NucleotideGPTForCausalLM
from genet5.lm.text import Vocabulary
from genet5.lm.tokenizer_files import load_vocabulary, save_vocabulary

log = logging.getLogger(__name__)

_FILES = ("*.json", "*.safetensors", "vocab.txt")
"""What is downloaded from a hub: no code, no pickles."""


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
    try:
        network = network_class.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{name}: cannot be loaded ({error})") from error
    vocabulary = load_vocabulary(folder)
    size = network.get_input_embeddings().weight.shape[0]
    if vocabulary.vocab_size > size:
        raise CheckpointError(
            f"{name}: the network embeds {size} tokens, its tokenizer has {vocabulary.vocab_size}"
        )
    return LanguageModel(network.to(device).eval(), vocabulary, name)


def record_network(folder: Path) -> None:
    """Enter the files that transformers has written into the folder's checksums."""
    written = [*folder.glob("*config.json"), *folder.glob("*.safetensors*")]
    record_checksums(folder, *sorted(path.name for path in written))


def model_folder(name: str) -> Path:
    """Return a model's folder, downloaded from the hub if it is not on disk.

    Raises:
        CheckpointError: It is neither.
    """
    path = Path(name)
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
