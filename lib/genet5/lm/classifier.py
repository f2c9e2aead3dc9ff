"""Classifiers and regressors: a network of `transformers`, its tokens, and the names of its labels.

A head is put on a causal language model's trunk (`AutoModelForSequenceClassification`): it reads
the last token's state. Trunk and head are saved together as safetensors, with `task.json` beside
them, which says how sequences are read; the folder loads in `AutoModelForSequenceClassification`
(Nucleotide GPT's and chunks after `import genet5.lm.classifier`).

Inputs longer than the trunk was trained with: `yarn` scales Llama's rotary embedding,
`sliding_window` makes a Llama a Mistral of the same weights, which is Llama with a window, and
`chunks` is `lm.chunk_ensemble`.

BERT and ESM have classes in `transformers` too: DNABERT (6-mers) and the first Nucleotide
Transformers are read as well. DNABERT-2 and the second ones say that they are BERT and ESM but have
other layers, so their weights do not fit and are refused; HyenaDNA and Caduceus have no class.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    MistralConfig,
    PreTrainedModel,
    set_seed,
)
from transformers.utils import logging as transformers_logging

from genet5.config.json_files import config_from_dict, config_to_dict, load_json, save_json
from genet5.config.lm.finetune import LoraConfig, TaskConfig
from genet5.errors import CheckpointError, ConfigError, FormatError
from genet5.lm.chunk_ensemble import ChunkEnsembleConfig
from genet5.lm.encoders import Encoder, EndName
from genet5.lm.folders import model_folder, network_config, read_network
from genet5.lm.local_attention import ATTENTION
from genet5.lm.nucleotide_gpt import MODEL_TYPE
from genet5.lm.targets import LabelSpace
from genet5.lm.text import Vocabulary
from genet5.lm.tokenizer_files import OURS, load_vocabulary, read_published, save_vocabulary
from genet5.lm.word_vocabulary import VOCAB, WordVocabulary, read_words

TASK_FILE = "task.json"
FORMAT = 1
_ROTARY = ("llama", "mistral", MODEL_TYPE)
_ENDS: dict[str, EndName] = {"bert": "eos", "esm": "none"}
_OF_LLAMA = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "head_dim", "hidden_act", "max_position_embeddings",
    "initializer_range", "rms_norm_eps", "pad_token_id", "bos_token_id", "eos_token_id",
    "rope_parameters", "attention_dropout",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Classifier:
    """A network with its tokens and labels."""

    network: PreTrainedModel
    encoder: Encoder
    space: LabelSpace

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return torch.device(self.network.device)

    def save(self, folder: Path) -> None:
        """Write network, tokenizer and task."""
        self.network.save_pretrained(folder)
        self.save_task(folder)

    def save_task(self, folder: Path) -> None:
        """Write tokenizer and task beside a network that is there already."""
        vocabulary = self.encoder.vocabulary
        if isinstance(vocabulary, WordVocabulary):
            vocabulary.save(folder)
        else:
            save_vocabulary(vocabulary, folder)
        values = {
            "format": FORMAT,
            "task": config_to_dict(self.encoder.task),
            "max_tokens": self.encoder.max_tokens,
            "names": list(self.space.names),
        }
        save_json(folder / TASK_FILE, values)


def new_classifier(
    name: str, space: LabelSpace, task: TaskConfig, *, seed: int, from_scratch: bool = False
) -> Classifier:
    """Put a head with random weights on a pretrained trunk.

    Args:
        name: Folder or hub name of the language model.
        space: Classes or values.
        task: How sequences are read.
        seed: Of the random weights.
        from_scratch: Random weights for the trunk, too.

    Raises:
        CheckpointError: The model is none of `transformers`' own classes, or lacks weights.
        ConfigError: `max_tokens` and `long_inputs` do not fit the model.
    """
    folder = model_folder(name)
    config = network_config(folder)
    kind = config.model_type
    vocabulary = read_vocabulary(folder, kind)
    config.pad_token_id = vocabulary.pad_id
    max_tokens = task.max_tokens or _known_tokens(config)
    config = _lengthened(config, task, max_tokens)
    labels = dict(enumerate(space.names))
    config.id2label, config.label2id = labels, {name: number for number, name in labels.items()}
    config.problem_type = space.problem_type
    set_seed(seed)
    network = (
        AutoModelForSequenceClassification.from_config(config, attn_implementation="sdpa")
        if from_scratch
        else _pretrained(folder, config)
    )
    _choose_attention(network)
    encoder = Encoder(vocabulary, max_tokens, task, _ENDS.get(kind, "separator"))
    return Classifier(network.float(), encoder, space)


def load_classifier(
    name: str, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> Classifier:
    """Load what `Classifier.save` wrote, in evaluation mode.

    Raises:
        CheckpointError: There is no such model.
        FormatError: It has no task, or one of another format.
    """
    folder = model_folder(name)
    path = folder / TASK_FILE
    if not path.is_file():
        raise FormatError(
            f"no {TASK_FILE}", expected="a fine-tuned model", path=folder,
            remedy="genet5 lm finetune makes one, in OUT/best_model",
        )  # fmt: skip
    values = load_json(path)
    if values.get("format") != FORMAT:
        raise FormatError("another format", expected=f"format {FORMAT}", path=path)
    task = config_from_dict(TaskConfig, values["task"], path)
    network = _from_pretrained(AutoModelForSequenceClassification, folder, None, dtype=dtype)[0]
    _choose_attention(network)
    kind = network.config.model_type
    encoder = Encoder(
        read_vocabulary(folder, kind), int(values["max_tokens"]), task, _ENDS.get(kind, "separator")
    )
    space = LabelSpace(task.problem_type, tuple(values["names"]))
    return Classifier(network.to(device).eval(), encoder, space)


def read_vocabulary(folder: Path, kind: str) -> Vocabulary | WordVocabulary:
    """Return the tokens of a model of this type.

    DNABERT's vocab.txt has 6-mers that overlap, which the file does not say; the Nucleotide
    Transformer's (ESM) has 6-mers and letters.

    Raises:
        FormatError: The folder has no tokens that are known.
    """
    if kind == "esm":
        return read_words(folder)
    if kind != "bert" or (folder / OURS).is_file() or not (folder / VOCAB).is_file():
        return load_vocabulary(folder)
    found = read_published(folder)
    roles = replace(found.specials, bos="[CLS]", eos="[SEP]")
    return replace(found, stride=1, specials=roles)


def with_lora(network: PreTrainedModel, config: LoraConfig) -> Any:
    """Return the network with trainable low-rank changes to its matrices; the head stays whole."""
    import peft

    assert config.lora_rank is not None
    layers = network.base_model.named_modules()
    names = {name.rpartition(".")[2] for name, part in layers if isinstance(part, nn.Linear)}
    wanted = config.lora_targets or tuple(sorted(names))
    if unknown := set(wanted) - names:
        raise ConfigError("lora_targets", min(unknown), f"must be among {', '.join(sorted(names))}")
    how = peft.LoraConfig(
        task_type="SEQ_CLS",
        r=config.lora_rank,
        lora_alpha=config.lora_alpha or 2 * config.lora_rank,
        lora_dropout=config.lora_dropout,
        target_modules=list(wanted),
        modules_to_save=[name for name in ("score", "classifier") if hasattr(network, name)],
    )
    return peft.get_peft_model(network, how)


def merged_with_adapter(network: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """Return the network with the changes of a saved adapter put into its matrices."""
    import peft

    network = peft.PeftModel.from_pretrained(network, str(folder)).merge_and_unload()
    return network


# ---- long inputs ---------------------------------------------------------------------------------


def _lengthened(config: Any, task: TaskConfig, max_tokens: int) -> Any:
    """Return the configuration of a network that takes `max_tokens`."""
    known, how = _known_tokens(config), task.long_inputs
    if max_tokens <= known:
        if how != "none":
            rule = f"has no effect: the model takes {known} tokens, and max_tokens is {max_tokens}"
            raise ConfigError("long_inputs", how, rule)
        return config
    if how == "none":
        rule = f"must be at most {known}, or --long_inputs must say how more are read"
        raise ConfigError("max_tokens", max_tokens, rule)
    if how == "chunks":
        size = min(task.chunk_tokens, known)
        chunks = -(-max_tokens // size)
        return ChunkEnsembleConfig(backbone=config, chunk_tokens=size, max_chunks=chunks)
    if config.model_type not in (_ROTARY if how == "yarn" else ("llama", "mistral")):
        raise ConfigError("long_inputs", how, f"is not known for {config.model_type}; use chunks")
    return _with_yarn(config, max_tokens) if how == "yarn" else _with_window(config, max_tokens)


def _known_tokens(config: Any) -> int:
    """Return the tokens that a network takes; ESM counts places from after its padding id on."""
    known = int(config.max_position_embeddings)
    return known - config.pad_token_id - 1 if config.model_type == "esm" else known


def _with_yarn(config: Any, max_tokens: int) -> Any:
    known = int(config.max_position_embeddings)
    config.rope_parameters = {
        **config.rope_parameters,
        "rope_type": "yarn",
        "factor": max_tokens / known,
        "original_max_position_embeddings": known,
    }
    config.max_position_embeddings = max_tokens
    return config


def _with_window(config: Any, max_tokens: int) -> MistralConfig:
    """Return Llama's configuration as Mistral's, with a window of what it was trained with."""
    window = getattr(config, "sliding_window", None) or config.max_position_embeddings
    for name in ("attention_bias", "mlp_bias"):
        if getattr(config, name, False):
            raise ConfigError("long_inputs", "sliding_window", f"cannot have {name}; use chunks")
    values = {name: getattr(config, name) for name in _OF_LLAMA}
    values["max_position_embeddings"] = max_tokens
    return MistralConfig(**values, sliding_window=int(window))


# ---- weights -------------------------------------------------------------------------------------


def _pretrained(folder: Path, config: Any) -> Any:
    """Load a trunk and give it a new head.

    Raises:
        CheckpointError: Weights of the trunk are missing or have another shape.
    """
    if isinstance(config, ChunkEnsembleConfig):
        network = AutoModelForSequenceClassification.from_config(config)
        shape = config.backbone_config()
        trunk, found = _from_pretrained(AutoModel, folder, shape)
        _check_whole(folder, trunk, found, prefix="")
        network.model = trunk
        return network
    network, found = _from_pretrained(AutoModelForSequenceClassification, folder, config)
    _check_whole(folder, network, found, prefix=f"{network.base_model_prefix}.")
    return network


def _from_pretrained(
    auto_class: Any, folder: Path, config: Any, dtype: torch.dtype = torch.float32
) -> tuple[Any, dict[str, Any]]:
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    how = {"dtype": dtype, "output_loading_info": True, "ignore_mismatched_sizes": True}
    network, found = read_network(auto_class, folder, config, **how)
    return network, found


def _check_whole(folder: Path, network: Any, found: dict[str, Any], *, prefix: str) -> None:
    """Refuse a trunk whose weights are not all in the file, in the shape of the stock class."""
    missing = {*found["missing_keys"], *(each[0] for each in found["mismatched_keys"])}
    lost = sorted(name for name in missing if name.startswith(prefix) and "pooler" not in name)
    if lost:
        raise CheckpointError(
            f"{folder}: {len(lost)} weights of {type(network).__name__} are missing or have another"
            f" shape, the first {lost[0]}: the checkpoint needs code of its own, which is never run"
        )


def _choose_attention(network: Any) -> None:
    """Attend in linear memory where the network has a window."""
    if getattr(network.config, "sliding_window", None):
        network.set_attn_implementation(ATTENTION)
