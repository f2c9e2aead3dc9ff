"""Windowed self-attention: one interface, three backends.

Each token attends to those at most half a window away on either side, so n tokens cost O(n w).
`window_mask` prepares the attention mask of a batch once, in the form that the backend takes;
`attend_window` then serves every layer. No token attends to another row or to padding.

- `sdpa`: queries in blocks of half a window, each with its own and its two neighbouring blocks of
  keys. Everywhere.
- `flex`: FlexAttention (Dong et al. 2024, arXiv:2412.05496), compiled, with a mask of 128 x 128
  blocks. For CUDA; on a CPU forward only.
- `flash`: FlashAttention-2 (Dao 2023, arXiv:2307.08691), the batch as one line of sequences
  (varlen), with its own window and ALiBi. For CUDA in bf16 or fp16.

Example:
    >>> q = k = v = torch.ones(1, 2, 9, 4)
    >>> mask = window_mask("sdpa", torch.tensor([9]), 9, window=4, slopes_H=None, dtype=q.dtype)
    >>> attend_window(q, k, v, mask).shape
    torch.Size([1, 2, 9, 4])
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from genet5.blocks.attention import attend, attend_plain, key_mask
from genet5.config.model import AttentionName
from genet5.errors import ConfigError

log = logging.getLogger(__name__)

Backend = Literal["sdpa", "flex", "flash"]
PLAIN_BLOCK = 128
FLEX_BLOCK = 128  # FlexAttention's default: smaller blocks save little work and cost speed


@dataclass(frozen=True, slots=True)
class WindowMask:
    """Attention mask of one batch, in the form that a backend takes."""

    backend: Backend
    half: int
    """Tokens attended to on either side; 0 is the whole row."""
    slopes_H: Tensor | None
    """ALiBi slopes, fp32."""
    bias: Tensor | None = None
    """For `sdpa`: bool mask or bias of each block of queries, or of all."""
    blocks: BlockMask | None = None
    """For `flex`."""
    bounds: Tensor | None = None
    """For `flash`: cumulative lengths, int32."""


def choose_backend(wanted: AttentionName, device: torch.device, dtype: torch.dtype) -> Backend:
    """Choose the backend, and log it once.

    Args:
        wanted: The configured name; auto = flash on CUDA in bf16 or fp16 where flash-attn is
            installed, else flex on CUDA where Triton is, else sdpa.
        device: Of the model.
        dtype: Of queries, keys and values.

    Raises:
        ConfigError: What is wanted cannot run here.
    """
    return _choose(wanted, device.type, dtype)


@cache
def _choose(wanted: AttentionName, device: str, dtype: torch.dtype) -> Backend:
    is_half = dtype in (torch.bfloat16, torch.float16)
    has_flash = importlib.util.find_spec("flash_attn") is not None
    if wanted == "flash":
        _require_flash(device, is_half, has_flash)
    backend: Backend = "sdpa"
    if wanted != "auto":
        backend = wanted
    elif device == "cuda" and is_half and has_flash:
        backend = "flash"
    elif device == "cuda" and importlib.util.find_spec("triton") is not None:
        backend = "flex"
    log.info("windowed attention: %s (%s asked for; %s, %s)", backend, wanted, device, dtype)
    return backend


def _require_flash(device: str, is_half: bool, has_flash: bool) -> None:
    if not has_flash:
        rule = 'needs flash-attn; install it with: pip install "genet5[flash]" --no-build-isolation'
    elif device != "cuda":
        rule = "runs on CUDA alone; use auto or sdpa"
    elif not is_half:
        rule = "takes bf16 or fp16; use --precision bf16, or --attention flex"
    else:
        return
    raise ConfigError("attention", "flash", rule)


def window_mask(
    backend: Backend,
    num_keys_B: Tensor,
    length: int,
    *,
    window: int,
    slopes_H: Tensor | None,
    dtype: torch.dtype,
) -> WindowMask:
    """Prepare windowed attention for a batch; nothing waits for the device.

    Args:
        backend: From `choose_backend`.
        num_keys_B: Tokens of each row; later ones are padding, which no token attends to.
        length: S, tokens of the padded batch.
        window: Tokens attended to on both sides together; 0 is no limit.
        slopes_H: ALiBi slopes, or None.
        dtype: Of queries, keys and values.
    """
    half = 0 if length <= window // 2 else window // 2
    if backend == "flash":
        return WindowMask(backend, half, slopes_H, bounds=_bounds(num_keys_B, length))
    if backend == "flex":
        return WindowMask(backend, half, slopes_H, blocks=_block_mask(num_keys_B, length, half))
    if half:
        bias = _block_bias(half, -(-length // half), num_keys_B, slopes_H)
    else:
        bias = _whole_bias(length, num_keys_B, slopes_H)
    if bias.dtype == torch.bool and half and not torch.is_grad_enabled():
        bias = torch.zeros_like(bias, dtype=dtype).masked_fill_(~bias, float("-inf"))
    if bias.dtype != torch.bool and not _is_plain(bias, half):
        bias = bias.to(dtype)  # once for all layers
    return WindowMask(backend, half, slopes_H, bias=bias)


def attend_window(q_BHSK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, mask: WindowMask) -> Tensor:
    """Attend within windows; G key-value heads serve H / G query heads each.

    Args:
        q_BHSK: Queries.
        k_BGSK: Keys.
        v_BGSK: Values.
        mask: From `window_mask`.

    Returns:
        (B, H, S, K); rows of padding hold finite values without meaning.
    """
    return _BACKENDS[mask.backend](q_BHSK, k_BGSK, v_BGSK, mask)


# ---- sdpa ----------------------------------------------------------------------------------------


def _attend_sdpa(q_BHSK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, mask: WindowMask) -> Tensor:
    half, bias = mask.half, mask.bias
    assert bias is not None
    if half == 0:
        return attend(q_BHSK, k_BGSK, v_BGSK, bias=bias)
    batch, heads, length, width = q_BHSK.shape
    blocks = -(-length // half)
    if length % half == 0 and batch * blocks > 2 and not torch.is_grad_enabled():
        return _attend_views(q_BHSK, k_BGSK, v_BGSK, mask)
    q, k, v = (
        _split_blocks(x, half, blocks, halo) for x, halo in ((q_BHSK, 0), (k_BGSK, 1), (v_BGSK, 1))
    )
    out = attend_plain(q, k, v, bias=bias) if _is_plain(q, half) else attend(q, k, v, bias=bias)
    out = out.view(batch, blocks, heads, half, width).transpose(1, 2)
    return out.reshape(batch, heads, blocks * half, width)[:, :, :length]


def _attend_views(q_BHSK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, mask: WindowMask) -> Tensor:
    """`_attend_sdpa` without copies of keys: all rows are one line of blocks.

    A block's slice of the line is a view. At a row's ends it reaches into the next row, which the
    mask hides; at the line's own ends it is filled up, so that no row's values depend on its place
    in the batch.
    """
    half, bias = mask.half, mask.bias
    assert bias is not None
    batch, heads, length, width = q_BHSK.shape
    count = batch * length // half
    bounds = (0, 1), (1, count - 1), (count - 1, count)
    slices = (_slices(x, half, count) for x in (k_BGSK, v_BGSK))
    outs = []
    for (first, last), k, v in zip(bounds, *slices, strict=True):
        q = _blocks(q_BHSK, first, last - first, half, half)
        outs.append(attend(q, k, v, bias=bias[first:last]).transpose(1, 2))
    return torch.cat(outs).view(batch, length, heads, width).transpose(1, 2)


def _slices(x_BHSK: Tensor, half: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return what the line's first block attends to, all others, and the last, (.., 3 half, K)."""
    first, last = (_blocks(x_BHSK, block, 1, half, 2 * half) for block in (0, count - 2))
    return (
        F.pad(first, (0, 0, half, 0)),
        _blocks(x_BHSK, 0, count - 2, half, 3 * half),
        F.pad(last, (0, 0, 0, half)),
    )


