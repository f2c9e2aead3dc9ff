"""Parts of a model: which are trained, how fast, and how many parameters they have.

A part is a module by its path, as the weights file names it: "encoder", "decoder.layers.0". Tied
weights belong to all parts that hold them, so freezing one of these freezes them.

Example:
    freeze(model, ["encoder", "stem"])
    factor = learning_rates(model, PartsConfig(lr_scale=("decoder=0.5",)))
    factor("decoder.layers.0.norm1.weight")      # 0.5
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterator

from torch import nn

from genet5.config.checks import require
from genet5.config.parts import PartsConfig
from genet5.model.adapters import add_adapters

log = logging.getLogger(__name__)

_WRAPPED = "network."
"""Path of a language model's network, which its weights file leaves out."""
_LAYER = re.compile(r"(?:encoder|model)\.layers\.(\d+)\.")
_BEFORE_LAYERS = re.compile(r"stem\.|code_embedding\.|(?:encoder|model)\.embed")


def path_of(name: str) -> str:
    """Return the path of a parameter as the weights file has it."""
    return name.removeprefix(_WRAPPED)


def settle_parts(model: nn.Module, config: PartsConfig, seed: int = 0) -> None:
    """Check the parts' names, add adapters, and freeze what is not to be trained.

    Args:
        model: Changed in place.
        config: Settings.
        seed: Of the adapters' random values.

    Raises:
        ConfigError: A part is unknown, nothing is left to train, or peft is missing.
    """
    for field, names in (("freeze", config.freeze), ("lr_scale", config.lr_factors)):
        _require_known(model, names, field)
    if config.lora_rank is not None:
        add_adapters(model, config.lora_rank, seed)
    freeze(model, config.freeze)
    is_left = any(parameter.requires_grad for parameter in model.parameters())
    require(is_left, "freeze", " ".join(config.freeze), "must leave something to train")


def freeze(model: nn.Module, names: Collection[str]) -> None:
    """Take the gradient from all parameters of some parts."""
    for path, parameter in _paths(model):
        if any(_is_within(path, name) for name in names):
            parameter.requires_grad_(False)


def learning_rates(model: nn.Module, config: PartsConfig) -> Callable[[str], float]:
    """Return parameter name -> factor of the learning rate."""
    factors = dict(sorted(config.lr_factors.items(), key=lambda item: -len(item[0])))
    decay = 1.0 if config.layer_decay is None else config.layer_decay
    above = 1 + max((_height(path) or 0 for path, _ in _paths(model)), default=0)

    def factor(name: str) -> float:
        path = path_of(name)
        by_part = next((f for part, f in factors.items() if _is_within(path, part)), 1.0)
        height = _height(path)
        return by_part * (1.0 if height is None else decay ** (above - height))

    return factor


def describe_parts(model: nn.Module, config: PartsConfig) -> list[str]:
    """Return a line for each part: parameters, how many are trained, and the learning rates."""
    factor = learning_rates(model, config)
    lines = []
    for part, members in _by_part(model).items():
        total = sum(parameter.numel() for _, parameter in members)
        trained = sum(p.numel() for _, p in members if p.requires_grad)
        rates = sorted({factor(name) for name, p in members if p.requires_grad} - {1.0})
        shown = f", learning rate x {' '.join(f'{rate:.3g}' for rate in rates)}" if rates else ""
        lines.append(f"{part}: {total:,} parameters, {trained:,} trained{shown}")
    return lines


def count_trained(model: nn.Module) -> int:
    """Return how many numbers are trained."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def _by_part(model: nn.Module) -> dict[str, list[tuple[str, nn.Parameter]]]:
    parts: dict[str, list[tuple[str, nn.Parameter]]] = {}
    for name, parameter in model.named_parameters():
        parts.setdefault(path_of(name).partition(".")[0], []).append((name, parameter))
    return parts


def _paths(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield all parameters by path, tied ones under each of theirs."""
    for name, parameter in model.named_parameters(remove_duplicate=False):
        yield path_of(name), parameter


def _is_within(path: str, part: str) -> bool:
    return path == part or path.startswith(part + ".")


def _height(path: str) -> int | None:
    """Return the layer above the embeddings (0) that a parameter belongs to; None = after all."""
    if match := _LAYER.match(path):
        return 1 + int(match[1])
    return 0 if _BEFORE_LAYERS.match(path) else None


def _require_known(model: nn.Module, names: Collection[str], field: str) -> None:
    paths = [path for path, _ in _paths(model)]
    known = dict.fromkeys(path.partition(".")[0] for path in paths)
    for name in names:
        is_known = any(_is_within(path, name) for path in paths)
        rule = f"is no part of the model; parts are {', '.join(known)}, and what they hold"
        require(is_known, field, name, rule)
