"""Attention to a window of earlier tokens, in memory that grows linearly with the sequence.

`transformers` makes a mask of all pairs of tokens for a sliding window, unless FlashAttention is
installed. This one goes over blocks of queries and gives each block the keys that it can see to
PyTorch's attention: the same numbers on any device. Its name is `ATTENTION`, for
`set_attn_implementation`; models with `sliding_window` in their configuration heed it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface, AttentionMaskInterface

ATTENTION = "genet5_local"
_QUERIES_AT_ONCE = 1024


def local_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    sliding_window: int | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, None]:
    """Return attention's output, (B, S, H, d), of causal windows.

    Args:
        module: The layer.
        query: (B, H, S, d).
        key: (B, K, S, d); K divides H.
        value: As `key`.
        attention_mask: (B, S), false at padding; None = there is none.
        sliding_window: Tokens that a token sees, itself included; None = all before it.
        scaling: Of the products.
        dropout: Of the weights.
    """
    length = query.shape[2]
    window = sliding_window or length
    parts = []
    for begin in range(0, length, _QUERIES_AT_ONCE):
        end = min(begin + _QUERIES_AT_ONCE, length)
        first = max(0, begin - window + 1)
        rows = torch.arange(begin, end, device=query.device)[:, None]
        columns = torch.arange(first, end, device=query.device)[None]
        seen = ((columns <= rows) & (columns > rows - window))[None, None]
        if attention_mask is not None:
            real = attention_mask[:, None, None, first:end].bool()
            seen = (seen & real) | (columns == rows)  # padding sees itself: no empty rows
        parts.append(
            F.scaled_dot_product_attention(
                query[:, :, begin:end], key[:, :, first:end], value[:, :, first:end],
                attn_mask=seen, dropout_p=dropout, scale=scaling, enable_gqa=True,
            )
        )  # fmt: skip
    return torch.cat(parts, dim=2).transpose(1, 2).contiguous(), None


def _padding_alone(*, attention_mask: Tensor | None = None, **_: Any) -> Tensor | None:
    """Return what is padding: windows need no mask of pairs."""
    return attention_mask


AttentionInterface.register(ATTENTION, local_attention)
AttentionMaskInterface.register(ATTENTION, _padding_alone)
