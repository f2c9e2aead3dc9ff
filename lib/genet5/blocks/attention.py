"""Attention: one interface, explicit backends.

`attend` takes queries, keys and values with heads apart and says in words what may be seen; the SDPA backend turns it
into `scaled_dot_product_attention` calls. A window of w tokens costs O(S w): queries go in blocks of half a window, each
block with its own and its two neighbouring blocks of keys.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genet5.blocks.rope import rotate


def alibi_slopes(num_heads: int) -> Tensor:
    """ALiBi's slope of each head (Press et al. 2021, arXiv:2108.12409), fp32, (H,)."""

    def power_of_two(n: int) -> list[float]:
        return [2.0 ** (-8.0 * (i + 1) / n) for i in range(n)]

    lower = 2 ** (num_heads.bit_length() - 1)
    slopes = power_of_two(lower)
    if lower != num_heads:
        slopes += power_of_two(2 * lower)[0::2][: num_heads - lower]
    return torch.tensor(slopes)


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
        bias: Added to the scores, or bool with True = may be attended; broadcast to (B, H, T, S). Takes no gradient.
        causal: Query t sees keys 0..t only.

    Returns:
        (B, H, T, K) in the queries' dtype.
    """
    if bias is not None and bias.dtype != torch.bool:
        bias = bias.to(q_BHTK.dtype)
    grouped = q_BHTK.shape[1] != k_BGSK.shape[1]
    return F.scaled_dot_product_attention(
        q_BHTK, k_BGSK, v_BGSK, attn_mask=bias, is_causal=causal, enable_gqa=grouped
    )


def attend_plain(q_BHTK: Tensor, k_BHSK: Tensor, v_BHSK: Tensor, *, bias: Tensor) -> Tensor:
    """`attend` written out, softmax in fp32; materialises the scores, so for short blocks only."""
    if bias.dtype == torch.bool:
        bias = torch.zeros_like(bias, dtype=q_BHTK.dtype).masked_fill(~bias, float("-inf"))
    scores = q_BHTK @ k_BHSK.transpose(-1, -2) * q_BHTK.shape[-1] ** -0.5
    return (scores + bias).float().softmax(dim=-1).to(v_BHSK.dtype) @ v_BHSK


def key_mask(num_keys_B: Tensor, length: int) -> Tensor:
    """(B, 1, 1, S) bool: True for the first `num_keys_B` keys of each row."""
    keys = torch.arange(length, device=num_keys_B.device)
    return (keys < num_keys_B[:, None])[:, None, None]


def attend_window(
    q_BHSK: Tensor,
    k_BHSK: Tensor,
    v_BHSK: Tensor,
    *,
    window: int,
    num_keys_B: Tensor,
    slopes_H: Tensor | None,
) -> Tensor:
    """Attend to keys at most `window / 2` tokens away on either side.

    Args:
        q_BHSK: Queries.
        k_BHSK: Keys, as many heads as queries.
        v_BHSK: Values.
        window: Both sides together; 0 = no limit.
        num_keys_B: Tokens of each row; later ones are padding and never seen.
        slopes_H: ALiBi slopes, or None.

    Returns:
        (B, H, S, K); rows of padding hold finite values without meaning.
    """
    length = q_BHSK.shape[2]
    half = window // 2
    if window == 0 or length <= half:
        return _attend_whole(q_BHSK, k_BHSK, v_BHSK, num_keys_B, slopes_H)
    blocks = -(-length // half)
    q, k, v = (
        _split_blocks(x, half, blocks, halo) for x, halo in ((q_BHSK, 0), (k_BHSK, 1), (v_BHSK, 1))
    )
    bias = _block_bias(half, blocks, num_keys_B, slopes_H)
    # Many small blocks with gradient on CPU: compiled plain products are 3x faster than SDPA's kernel there.
    plain = q.device.type == "cpu" and torch.is_grad_enabled()
    out = attend_plain(q, k, v, bias=bias) if plain else attend(q, k, v, bias=bias)
    batch, heads, _, width = q_BHSK.shape
    out = out.view(batch, blocks, heads, half, width).transpose(1, 2)
    return out.reshape(batch, heads, blocks * half, width)[:, :, :length]


def _attend_whole(
    q: Tensor, k: Tensor, v: Tensor, num_keys_B: Tensor, slopes_H: Tensor | None
) -> Tensor:
    length = q.shape[2]
    bias = key_mask(num_keys_B, length)
    if slopes_H is not None:
        index = torch.arange(length, device=q.device)
        distance = (index[:, None] - index[None]).abs()
        bias = (-slopes_H[:, None, None] * distance).masked_fill(~bias, float("-inf"))
    return attend(q, k, v, bias=bias)


def _split_blocks(x_BHSK: Tensor, size: int, blocks: int, halo: int) -> Tensor:
    """(B * blocks, H, (1 + 2 halo) * size, K): each block with `halo` neighbours on either side, zeros beyond the ends."""
    batch, heads, length, width = x_BHSK.shape
    x = F.pad(x_BHSK, (0, 0, halo * size, (blocks + halo) * size - length))
    x = x.transpose(1, 2).reshape(batch, blocks + 2 * halo, size, heads, width)
    if halo:
        x = torch.cat([x[:, i : i + blocks] for i in range(1 + 2 * halo)], dim=2)
    return x.reshape(batch * blocks, -1, heads, width).transpose(1, 2)


def _block_bias(half: int, blocks: int, num_keys_B: Tensor, slopes_H: Tensor | None) -> Tensor:
    """(B * blocks, 1 or H, half, 3 half): bool mask, or ALiBi's bias with -inf outside the window."""
    device = num_keys_B.device
    offset = (
        torch.arange(3 * half, device=device)[None]
        - half
        - torch.arange(half, device=device)[:, None]
    )
    key = torch.arange(blocks, device=device)[:, None] * half + torch.arange(
        -half, 2 * half, device=device
    )
    real = (key >= 0) & (key < num_keys_B[:, None, None])
    near = offset.abs() <= half
    # A padding query may have no real key: it sees itself, so that its softmax stays finite.
    seen = (near & real[:, :, None]) | (offset == 0)
    seen = seen.reshape(-1, 1, half, 3 * half)
    if slopes_H is None:
        return seen
    bias = -slopes_H[:, None, None] * offset.abs()
    return bias.masked_fill(~seen, float("-inf"))


