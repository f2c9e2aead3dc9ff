"""The weights of a network: drawn, or put into one that has none yet.

A network for weights that exist is built on the meta device, where it costs neither memory nor
random numbers:

    with without_weights():
        model = GeneT5(config)
    check_fit(folder, model.stored(), tensors)
    model.load_state_dict(tensors, assign=True)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from genet5.config.model import WeightInitConfig
from genet5.errors import CheckpointError
from genet5.model.folders import CONFIG_FILE, WEIGHTS_FILE

_STD_BY_PLACE = (
    ("router", "moe_router_std"),
    ("embed", "embed_std"),
    ("latents", "embed_std"),
    ("feedforward", "ffn_std"),
    ("attention", "attn_std"),
    ("cross", "attn_std"),
    ("", "std"),
)
"""What a weight's name contains, and which field of `WeightInitConfig` is its deviation."""


@torch.no_grad()
def draw_weights(model: nn.Module, init: WeightInitConfig, seed: int) -> None:
    """Draw all weights of a network, in the order of their names in it.

    Linear and convolution weights ~ N(0, std): `attn_std` in attention, `ffn_std` in feed-forwards
    and experts, `moe_router_std` in routers, `embed_std` in embeddings and latents, `std` elsewhere
    (convolutions: 1/sqrt(fan in)); biases 0, norms 1 and 0. Evidence is 0, and all other weights
    are the same without it.
    """
    draw = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        if name.startswith("evidence."):
            weight.zero_()
        elif "norm" in name:
            weight.fill_(0.0 if name.endswith("bias") else 1.0)
        elif name.endswith("bias"):
            weight.zero_()
        elif ".conv" in name:
            weight.normal_(0.0, weight[0].numel() ** -0.5, generator=draw)
        else:
            weight.normal_(0.0, _std(name, init), generator=draw)


def _std(name: str, init: WeightInitConfig) -> float:
    return float(getattr(init, next(field for place, field in _STD_BY_PLACE if place in name)))


@contextmanager
def without_weights() -> Iterator[None]:
    """Build modules on the meta device, their initialisation skipped."""
    with torch.device("meta"), _Undrawn():
        yield


class _Undrawn(TorchFunctionMode):
    """Skip `torch.nn.init`.

    To draw weights that have no memory is no work, but it loads the compiler: two seconds.
    """

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if getattr(func, "__module__", "") == "torch.nn.init":
            return None  # modules do not look at what initialisation returns
        return func(*args, **(kwargs or {}))


def check_fit(folder: Path, expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Check that the weights of a model's folder are those of its config.

    Raises:
        CheckpointError: A tensor is missing, superfluous or of another shape.
    """
    wrong = [
        name
        for name in expected.keys() | found.keys()
        if _shape(expected, name) != _shape(found, name)
    ]
    if wrong:
        name = min(wrong)
        raise CheckpointError(
            f"{folder / WEIGHTS_FILE}: {len(wrong)} tensors do not fit {CONFIG_FILE}, "
            f"first {name}: found {_shape(found, name)}, expected {_shape(expected, name)}"
        )


def _shape(tensors: Mapping[str, Tensor], name: str) -> tuple[int, ...] | None:
    return tuple(tensors[name].shape) if name in tensors else None
