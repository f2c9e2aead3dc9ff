"""Rotary position embedding (Su et al. 2021, arXiv:2104.09864) with real-valued positions.

A head is rotated by pairs of its channels: channel i of the left half with channel i of the right
half. Where the pairs lie side by side instead (`interleaved`), a pair is a complex number and the
rotation one product in place: on a CPU an eighth of the time. Scores of queries and keys do not
depend on the order of channels, so frozen weights can be reordered for it.
"""

from __future__ import annotations

import torch
from torch import Tensor

Rope = tuple[Tensor, Tensor] | Tensor
"""Cosines and sines of the rotation at each position; or, for interleaved heads, both as one
complex tensor."""


def rope_table(
    positions: Tensor, head_width: int, theta: float = 10_000.0
) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotation at each position.

    Args:
        positions: (B, S) or (S,) float or int positions, in tokens.
        head_width: K, even.
        theta: Base of the geometric series of wave lengths.

    Returns:
        Two fp32 tensors (B, 1, S, K/2), or (1, 1, S, K/2).
    """
    steps = torch.arange(0, head_width, 2, device=positions.device, dtype=torch.float32)
    angles = positions.float()[..., None] * theta ** (-steps / head_width)
    angles = angles[:, None] if angles.dim() == 3 else angles[None, None]
    return angles.cos(), angles.sin()


def rope_turns(positions: Tensor, head_width: int) -> Tensor:
    """`rope_table` for interleaved heads: complex (B, 1, S, K/2), or (1, 1, S, K/2)."""
    return torch.complex(*rope_table(positions, head_width))


def interleaved(head_width: int) -> Tensor:
    """Order of a head's channels that puts pairs side by side, (K,) int64.

    Example:
        >>> interleaved(6).tolist()
        [0, 3, 1, 4, 2, 5]
    """
    return torch.arange(head_width).view(2, -1).t().flatten()


def rotate(x_BHSK: Tensor, rope: Rope) -> Tensor:
    """Rotate each head by its position; dtype is kept.

    Args:
        x_BHSK: Heads. Interleaved ones (fp32) are changed in place.
        rope: From `rope_table`, or from `rope_turns` for interleaved heads.
    """
    if isinstance(rope, Tensor):
        torch.view_as_complex(x_BHSK.unflatten(-1, (-1, 2))).mul_(rope)
        return x_BHSK
    cos, sin = (part.to(x_BHSK.dtype) for part in rope)
    left, right = x_BHSK.chunk(2, dim=-1)
    return torch.cat((left * cos - right * sin, right * cos + left * sin), dim=-1)
