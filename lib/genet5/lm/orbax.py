"""Nucleotide GPT's published checkpoints, which Orbax wrote, as safetensors.

A step's folder holds `default/`: one array for each leaf of {weights, opt_state}, named by its path
(`weights.layers.0.q`), in Zarr within an OCDBT database, or in folders of those names where OCDBT
was off. TensorStore reads both; neither JAX nor Orbax is needed. Matrices are stored the other way
round there, and those of attention with an axis of their own for heads. The optimizer's moments are
left where they are.

Example:
    convert(LmConvertConfig(checkpoint=Path("20000"), out=Path("model/ngpt"), rope_theta=8192))
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genet5.config.lm.convert import LmConvertConfig
from genet5.config.lm.init import PRESETS, LmShape
from genet5.errors import CheckpointError
from genet5.lm.folders import LanguageModel
from genet5.lm.networks import build_network
from genet5.lm.vocabulary import KmerVocabulary, nucleotide_gpt_kmers, nucleotide_gpt_vocabulary

_NORMS = {
    "attn_in_gamma": "input_layernorm",
    "attn_out_gamma": "attention_output_layernorm",
    "ff_in_gamma": "post_attention_layernorm",
    "ff_out_gamma": "feedforward_output_layernorm",
}
_INWARD = {"q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj"}
_SIZES = {6: "nucleotides", 4098: "6-mers"}


class OrbaxTree:
    """The arrays of a checkpoint, by path.

    Args:
        folder: Of a step, or the folder `default` in it.

    Raises:
        CheckpointError: It holds no arrays.
    """

    def __init__(self, folder: Path) -> None:
        inner = folder / "default"
        self._folder = (inner if inner.is_dir() else folder).resolve()
        self._is_ocdbt = (self._folder / "manifest.ocdbt").is_file()
        if not self._is_ocdbt and not any(self._folder.glob("weights.*")):
            raise CheckpointError(
                f"{folder}: no Orbax checkpoint (neither manifest.ocdbt nor weights.*); name the"
                " folder of one step"
            )

    def has(self, name: str) -> bool:
        """Whether there is an array of this path."""
        return self._driver(name) is not None

    def array(self, name: str) -> NDArray[np.float32]:
        """Return an array as fp32.

        Raises:
            CheckpointError: There is none, or it cannot be read.
        """
        import tensorstore

        driver = self._driver(name)
        if driver is None:
            raise CheckpointError(f"{self._folder}: no array {name}; is it a Nucleotide GPT?")
        spec = {"driver": driver, "kvstore": self._store(f"{name}/")}
        try:
            found = tensorstore.open(spec, open=True, read=True).result().read().result()
        except (ValueError, OSError) as error:
            raise CheckpointError(f"{self._folder}: {name} cannot be read ({error})") from error
        return np.asarray(found).astype(np.float32)

    def _driver(self, name: str) -> str | None:
        import tensorstore

        store = tensorstore.KvStore.open(self._store(f"{name}/")).result()
        for driver, key in (("zarr", ".zarray"), ("zarr3", "zarr.json")):
            if store.read(key).result().state == "value":
                return driver
        return None

    def _store(self, path: str) -> dict[str, Any]:
        if self._is_ocdbt:
            return {"driver": "ocdbt", "base": f"file://{self._folder}/", "path": path}
        return {"driver": "file", "path": f"{self._folder}/{path}"}


def convert(config: LmConvertConfig) -> int:
    """Write the model's folder; return its parameters.

    Raises:
        CheckpointError: The checkpoint is of another model.
    """
    tree = OrbaxTree(config.checkpoint)
    tensors = dict(_tensors(tree))
    vocabulary = _vocabulary(len(tensors["model.embed_tokens.weight"]), config)
    with torch.device("meta"):
        network = build_network(_shape(tree, config), vocabulary)
    network.load_state_dict(tensors, assign=True)
    LanguageModel(network, vocabulary, str(config.out)).save(config.out)
    return sum(tensor.numel() for tensor in tensors.values())


def _tensors(tree: OrbaxTree) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors by the names that our files have."""
    yield "model.embed_tokens.weight", _plain(tree.array("weights.embedding"))
    yield "lm_head.weight", _plain(tree.array("weights.vocab_proj").T)
    yield "model.norm.weight", _plain(tree.array("weights.gamma_final"))
    for number in range(_layers(tree)):
        theirs, ours = f"weights.layers.{number}", f"model.layers.{number}"
        for name, norm in _NORMS.items():
            yield f"{ours}.{norm}.weight", _plain(tree.array(f"{theirs}.{name}"))
        for name, matrix in _INWARD.items():
            array = tree.array(f"{theirs}.{name}")  # (D, heads, width)
            yield f"{ours}.{matrix}.weight", _plain(array.reshape(len(array), -1).T)
        outward = tree.array(f"{theirs}.proj")  # (heads, width, D)
        yield f"{ours}.self_attn.o_proj.weight", _plain(outward.reshape(-1, outward.shape[-1]).T)
        yield f"{ours}.mlp.up_proj.weight", _plain(tree.array(f"{theirs}.w1").T)
        yield f"{ours}.mlp.down_proj.weight", _plain(tree.array(f"{theirs}.w2").T)


def _layers(tree: OrbaxTree) -> int:
    number = 0
    while tree.has(f"weights.layers.{number}.q"):
        number += 1
    return number


def _shape(tree: OrbaxTree, config: LmConvertConfig) -> LmShape:
    width, heads, head_width = tree.array("weights.layers.0.q").shape
    return replace(
        PRESETS["nucleotide-gpt-500m"],
        width=width,
        layers=_layers(tree),
        heads=heads,
        kv_heads=tree.array("weights.layers.0.k").shape[1],
        head_width=head_width,
        ff_width=tree.array("weights.layers.0.w1").shape[1],
        max_tokens=config.max_tokens,
        rope_theta=config.rope_theta,
    )


def _vocabulary(size: int, config: LmConvertConfig) -> KmerVocabulary:
    if size not in _SIZES:
        known = " or ".join(f"{number} ({what})" for number, what in _SIZES.items())
        raise CheckpointError(f"{config.checkpoint}: {size} tokens, expected {known}")
    if size == 6:
        return nucleotide_gpt_vocabulary()
    return nucleotide_gpt_kmers(is_overlapping=config.is_overlapping)


def _plain(array: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))
