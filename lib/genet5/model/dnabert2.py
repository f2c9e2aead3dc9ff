"""Import of DNABERT-2 (Zhou et al. 2023, arXiv:2306.15006) as the encoder of a GeneT5.

Only arrays are read: safetensors, or `pytorch_model.bin` by `torch.load(weights_only=True)`; no
code of the checkpoint runs. The encoder's layers are DNABERT-2's own, so its weights go in as they
are; row 0 of the token types, which DNABERT-2 adds to every token, goes into the token embedding.
The decoder starts from copies of the encoder's layers. Cost: the checkpoint (0.5 GB) beside the
model.

Example:
    checkpoint = read_dnabert2("zhihan1996/DNABERT-2-117M")
    model = GeneT5(checkpoint.shape_into(preset("base")))
    model.init_weights(seed=0)
    origins = import_dnabert2(model, checkpoint)
"""

from __future__ import annotations

import logging
import pickle
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from genet5.blocks.attention import SelfAttention
from genet5.blocks.bases import BaseStem
from genet5.blocks.moe import MixtureOfExperts
from genet5.config.json_files import load_json
from genet5.config.model import ModelConfig
from genet5.errors import CheckpointError
from genet5.model.network import GeneT5

log = logging.getLogger(__name__)

Origin = Literal["imported", "copied", "initialised"]
"""Origin of a weight: the checkpoint, the encoder (in the decoder), or the init distributions."""

UPCYCLE_NOISE = 0.05
"""Share of an expert's first draw that stays beside its copy of the dense feed-forward, so that
experts can part."""

_CONFIG, _TOKENIZER = "config.json", "tokenizer.json"
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_DIMENSIONS = (
    "num_hidden_layers",
    "hidden_size",
    "num_attention_heads",
    "intermediate_size",
    "vocab_size",
    "type_vocab_size",
)
_FIXED = {"hidden_act": "gelu", "layer_norm_eps": 1e-12}  # what our encoder does
_MOST_NAMES = 8  # that an error lists

# DNABERT-2's name in a layer -> ours.
_LAYER_NAMES = {
    "attention.self.Wqkv.weight": "attention.qkv.weight",
    "attention.self.Wqkv.bias": "attention.qkv.bias",
    "attention.output.dense.weight": "attention.out.weight",
    "attention.output.dense.bias": "attention.out.bias",
    "attention.output.LayerNorm.weight": "norm1.weight",
    "attention.output.LayerNorm.bias": "norm1.bias",
    "mlp.gated_layers.weight": "feedforward.up.weight",
    "mlp.wo.weight": "feedforward.down.weight",
    "mlp.wo.bias": "feedforward.down.bias",
    "mlp.layernorm.weight": "norm2.weight",
    "mlp.layernorm.bias": "norm2.bias",
}
_WORDS = "embeddings.word_embeddings.weight"
_TYPES = "embeddings.token_type_embeddings.weight"
_NORM = "embeddings.LayerNorm"


@dataclass(frozen=True, slots=True)
class Dnabert2:
    """A checkpoint whose arrays all have the shapes of its config.json."""

    weights_file: Path
    tokenizer_file: Path | None
    """The `tokenizer.json` beside the weights."""
    layers: int
    width: int
    heads: int
    ff_dim: int
    vocab_size: int
    tensors: dict[str, Tensor]
    """fp32, by DNABERT-2's names without "bert."."""
    left_aside: tuple[str, ...]
    """Names of what GeneT5 has no use for: pooler and prediction heads."""

    def shape_into(self, config: ModelConfig) -> ModelConfig:
        """Return the architecture with this encoder's width, layers, heads and vocabulary.

        The window stays that of `config`.

        Raises:
            ConfigError: The other parts cannot have this width.
        """
        encoder = replace(
            config.encoder,
            layers=self.layers,
            heads=self.heads,
            ff_dim=self.ff_dim,
            positions="alibi",
            norm_first=False,
        )
        return replace(config, width=self.width, sequence_vocab=self.vocab_size, encoder=encoder)


