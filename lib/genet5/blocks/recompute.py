"""Gradient checkpointing: recompute a layer in the backward pass, all of it or all but products.

Kept products are the outputs of linear maps, of experts' grouped products and of fused attention:
the backward pass then recomputes only what is cheap beside them (norms, activations, rotations,
moves of tokens). Attention written out in plain products (`attend_plain`) is recomputed.

A layer calls `run_layer` inside its forward pass, so that a compiled layer has the recomputation in
its graph, and hooks around a layer (FSDP2's) see one forward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch.utils.checkpoint import (
    CheckpointPolicy,
    checkpoint,
    create_selective_checkpoint_contexts,
)

from genet5.config.model import KeepName

_Result = TypeVar("_Result")

_aten = torch.ops.aten
_PRODUCTS = {
    _aten.mm.default,
    _aten.addmm.default,
    _aten._grouped_mm.default,
    _aten._scaled_mm.default,
    _aten._scaled_dot_product_flash_attention.default,
    _aten._scaled_dot_product_flash_attention_for_cpu.default,
    _aten._scaled_dot_product_efficient_attention.default,
    _aten._scaled_dot_product_cudnn_attention.default,
    torch.ops.higher_order.flex_attention,
}
_NAMESPACES = {"flash_attn", "genet5"}  # flash-attn's operators, and our own grouped product


def run_layer(keep: KeepName | None, forward: Callable[..., _Result], *args: Any) -> _Result:
    """Run a layer's forward pass.

    Args:
        keep: What to keep for the backward pass; None = everything, without recomputation.
        forward: The pass; its results are tensors, or tuples of tensors and None.
        *args: What it takes.
    """
    if keep is None:
        return forward(*args)
    result: _Result
    if keep == "nothing":
        result = checkpoint(forward, *args, use_reentrant=False)
    else:
        result = checkpoint(forward, *args, use_reentrant=False, context_fn=_keep_products)
    return result


def _keep_products() -> Any:
    return create_selective_checkpoint_contexts(_policy)


def _policy(context: Any, operator: Any, *args: Any, **kwargs: Any) -> CheckpointPolicy:
    if operator in _PRODUCTS or getattr(operator, "namespace", "") in _NAMESPACES:
        return CheckpointPolicy.MUST_SAVE
    return CheckpointPolicy.PREFER_RECOMPUTE
