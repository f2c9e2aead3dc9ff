"""Base resolution around the encoder: nucleotide features in, token states back out to bases.

Tokens have unequal lengths (BPE) or straddle codons (k-mers). Both directions therefore keep the
codon phase apart: bases are averaged into their token separately for each position mod 3, and a
token's state is spread with one projection for each position mod 3.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genet5.blocks.codons import NUM_FEATURES, CodonFeatures
from genet5.config.model import ModelConfig

_KERNEL = 9


def base_slots(start_bp_BS: Tensor, length: int) -> Tensor:
    """Index 3 s + p mod 3 of each base p, where s is its token.

    Args:
        start_bp_BS: First base of each token, ascending; `length` or more for padding tokens.
        length: L.

    Returns:
        (B, L) int64 in 0..3 S - 1.
    """
    base = torch.arange(length, device=start_bp_BS.device).expand(len(start_bp_BS), length)
    token = torch.searchsorted(start_bp_BS.contiguous(), base.contiguous(), right=True) - 1
    return 3 * token.clamp_min(0) + base % 3


def real_bases(num_bases_B: Tensor, length: int) -> Tensor:
    """(B, L) bool: True = a base, False = padding."""
    return torch.arange(length, device=num_bases_B.device) < num_bases_B[:, None]


def convolve(conv: nn.Conv1d, x_BLC: Tensor) -> Tensor:
    """Apply a convolution of odd kernel and padding "same" to (B, L, C), channels last.

    Without gradients as a flat image in that layout: on a CPU half the time, since nothing is
    transposed.
    """
    x = x_BLC.transpose(1, 2)
    mapped: Tensor
    if torch.is_grad_enabled():
        mapped = conv(x)
        return mapped.transpose(1, 2)
    (size,), (step,) = conv.kernel_size, conv.dilation
    image = x[:, :, None].contiguous(memory_format=torch.channels_last)
    weight = conv.weight[:, :, None]
    padding, dilation = (0, step * (size // 2)), (1, step)
    mapped = F.conv2d(image, weight, conv.bias, padding=padding, dilation=dilation)
    return mapped[:, :, 0].transpose(1, 2)


class BaseStem(nn.Module):
    """Convolutions over raw nucleotides, and their means for each token."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels = config.base_channels
        self.features = CodonFeatures()
        self.conv1 = nn.Conv1d(NUM_FEATURES, channels, _KERNEL, padding="same")
        self.conv2 = nn.Conv1d(channels, channels, _KERNEL, padding="same", dilation=2)
        self.to_tokens = nn.Linear(3 * channels, config.width, bias=False)

    def forward(self, bases_BL: Tensor, genetic_code_B: Tensor, num_bases_B: Tensor) -> Tensor:
        """Return (B, L, C) features of raw bases, unaffected by padding after a row's bases."""
        features = self.features(bases_BL, genetic_code_B, num_bases_B).transpose(1, 2)
        features = features.to(self.conv1.weight.dtype)
        real = real_bases(num_bases_B, bases_BL.shape[1])[..., None]
        x = F.gelu(convolve(self.conv1, features)) * real
        return x + F.gelu(convolve(self.conv2, x))

    def pool(self, features_BLC: Tensor, slots_BL: Tensor, num_tokens: int) -> Tensor:
        """Mean features of each token, phase by phase, as (B, S, D)."""
        batch, _, channels = features_BLC.shape
        size = 3 * num_tokens
        rows = (slots_BL + size * torch.arange(batch, device=slots_BL.device)[:, None]).flatten()
        sums = features_BLC.new_zeros(batch * size, channels).index_add(
            0, rows, features_BLC.flatten(0, 1)
        )
        counts = rows.new_zeros(batch * size).index_add(0, rows, torch.ones_like(rows))
        means = sums / counts.clamp_min(1)[:, None].to(sums.dtype)
        pooled: Tensor = self.to_tokens(means.view(batch, num_tokens, 3 * channels))
        return pooled


class BaseUpsampler(nn.Module):
    """Joins token states and raw features at every base."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels = config.base_channels
        self.from_tokens = nn.Linear(config.width, 3 * channels, bias=False)
        self.conv = nn.Conv1d(channels, channels, _KERNEL, padding="same")
        self.norm = nn.LayerNorm(channels)

    def forward(
        self, states_BSD: Tensor, features_BLC: Tensor, slots_BL: Tensor, num_bases_B: Tensor
    ) -> Tensor:
        """Return (B, L, C) features f_p of each base."""
        batch, tokens, _ = states_BSD.shape
        spread = self.from_tokens(states_BSD).view(batch * tokens * 3, -1)
        rows = slots_BL + 3 * tokens * torch.arange(batch, device=slots_BL.device)[:, None]
        x = F.gelu(F.embedding(rows, spread) + features_BLC)
        x = x * real_bases(num_bases_B, x.shape[1])[..., None]
        x = x + F.gelu(convolve(self.conv, x))
        normed: Tensor = self.norm(x)
        return normed
