"""Cross-attention of anchored latents to the tokens around them.

Latent i sits at a base, its anchor, and attends to the tokens whose middle lies at most `window_bp`
away; a latent that no token is so near to (padding, or inside a very long token) attends to its
nearest token, or both where two are equally near. Scores fall with distance. `anchored_mask`
prepares the attention mask of a batch once; `attend_anchored` then serves every layer. M latents
cost O(M w): tokens around neighbouring latents are neighbours in the row, whatever their lengths.

- `sdpa`: latents in blocks, each with one slice of the row's tokens. Where slices would hold most
  of the row anyway, all latents attend to the whole row with a mask, which is cheaper there.
- `flex`: FlexAttention with a mask of 128 x 128 blocks found by search in the sorted starts. For
  CUDA, as in `windowed`; with flash-attn, too, which has no bias by base pairs.

Example:
    >>> q, k = torch.ones(1, 2, 6, 4), torch.ones(1, 1, 30, 4)
    >>> middle, tokens = torch.arange(0, 90, 3)[None] + 1.5, torch.tensor([30])
    >>> shape = {"bin_bp": 16, "window_bp": 16, "loss_per_bin": 0.1, "dtype": q.dtype}
    >>> mask = anchored_mask("sdpa", middle, tokens, num_latents=6, **shape)
    >>> attend_anchored(q, k, k, mask).shape
    torch.Size([1, 2, 6, 4])
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention.flex_attention import BlockMask

from genet5.blocks.attention import attend, key_mask
from genet5.blocks.windowed import FLEX_BLOCK, attend_flex, choose_backend, ordered_blocks
from genet5.config.model import AttentionName

Backend = Literal["sdpa", "flex"]

_BEYOND_BP = 1e9  # where padding tokens lie: finite, so that no score becomes NaN
_SLACK_BP = (
    1.0  # slices are cut this much wider, so that rounding cannot lose a token; the mask decides
)
_ROUND = 64  # slices have a multiple of this many tokens: few shapes, few compilations
_AT_HAND = frozenset({"cpu"})  # devices whose values are read without waiting for them
_DENSE_SHARE = 0.75  # share of all latent-token pairs above which slices do not pay


@dataclass(frozen=True, slots=True)
class AnchoredMask:
    """Attention mask of latents over tokens in one batch, in the form that a backend takes."""

    backend: Backend
    size: int = 0
    """For `sdpa`: latents of a block; 0 is one block with the whole row."""
    index_BNW: Tensor | None = None
    """For `sdpa` in N blocks: place of each token of a block's slice among the batch's B * S
    tokens."""
    bias: Tensor | None = None
    """For `sdpa`: (B * N, 1, size, W), or (B, 1, M, S); -inf is masked."""
    middle_BS: Tensor | None = None
    """For `flex`: middle of each token, bp."""
    anchor_M: Tensor | None = None
    """For `flex`: bp."""
    loss_per_bp: float = 0.0
    """For `flex`: score lost per bp of distance."""
    blocks: BlockMask | None = None
    """For `flex`."""


def choose_anchored_backend(
    wanted: AttentionName, device: torch.device, dtype: torch.dtype
) -> Backend:
    """Choose the backend for a model whose windowed attention is set to `wanted`.

    Raises:
        ConfigError: What is wanted cannot run here.
    """
    return "sdpa" if choose_backend(wanted, device, dtype) == "sdpa" else "flex"


@torch.no_grad()
def anchored_mask(
    backend: Backend,
    middle_BS: Tensor,
    num_tokens_B: Tensor,
    num_latents: int,
    *,
    bin_bp: int,
    window_bp: int,
    loss_per_bin: float,
    dtype: torch.dtype,
) -> AnchoredMask:
    """Prepare a batch; nothing waits for the device, if that is not the CPU.

    Args:
        backend: From `choose_anchored_backend`.
        middle_BS: Middle of each token in bp; tokens start at least 1 bp apart, in ascending order.
        num_tokens_B: Tokens of each row, at least 1; later ones are padding.
        num_latents: M.
        bin_bp: Latent i sits at (i + 0.5) * bin_bp.
        window_bp: Distance up to which a latent attends, on either side.
        loss_per_bin: Score that a token loses for each bin of distance.
        dtype: Of queries, keys and values.
    """
    length = middle_BS.shape[1]
    is_padding = ~key_mask(num_tokens_B.clamp_min(1), length)[:, 0, 0]
    middle = middle_BS.float().masked_fill(is_padding, _BEYOND_BP)
    anchor = (torch.arange(num_latents, device=middle.device) + 0.5) * bin_bp
    reach = _nearest(middle, anchor).clamp_min(window_bp)
    first = torch.searchsorted(middle, anchor - reach - _SLACK_BP)
    last = torch.searchsorted(middle, anchor + reach + _SLACK_BP, right=True)
    loss_per_bp = loss_per_bin / bin_bp
    if backend == "flex":
        blocks = _block_mask(middle, anchor, reach, first, last)
        return AnchoredMask(
            backend, middle_BS=middle, anchor_M=anchor, loss_per_bp=loss_per_bp, blocks=blocks
        )
    size = max(1, window_bp // bin_bp)  # slices are 3 windows wide then; 2 would serve one latent
    index = _slices(first, last, size, (size - 1) * bin_bp + 2 * window_bp)
    _, count, width = index.shape
    if count * size * width > _DENSE_SHARE * num_latents * length:
        bias = _bias(anchor[:, None], middle[:, None], reach[..., None], loss_per_bp)
        return AnchoredMask(backend, bias=bias[:, None].to(dtype))
    anchor, reach = (_by_block(x, size, count)[..., None] for x in (anchor[None], reach))
    sliced = F.pad(middle, (0, width), value=_BEYOND_BP).gather(1, index.flatten(1))
    bias = _bias(anchor, sliced.view_as(index)[:, :, None], reach, loss_per_bp)
    row = torch.arange(len(index), device=index.device)[:, None, None] * length
    index = index.clamp_max(length - 1) + row
    return AnchoredMask(backend, size, index_BNW=index, bias=bias.flatten(0, 1)[:, None].to(dtype))


def attend_anchored(q_BHMK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, mask: AnchoredMask) -> Tensor:
    """Attend from latents to the tokens around their anchors.

    Args:
        q_BHMK: Queries of the latents.
        k_BGSK: Keys of the tokens; G key-value heads serve H / G query heads each.
        v_BGSK: Values.
        mask: From `anchored_mask`.

    Returns:
        (B, H, M, K).
    """
    if mask.backend == "flex":
        return _attend_flex(q_BHMK, k_BGSK, v_BGSK, mask)
    if mask.index_BNW is None:
        return attend(q_BHMK, k_BGSK, v_BGSK, bias=mask.bias)
    batch, _, num_latents, head_width = q_BHMK.shape
    _, count, width = mask.index_BNW.shape
    q = F.pad(q_BHMK, (0, 0, 0, count * mask.size - num_latents))
    q = q.unflatten(2, (count, mask.size)).transpose(1, 2).flatten(0, 1)
    # One gather for keys and values; an embedding's backward pass adds up in a fixed order.
    pairs = torch.cat((k_BGSK, v_BGSK), dim=-1).transpose(1, 2)
    sliced = F.embedding(mask.index_BNW, pairs.flatten(2).flatten(0, 1))
    sliced = sliced.view(batch * count, width, k_BGSK.shape[1], 2 * head_width).transpose(1, 2)
    k, v = sliced.split(head_width, dim=-1)
    out: Tensor = attend(q, k, v, bias=mask.bias).unflatten(0, (batch, count))
    return out.transpose(1, 2).flatten(2, 3)[:, :, :num_latents]


def _nearest(middle_BS: Tensor, anchor_M: Tensor) -> Tensor:
    """(B, M) distance from each anchor to its row's nearest token."""
    anchor = anchor_M.expand(len(middle_BS), -1).contiguous()
    right = torch.searchsorted(middle_BS, anchor)
    beside = torch.stack((right - 1, right)).clamp(0, middle_BS.shape[1] - 1)
    return torch.stack([(middle_BS.gather(1, i) - anchor).abs() for i in beside]).amin(dim=0)