def _blocks(x_BHSK: Tensor, first: int, count: int, step: int, size: int) -> Tensor:
    """View blocks on the line of all rows, (count, H, size, K).

    Args:
        x_BHSK: All rows.
        first: First block.
        count: How many.
        step: Tokens from one to the next.
        size: Tokens of one.
    """
    batch, heads, length, width = x_BHSK.shape
    if x_BHSK.stride(0) != length * x_BHSK.stride(2) and batch > 1:
        x_BHSK = x_BHSK.transpose(1, 2).contiguous().transpose(1, 2)
    _, head, token, channel = x_BHSK.stride()
    start = x_BHSK.storage_offset() + first * step * token
    return x_BHSK.as_strided(
        (count, heads, size, width), (step * token, head, token, channel), start
    )


def _is_plain(x: Tensor, half: int) -> bool:
    """Attend with compiled plain products: on a CPU 3x faster than SDPA for many small blocks.

    Measured with blocks of 64; blocks of 256 take SDPA half the time of plain products.
    """
    return 0 < half <= PLAIN_BLOCK and x.device.type == "cpu" and torch.is_grad_enabled()


def _split_blocks(x_BHSK: Tensor, size: int, blocks: int, halo: int) -> Tensor:
    """Return (B * blocks, H, (1 + 2 halo) * size, K): blocks with `halo` neighbours each way."""
    batch, heads, length, width = x_BHSK.shape
    x = F.pad(x_BHSK, (0, 0, halo * size, (blocks + halo) * size - length))
    x = x.transpose(1, 2).reshape(batch, blocks + 2 * halo, size, heads, width)
    if halo:
        x = torch.cat([x[:, i : i + blocks] for i in range(1 + 2 * halo)], dim=2)
    return x.reshape(batch * blocks, -1, heads, width).transpose(1, 2)


