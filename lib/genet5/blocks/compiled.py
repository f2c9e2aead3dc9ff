"""Compiled layers: one graph for all batches, and no slow path taken in silence.

Rows of a batch, tokens, labels and latents change from batch to batch. Left alone, the compiler
makes a graph for the first sizes, another once it has seen a size change, and so on. Here all sizes
of a layer's inputs may vary from the start; those that weights fix (widths, heads) become constants
again while the graph is made. What remains are few graphs of each kind of layer: training or not,
one row or several, and the kinds that layers differ in (experts, recomputation).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask

from genet5.errors import ConfigError

GRAPHS = 32
"""Most graphs of one kind of layer; more are an error, as running uncompiled would be a slow
surprise."""


def require_compiler(device: str) -> None:
    """Check that what torch.compile calls is installed, before minutes have gone.

    Args:
        device: cpu needs a C++ compiler (CXX names another one), cuda a C compiler (CC).

    Raises:
        ConfigError: There is none.
    """
    variable, names = ("CC", ("gcc", "clang", "cc")) if device == "cuda" else (
        "CXX", ("g++", "clang++", "c++")
    )  # fmt: skip
    wanted = os.environ.get(variable)
    if not any(map(shutil.which, (wanted,) if wanted else names)):
        rule = f"needs a compiler ({' or '.join(names)}; {variable} names another one); install"
        raise ConfigError("compile", True, f"{rule} one, or leave out --compile")


def compile_layer(layer: nn.Module, backend: str | Callable[..., Any] = "inductor") -> None:
    """Compile a layer's forward pass in place; its hooks stay outside, weights keep their names.

    Args:
        layer: Its arguments are tensors, and tuples, dataclasses and masks that hold tensors.
        backend: Of torch.compile.
    """
    torch._dynamo.config.recompile_limit = max(GRAPHS, torch._dynamo.config.recompile_limit)
    # Graphs are cut where DDP sums gradients only in models that are compiled whole.
    torch._dynamo.config.optimize_ddp = False
    # A graph break is an error, and so is one graph too many.
    compiled = torch.compile(layer.forward, fullgraph=True, backend=backend)

    def forward(*args: Any) -> Any:
        for tensor in _tensors(args):
            torch._dynamo.maybe_mark_dynamic(tensor, list(range(tensor.dim())))
        return compiled(*args)

    layer.forward = forward


def _tensors(value: Any) -> Iterator[Tensor]:
    """All tensors that a layer's argument holds, those that mask functions refer to among them."""
    if isinstance(value, Tensor):
        yield value
        return
    parts: Any = ()
    if isinstance(value, tuple | list):
        parts = value
    elif is_dataclass(value):
        parts = (getattr(value, field.name) for field in fields(value))
    elif isinstance(value, BlockMask):
        parts = vars(value).values()
    elif isinstance(value, FunctionType):
        parts = (cell.cell_contents for cell in value.__closure__ or ())
    for part in parts:
        yield from _tensors(part)