class SelfAttention(nn.Module):
    """Projections of self-attention with fused query, key and value; rows of `qkv` are q, k, v."""

    def __init__(self, width: int, heads: int, kv_heads: int, *, bias: bool) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_width = heads, kv_heads, width // heads
        self.qkv = nn.Linear(width, (heads + 2 * kv_heads) * self.head_width, bias=bias)
        self.out = nn.Linear(width, width, bias=bias)

    def split(
        self, x_BSD: Tensor, rope: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (B, H, S, K), keys and values (B, G, S, K); RoPE applied to the first two."""
        batch, length, _ = x_BSD.shape
        sizes = (self.heads, self.kv_heads, self.kv_heads)
        qkv = self.qkv(x_BSD).view(batch, length, sum(sizes), self.head_width).transpose(1, 2)
        q, k, v = qkv.split(sizes, dim=1)
        if rope is not None:
            q, k = rotate(q, rope), rotate(k, rope)
        return q, k, v

    def merge(self, attended_BHSK: Tensor) -> Tensor:
        """Join the heads and project, (B, S, D)."""
        batch, _, length, _ = attended_BHSK.shape
        return self.out(attended_BHSK.transpose(1, 2).reshape(batch, length, -1))


class CrossAttention(nn.Module):
    """Projections of cross-attention: queries from one stream, keys and values from another."""

    def __init__(self, width: int, heads: int, kv_heads: int) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_width = heads, kv_heads, width // heads
        self.q = nn.Linear(width, width, bias=False)
        self.kv = nn.Linear(width, 2 * kv_heads * self.head_width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def queries(self, x_BTD: Tensor) -> Tensor:
        """(B, H, T, K)."""
        batch, length, _ = x_BTD.shape
        return self.q(x_BTD).view(batch, length, self.heads, self.head_width).transpose(1, 2)

    def keys_values(self, memory_BSD: Tensor) -> tuple[Tensor, Tensor]:
        """Two tensors (B, G, S, K)."""
        batch, length, _ = memory_BSD.shape
        kv = self.kv(memory_BSD).view(batch, length, 2 * self.kv_heads, self.head_width)
        keys, values = kv.transpose(1, 2).chunk(2, dim=1)
        return keys, values

    def merge(self, attended_BHTK: Tensor) -> Tensor:
        """Join the heads and project, (B, T, D)."""
        batch, _, length, _ = attended_BHTK.shape
        return self.out(attended_BHTK.transpose(1, 2).reshape(batch, length, -1))
