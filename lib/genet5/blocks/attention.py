"""Multi-head attention and its projections; windowed attention is in `blocks.windowed`.

`attend` takes a mask in plain terms and calls `scaled_dot_product_attention`, which picks the
fastest kernel that the device has for it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genet5.blocks.rope import Rope, interleaved, rotate


def alibi_slopes(num_heads: int, device: torch.device | None = None) -> Tensor:
    """Return ALiBi's slope of each head (Press et al. 2021, arXiv:2108.12409), fp32, (H,).

    Heads 0..n - 1, n the largest power of two, have 2^(-8 (i + 1) / n); the others every second
    slope of 2 n heads.
    """
    lower = 2 ** (num_heads.bit_length() - 1)
    head = torch.arange(num_heads, device=device)
    exponent = torch.where(head < lower, head + 1.0, head - lower + 0.5)
    return torch.exp2(exponent * (-8.0 / lower))


def attend(
    q_BHTK: Tensor,
    k_BGSK: Tensor,
    v_BGSK: Tensor,
    *,
    bias: Tensor | None = None,
    causal: bool = False,
) -> Tensor:
    """Attend with SDPA; G key-value heads serve H / G query heads each.

    Args:
        q_BHTK: Queries.
        k_BGSK: Keys.
        v_BGSK: Values.
        bias: Added to the scores, or bool with True = may be attended; broadcast to (B, H, T, S).
            Takes no gradient.
        causal: Query t attends to keys 0..t only.

    Returns:
        (B, H, T, K) in the queries' dtype.
    """
    if bias is not None and bias.dtype != torch.bool:
        bias = bias.to(q_BHTK.dtype)
    groups = q_BHTK.shape[1] // k_BGSK.shape[1]
    has_groups = bool(groups > 1)  # under the compiler the sizes may be symbols
    if has_groups and _needs_heads_alike(q_BHTK, bias):
        k_BGSK, v_BGSK = (x.repeat_interleave(groups, dim=1) for x in (k_BGSK, v_BGSK))
        has_groups = False
    return F.scaled_dot_product_attention(
        q_BHTK, k_BGSK, v_BGSK, attn_mask=bias, is_causal=causal, enable_gqa=has_groups
    )


def _needs_heads_alike(q_BHTK: Tensor, bias: Tensor | None) -> bool:
    """Whether CUDA has no fused kernel for groups here, so that SDPA would hold all T x S scores.

    FlashAttention takes groups, but neither masks nor fp32; the memory-efficient kernel takes both,
    but no groups.
    """
    is_half = q_BHTK.dtype in (torch.bfloat16, torch.float16)
    return q_BHTK.device.type == "cuda" and (bias is not None or not is_half)


def attend_plain(q_BHTK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, *, bias: Tensor) -> Tensor:
    """`attend` written out, softmax in fp32; materialises the scores, so for short blocks only."""
    groups = q_BHTK.shape[1] // k_BGSK.shape[1]
    k_BHSK, v_BHSK = k_BGSK, v_BGSK
    if groups > 1:
        k_BHSK, v_BHSK = (x.repeat_interleave(groups, dim=1) for x in (k_BGSK, v_BGSK))
    if bias.dtype == torch.bool:
        bias = torch.zeros_like(bias, dtype=q_BHTK.dtype).masked_fill(~bias, float("-inf"))
    scores: Tensor = q_BHTK @ k_BHSK.transpose(-1, -2) * q_BHTK.shape[-1] ** -0.5
    return (scores + bias).float().softmax(dim=-1).to(v_BHSK.dtype) @ v_BHSK


def key_mask(num_keys_B: Tensor, length: int) -> Tensor:
    """(B, 1, 1, S) bool: True for the first `num_keys_B` keys of each row."""
    keys = torch.arange(length, device=num_keys_B.device)
    return (keys < num_keys_B[:, None])[:, None, None]


@torch.no_grad()
def _interleave_rows(linear: nn.Linear, heads: int, head_width: int) -> None:
    """Reorder the outputs of the first heads of a projection."""
    order = torch.arange(linear.out_features)
    order[: heads * head_width] = (
        torch.arange(heads)[:, None] * head_width + interleaved(head_width)
    ).flatten()
    for tensor in (linear.weight, linear.bias):
        if tensor is not None:
            tensor.copy_(tensor[order.to(tensor.device)])


class SelfAttention(nn.Module):
    """Projections of self-attention with fused query, key and value; rows of `qkv` are q, k, v."""

    def __init__(self, width: int, heads: int, kv_heads: int, *, bias: bool) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_width = heads, kv_heads, width // heads
        self.qkv = nn.Linear(width, (heads + 2 * kv_heads) * self.head_width, bias=bias)
        self.out = nn.Linear(width, width, bias=bias)

    def interleave(self) -> None:
        """Reorder the channels of queries and keys for `rope_turns`, for good."""
        _interleave_rows(self.qkv, self.heads + self.kv_heads, self.head_width)

    def split(self, x_BSD: Tensor, rope: Rope | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (B, H, S, K), keys and values (B, G, S, K); RoPE applied to the first two."""
        batch, length, _ = x_BSD.shape
        sizes = (self.heads, self.kv_heads, self.kv_heads)
        qkv = self.qkv(x_BSD).view(batch, length, sum(sizes), self.head_width).transpose(1, 2)
        if isinstance(rope, Tensor):
            rotate(qkv[:, : self.heads + self.kv_heads], rope)
        q, k, v = qkv.split(sizes, dim=1)
        if isinstance(rope, tuple):
            q, k = rotate(q, rope), rotate(k, rope)
        return q, k, v

    def merge(self, attended_BHSK: Tensor) -> Tensor:
        """Join the heads and project, (B, S, D)."""
        batch, _, length, _ = attended_BHSK.shape
        joined: Tensor = self.out(attended_BHSK.transpose(1, 2).reshape(batch, length, -1))
        return joined


class CrossAttention(nn.Module):
    """Projections of cross-attention: queries from one stream, keys and values from another."""

    def __init__(self, width: int, heads: int, kv_heads: int) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_width = heads, kv_heads, width // heads
        self.q = nn.Linear(width, width, bias=False)
        self.kv = nn.Linear(width, 2 * kv_heads * self.head_width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def interleave(self) -> None:
        """Reorder the channels of queries and keys for `rope_turns`, for good."""
        _interleave_rows(self.q, self.heads, self.head_width)
        _interleave_rows(self.kv, self.kv_heads, self.head_width)

    def queries(self, x_BTD: Tensor) -> Tensor:
        """(B, H, T, K)."""
        batch, length, _ = x_BTD.shape
        q: Tensor = self.q(x_BTD)
        return q.view(batch, length, self.heads, self.head_width).transpose(1, 2)

    def keys_values(self, memory_BSD: Tensor) -> tuple[Tensor, Tensor]:
        """Two tensors (B, G, S, K)."""
        batch, length, _ = memory_BSD.shape
        kv = self.kv(memory_BSD).view(batch, length, 2 * self.kv_heads, self.head_width)
        keys, values = kv.transpose(1, 2).chunk(2, dim=1)
        return keys, values

    def merge(self, attended_BHTK: Tensor) -> Tensor:
        """Join the heads and project, (B, T, D)."""
        batch, _, length, _ = attended_BHTK.shape
        joined: Tensor = self.out(attended_BHTK.transpose(1, 2).reshape(batch, length, -1))
        return joined