def _by_block(x_BM: Tensor, size: int, count: int) -> Tensor:
    """(B, count, size); the last column is repeated where latents lack."""
    short = count * size - x_BM.shape[1]
    x_BM = torch.cat((x_BM, x_BM[:, -1:].expand(-1, short)), dim=1)
    blocks: Tensor = x_BM.unflatten(1, (count, size))
    return blocks


def _slices(first_BM: Tensor, last_BM: Tensor, size: int, span_bp: int) -> Tensor:
    """Return (B, N, W) tokens that a block's latents attend to, possibly beyond the row's end.

    W holds the most that any block needs, known at once on a CPU. Elsewhere it holds the most that
    there can be: no more tokens than bases lie within `span_bp`, and beyond it a latent attends
    to its nearest ones alone.
    """
    count = -(-first_BM.shape[1] // size)
    low = _by_block(first_BM, size, count).amin(dim=-1)
    most = span_bp + 8
    if low.device.type in _AT_HAND:
        most = int((_by_block(last_BM, size, count).amax(dim=-1) - low).max())
    width = -(-most // _ROUND) * _ROUND
    return low[..., None] + torch.arange(width, device=low.device)


def _bias(anchor: Tensor, middle: Tensor, reach: Tensor, loss_per_bp: float) -> Tensor:
    """Score by distance, broadcast; -inf beyond reach."""
    distance = (anchor - middle).abs()
    return (-loss_per_bp * distance).masked_fill_(distance > reach, float("-inf"))


# ---- flex ----------------------------------------------------------------------------------------


def _attend_flex(q_BHMK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, mask: AnchoredMask) -> Tensor:
    middle, anchor, loss_per_bp = mask.middle_BS, mask.anchor_M, mask.loss_per_bp
    assert middle is not None
    assert anchor is not None

    def lose(score: Tensor, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return score - loss_per_bp * (anchor[query] - middle[batch, key]).abs()

    return attend_flex(q_BHMK, k_BGSK, v_BGSK, lose, mask.blocks)


def _block_mask(
    middle_BS: Tensor, anchor_M: Tensor, reach_BM: Tensor, first_BM: Tensor, last_BM: Tensor
) -> BlockMask:
    """Mask by blocks: those from the first to the last token that any latent of a block attends to.

    None is called full: 128 latents together are wider than the window of one.
    """
    length, num_latents = middle_BS.shape[1], len(anchor_M)
    rows = -(-num_latents // FLEX_BLOCK)
    low = _by_block(first_BM, FLEX_BLOCK, rows).amin(dim=-1)[:, None, :, None]
    high = _by_block(last_BM, FLEX_BLOCK, rows).amax(dim=-1)[:, None, :, None]
    start = torch.arange(-(-length // FLEX_BLOCK), device=middle_BS.device) * FLEX_BLOCK
    part = (start < high) & (start + FLEX_BLOCK > low)

    def seen(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (anchor_M[query] - middle_BS[batch, key]).abs() <= reach_BM[batch, query]

    return BlockMask.from_kv_blocks(
        *ordered_blocks(part),
        BLOCK_SIZE=FLEX_BLOCK,
        mask_mod=seen,
        seq_lengths=(num_latents, length),
    )
