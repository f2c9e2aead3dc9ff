"""Rotary position embedding (Su et al. 2021, arXiv:2104.09864) with real-valued positions."""

from __future__ import annotations

import torch
from torch import Tensor


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


def rotate(x_BHSK: Tensor, table: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate the two halves of each head by its position; dtype is kept."""
    cos, sin = (part.to(x_BHSK.dtype) for part in table)
    left, right = x_BHSK.chunk(2, dim=-1)
    return torch.cat((left * cos - right * sin, right * cos + left * sin), dim=-1)