def read_dnabert2(path_or_id: str | Path) -> Dnabert2:
    """Read and check a DNABERT-2 checkpoint.

    Args:
        path_or_id: Folder with `config.json` and weights, a weights file in such a folder, or an id
            on the Hugging Face Hub.

    Raises:
        CheckpointError: There is none, or it is not DNABERT-2's: the names or shapes that are wrong
            are listed.
    """
    weights_file, tokenizer_file = _locate(path_or_id)
    sizes = _read_sizes(weights_file.with_name(_CONFIG))
    found = {_bare(name): tensor for name, tensor in _load_tensors(weights_file).items()}
    expected = _expected_shapes(sizes)
    _check(found, expected, weights_file)
    layers, width, heads, ff_dim, vocab_size, _ = sizes
    return Dnabert2(
        weights_file=weights_file,
        tokenizer_file=tokenizer_file,
        layers=layers,
        width=width,
        heads=heads,
        ff_dim=ff_dim,
        vocab_size=vocab_size,
        tensors={name: found[name].float() for name in expected},
        left_aside=tuple(sorted(found.keys() - expected.keys())),
    )


@torch.no_grad()
def import_dnabert2(model: GeneT5, checkpoint: Dnabert2) -> dict[str, Origin]:
    """Put a checkpoint into the encoder of an initialised model, and copies of it into the decoder.

    What is added to the token embeddings (base features, genetic code) is set to zero, so that a
    dense encoder computes what DNABERT-2 computes. The decoder starts from the encoder where shapes
    allow; everything else keeps its first draw:

    - Decoder layer i of n takes layer i m // n of DNABERT-2's m. The decoder's layers have no
      biases.
    - Self-attention needs as many query heads; a key-value head that serves several of them takes
      their mean (Ainslie et al. 2023, arXiv:2305.13245).
    - The feed-forward needs the same width. Every expert takes all of it plus `UPCYCLE_NOISE` times
      its own first draw (sparse upcycling, Komatsuzaki et al. 2022, arXiv:2212.05055); routers keep
      theirs. So do experts in the encoder.
    - The norms before them take those through which DNABERT-2's layers get their inputs.
    - Cross-attention has no model in DNABERT-2.

    Args:
        model: Of the shape that `checkpoint.shape_into` gave; may lie on the meta device, to ask
            for the origins only.
        checkpoint: From `read_dnabert2`.

    Returns:
        Origin of each parameter.
    """
    assert checkpoint.shape_into(model.config) == model.config
    origins: dict[str, Origin] = {name: "initialised" for name, _ in model.named_parameters()}
    filled = _fill_encoder(model, checkpoint)
    origins |= dict.fromkeys(filled, "imported")
    filled = _fill_decoder(model, checkpoint)
    origins |= dict.fromkeys(filled, "copied")
    assert isinstance(model.stem, BaseStem)
    model.stem.to_tokens.weight.zero_()
    model.code_embedding.weight.zero_()
    return origins


def _fill_encoder(model: GeneT5, checkpoint: Dnabert2) -> list[str]:
    """Names of the parameters that were filled."""
    words = checkpoint.tensors[_WORDS] + checkpoint.tensors[_TYPES][0]
    model.encoder.embedding.weight.copy_(words)
    _fill(model.encoder.embedding_norm, _embedding_norm(checkpoint), "norm", "")
    names = ["embedding.weight", "embedding_norm.weight", "embedding_norm.bias"]
    for number, layer in enumerate(model.encoder.layers):
        source = _layer(checkpoint, number)
        filled = [f"feedforward.{name}" for name in _fill_feedforward(layer.feedforward, source)]
        for part in ("attention.qkv", "attention.out", "norm1", "norm2"):
            filled += _fill(layer.get_submodule(part), source, part, f"{part}.")
        names += [f"layers.{number}.{name}" for name in filled]
    return [f"encoder.{name}" for name in names]


def _fill_decoder(model: GeneT5, checkpoint: Dnabert2) -> list[str]:
    """Names of the parameters that were filled."""
    layers, names = model.decoder.layers, []
    for number, layer in enumerate(layers):
        above = number * checkpoint.layers // len(layers)
        source, filled = _layer(checkpoint, above), []
        if model.config.decoder.heads == checkpoint.heads:
            qkv = _share_heads(source["attention.qkv.weight"], layer.attention)
            layer.attention.qkv.weight.copy_(qkv)
            layer.attention.out.weight.copy_(source["attention.out.weight"])
            filled += ["attention.qkv.weight", "attention.out.weight"]
            below = _layer(checkpoint, above - 1) if above else _embedding_norm(checkpoint)
            norm = "norm2" if above else "norm"
            filled += _fill(layer.norm_self, below, norm, "norm_self.")
        if model.config.decoder.ff_dim == checkpoint.ff_dim:
            filled += [f"feedforward.{n}" for n in _fill_feedforward(layer.feedforward, source)]
            filled += _fill(layer.norm_ff, source, "norm1", "norm_ff.")
        names += [f"decoder.layers.{number}.{name}" for name in filled]
    return names