def _whole_bias(length: int, num_keys_B: Tensor, slopes_H: Tensor | None) -> Tensor:
    """(B, 1, 1, S) bool mask, or ALiBi's bias (B, H, S, S) with -inf at padding."""
    seen = key_mask(num_keys_B, length)
    if slopes_H is None:
        return seen
    index = torch.arange(length, device=num_keys_B.device)
    distance = (index[:, None] - index[None]).abs()
    return (-slopes_H[:, None, None] * distance).masked_fill(~seen, float("-inf"))


def _block_bias(half: int, blocks: int, num_keys_B: Tensor, slopes_H: Tensor | None) -> Tensor:
    """Return (B * blocks, 1 or H, half, 3 half): bool mask, or ALiBi's bias with -inf outside."""
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
    # A padding query may have no real key: it attends to itself, so that its softmax stays finite.
    seen = (near & real[:, :, None]) | (offset == 0)
    seen = seen.reshape(-1, 1, half, 3 * half)
    if slopes_H is None:
        return seen
    bias = -slopes_H[:, None, None] * offset.abs()
    return bias.masked_fill(~seen, float("-inf"))


# ---- flex ----------------------------------------------------------------------------------------


def _attend_flex(q_BHSK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, mask: WindowMask) -> Tensor:
    slopes = mask.slopes_H

    def add_alibi(score: Tensor, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        assert slopes is not None
        return score - slopes[head] * (query - key).abs()

    score = None if slopes is None else add_alibi
    return attend_flex(q_BHSK, k_BGSK, v_BGSK, score, mask.blocks)


def attend_flex(
    q_BHTK: Tensor,
    k_BGSK: Tensor,
    v_BGSK: Tensor,
    score: Callable[..., Tensor] | None,
    blocks: BlockMask | None,
) -> Tensor:
    """Attend with compiled FlexAttention; G key-value heads serve H / G query heads each.

    Raises:
        ConfigError: A gradient is wanted on a CPU.
    """
    if q_BHTK.device.type == "cpu" and torch.is_grad_enabled() and q_BHTK.requires_grad:
        rule = "has no backward pass on the CPU; use auto or sdpa to train there"
        raise ConfigError("attention", "flex", rule)
    grouped = q_BHTK.shape[1] != k_BGSK.shape[1]
    flex: Callable[..., Tensor] = flex_attention
    if not torch.compiler.is_compiling():  # a layer that is compiled as a whole compiles this, too
        flex = _flex()
    return flex(q_BHTK, k_BGSK, v_BGSK, score_mod=score, block_mask=blocks, enable_gqa=grouped)


@cache
def _flex() -> Callable[..., Tensor]:
    """FlexAttention compiled: as plain PyTorch it would hold all S x S scores."""
    return torch.compile(flex_attention)


def _block_mask(num_keys_B: Tensor, length: int, half: int) -> BlockMask:
    """Return the block mask by arithmetic: S x S entries would cost what windows save."""
    device = num_keys_B.device
    block = torch.arange(-(-length // FLEX_BLOCK), device=device)
    apart = (block[:, None] - block[None]).abs() * FLEX_BLOCK  # between the blocks' first tokens
    start = block * FLEX_BLOCK
    some, whole = start < num_keys_B[:, None], start + FLEX_BLOCK <= num_keys_B[:, None]
    near = near_throughout = torch.ones_like(apart, dtype=torch.bool)
    if half:
        near, near_throughout = apart - FLEX_BLOCK < half, apart + FLEX_BLOCK - 1 <= half
    full = near_throughout & whole[:, None]
    part = ((near & some[:, None]) | (apart == 0)) & ~full

    def seen(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        is_real = key < num_keys_B[batch]
        is_near = is_real & ((query - key).abs() <= half) if half else is_real
        return is_near | (query == key)

    return BlockMask.from_kv_blocks(
        *ordered_blocks(part[:, None]),
        *ordered_blocks(full[:, None]),
        BLOCK_SIZE=FLEX_BLOCK,
        mask_mod=seen,
        seq_lengths=(length, length),
    )


def ordered_blocks(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """Return the number of True blocks per row, and block indices with those first, int32."""
    order = blocks.int().argsort(dim=-1, descending=True, stable=True)
    return blocks.sum(dim=-1).int(), order.int()


# ---- flash ---------------------------------------------------------------------------------------


def _attend_flash(q_BHSK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, mask: WindowMask) -> Tensor:
    from flash_attn import flash_attn_varlen_func

    batch, heads, length, width = q_BHSK.shape
    q, k, v = (x.transpose(1, 2).reshape(-1, x.shape[1], width) for x in (q_BHSK, k_BGSK, v_BGSK))
    side = mask.half or -1
    out: Tensor = flash_attn_varlen_func(
        q,
        k,
        v,
        cu_seqlens_q=mask.bounds,
        cu_seqlens_k=mask.bounds,
        max_seqlen_q=length,
        max_seqlen_k=length,
        causal=False,
        window_size=(side, side),
        alibi_slopes=mask.slopes_H,
    )
    return out.view(batch, length, heads, width).transpose(1, 2)


def _bounds(num_keys_B: Tensor, length: int) -> Tensor:
    """(2 B + 1,) cumulative lengths: each row's tokens are one sequence and its padding the next.

    So nothing is gathered or scattered, shapes do not depend on the data, and padding costs no more
    than its share.
    """
    start = torch.arange(len(num_keys_B), device=num_keys_B.device) * length
    bounds = torch.stack((start, start + num_keys_B), dim=1).flatten()
    return F.pad(bounds, (0, 1), value=len(num_keys_B) * length).int()


_BACKENDS: dict[Backend, Callable[[Tensor, Tensor, Tensor, WindowMask], Tensor]] = {
    "sdpa": _attend_sdpa,
    "flex": _attend_flex,
    "flash": _attend_flash,
}
