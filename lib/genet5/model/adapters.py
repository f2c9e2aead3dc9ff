"""Low-rank adapters (LoRA) in a network, by peft, and their merging into its matrices.

An adapter adds B A to a matrix W, with A of few rows and B of few columns; B begins at zero. Their
scale is 1, so that names alone tell how to merge them. peft is needed to train adapters, not to
read what was trained.

Example:
    add_adapters(model, rank=8, seed=1)         # trains the adapters alone
    weights = merged(model.stored())            # as if there had never been adapters
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from genet5.errors import ConfigError

_BASE, _DOWN, _UP = ".base_layer.", ".lora_A.default.", ".lora_B.default."


def add_adapters(model: Any, rank: int, seed: int) -> None:
    """Give each matrix of the model's layers an adapter, in place; all else is frozen.

    Args:
        model: Its `blocks()` are the layers. Routers of experts get none.
        rank: Rows of A.
        seed: Of A's random values, the same on all ranks of a run.

    Raises:
        ConfigError: peft is not installed.
    """
    try:
        import peft
    except ImportError as error:
        rule = 'needs peft; install it with: pip install "genet5[lm]"'
        raise ConfigError("lora_rank", rank, rule) from error
    layers = [part for layer in model.blocks() for part in layer.modules()]
    wanted = {id(part) for part in layers if isinstance(part, nn.Linear)}
    names = [
        name
        for name, part in model.named_modules()
        if id(part) in wanted and not name.endswith("router")
    ]
    how = peft.LoraConfig(r=rank, lora_alpha=rank, target_modules=names)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        peft.inject_adapter_in_model(how, model)


def merged(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a model's tensors with its adapters, if any, put into the matrices: W + B A."""
    found = {}
    for name, tensor in tensors.items():
        if _DOWN in name or _UP in name:
            continue
        down = tensors.get(name.replace(_BASE, _DOWN)) if _BASE in name else None
        if down is not None and name.endswith("weight"):
            tensor = tensor + tensors[name.replace(_BASE, _UP)] @ down
        found[name.replace(_BASE, ".")] = tensor
    return found