def _layer(checkpoint: Dnabert2, number: int) -> dict[str, Tensor]:
    """Weights of one layer by our names."""
    return {
        ours: checkpoint.tensors[f"encoder.layer.{number}.{theirs}"]
        for theirs, ours in _LAYER_NAMES.items()
    }


def _embedding_norm(checkpoint: Dnabert2) -> dict[str, Tensor]:
    return {f"norm.{name}": checkpoint.tensors[f"{_NORM}.{name}"] for name in ("weight", "bias")}


def _fill(target: nn.Module, source: Mapping[str, Tensor], part: str, prefix: str) -> list[str]:
    """Copy the weights `part.*` that `target` has; return their names with `prefix`."""
    names = []
    for name, weight in target.named_parameters():
        weight.copy_(source[f"{part}.{name}"])
        names.append(prefix + name)
    return names


def _fill_feedforward(target: nn.Module, source: Mapping[str, Tensor]) -> list[str]:
    if not isinstance(target, MixtureOfExperts):
        return _fill(target, source, "feedforward", "")
    for name, experts in (("up", target.up), ("down", target.down)):
        dense = source[f"feedforward.{name}.weight"].to(experts.device)
        experts.mul_(UPCYCLE_NOISE).add_(dense)
    return ["up", "down"]


def _share_heads(qkv: Tensor, target: SelfAttention) -> Tensor:
    """Rows of `qkv` for fewer key-value heads: means over those that a head replaces."""
    heads, groups, width = target.heads, target.kv_heads, target.head_width
    q, k, v = qkv.view(3, heads, width, -1)
    shared = [x.view(groups, heads // groups, width, -1).mean(dim=1) for x in (k, v)]
    return torch.cat((q, *shared)).flatten(0, 1)


def _locate(path_or_id: str | Path) -> tuple[Path, Path | None]:
    """Return the weights file, beside which config.json lies, and the tokenizer file if any."""
    path = Path(path_or_id)
    if path.is_dir() or path.is_file():
        folder = path if path.is_dir() else path.parent
        candidates = [path] if path.is_file() else [folder / name for name in _WEIGHTS]
        weights = next((file for file in candidates if file.is_file()), None)
        if weights is None:
            raise CheckpointError(f"{folder}: holds no weights; expected {' or '.join(_WEIGHTS)}")
        tokenizer = folder / _TOKENIZER
        return weights, tokenizer if tokenizer.is_file() else None
    try:
        return _download(str(path_or_id))
    except (HfHubHTTPError, EntryNotFoundError, ValueError, OSError) as error:
        raise CheckpointError(
            f"{path_or_id}: no such file or folder, and not available from the Hugging Face Hub "
            f"({type(error).__name__})."
            " Without network: `hf download zhihan1996/DNABERT-2-117M --local-dir DIR` elsewhere,"
            f" then --dnabert_path DIR ({_CONFIG}, {_TOKENIZER} and {' or '.join(_WEIGHTS)})"
        ) from error


def _download(repository: str) -> tuple[Path, Path | None]:
    """Fetch the files that are needed, or find them in the Hub's cache."""
    hf_hub_download(repository, _CONFIG)
    try:
        tokenizer = Path(hf_hub_download(repository, _TOKENIZER))
    except EntryNotFoundError:
        tokenizer = None
    try:
        return Path(hf_hub_download(repository, _WEIGHTS[0])), tokenizer
    except EntryNotFoundError:
        return Path(hf_hub_download(repository, _WEIGHTS[1])), tokenizer


def _read_sizes(path: Path) -> tuple[int, ...]:
    """The values of `_DIMENSIONS`."""
    if not path.is_file():
        raise CheckpointError(f"{path}: file not found; expected DNABERT-2's beside its weights")
    values = load_json(path)
    missing = [name for name in _DIMENSIONS if not isinstance(values.get(name), int)]
    if missing:
        raise CheckpointError(
            f"{path}: not a DNABERT-2 checkpoint: no {', '.join(missing)};"
            f" found {_listed(values)}. Give the folder of zhihan1996/DNABERT-2-117M"
        )
    sizes = {name: values[name] for name in _DIMENSIONS}
    width = sizes["hidden_size"]
    wrong = {name: "at least 1" for name, size in sizes.items() if size < 1}
    if not wrong and width % sizes["num_attention_heads"]:
        wrong["num_attention_heads"] = f"a divisor of {width}"
    for name, expected in _FIXED.items():
        if values.get(name, expected) != expected:
            wrong[name] = repr(expected)
    for name, rule in wrong.items():
        raise CheckpointError(f"{path}: {name} = {values[name]!r}; expected {rule}")
    return tuple(sizes.values())


def _load_tensors(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        # Only zip files, which torch.save has written since 2020, can be mapped instead of read.
        state = torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: not a file of arrays alone; it holds Python code, which is never run, "
            "or is damaged"
            f" ({str(error).splitlines()[0]}). Use a model.safetensors, or a file that you trust,"
            f" rewritten by torch.save(model.state_dict())"
        ) from error
    except (OSError, EOFError, RuntimeError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}. Download it again") from error
    if not isinstance(state, Mapping) or not all(isinstance(x, Tensor) for x in state.values()):
        raise CheckpointError(f"{path}: holds a {type(state).__name__}; expected names and arrays")
    return dict(state)


def _bare(name: str) -> str:
    return name.removeprefix("bert.")


def _expected_shapes(sizes: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    layers, width, _, ff_dim, vocab_size, types = sizes
    in_layer = {
        "attention.self.Wqkv.weight": (3 * width, width),
        "attention.self.Wqkv.bias": (3 * width,),
        "attention.output.dense.weight": (width, width),
        "mlp.gated_layers.weight": (2 * ff_dim, width),
        "mlp.wo.weight": (width, ff_dim),
    }
    shapes: dict[str, tuple[int, ...]] = {_WORDS: (vocab_size, width), _TYPES: (types, width)}
    shapes |= {f"{_NORM}.weight": (width,), f"{_NORM}.bias": (width,)}
    for number in range(layers):
        for name in _LAYER_NAMES:  # biases and norms have the width
            shapes[f"encoder.layer.{number}.{name}"] = in_layer.get(name, (width,))
    return shapes


def _check(found: dict[str, Tensor], expected: dict[str, tuple[int, ...]], path: Path) -> None:
    missing = [name for name in expected if name not in found]
    if missing:
        raise CheckpointError(
            f"{path}: not a DNABERT-2 checkpoint: {len(missing)} of {len(expected)} arrays are "
            "missing: "
            "bert."
            f"{_listed(missing, ', bert.')}; found {_listed(found)}. "
            "Give zhihan1996/DNABERT-2-117M or one of its shape"
        )
    # An encoder array that we would not use would change what the encoder computes.
    surplus = [n for n in found if n.startswith(("embeddings.", "encoder.")) and n not in expected]
    surplus = [
        name for name in surplus if name != "embeddings.position_ids"
    ]  # old files: 0, 1, ...
    if surplus:
        raise CheckpointError(
            f"{path}: arrays that DNABERT-2 with the {_CONFIG} beside it does not have: bert."
            f"{_listed(surplus, ', bert.')}. Give the {_CONFIG} of these weights"
        )
    wrong = [
        f"bert.{name} {tuple(found[name].shape)} instead of {shape}"
        for name, shape in expected.items()
        if tuple(found[name].shape) != shape
    ]
    if wrong:
        raise CheckpointError(
            f"{path}: {len(wrong)} arrays have other shapes than in {_CONFIG} beside it: "
            f"{_listed(wrong)}"
        )
    bad = [
        name
        for name in expected
        if not (found[name].is_floating_point() and found[name].isfinite().all())
    ]
    if bad:
        raise CheckpointError(
            f"{path}: no finite floating-point numbers in bert.{_listed(bad, ', bert.')}. "
            "Download it again"
        )


def _listed(names: Iterable[str], separator: str = ", ") -> str:
    """The first names, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return separator.join(names[:_MOST_NAMES]) + more
