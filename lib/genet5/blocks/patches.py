"""Patches: a convolutional path at base resolution, and vectors of `patch_bp` bases in between.

In place of tokens, the encoder reads one vector for every `patch_bp` bases: the features of its
bases, side by side, through one matrix. After the encoder one matrix gives each base of the patch
its own part of the state (a sub-pixel convolution, Shi et al. 2016, arXiv:1609.05158). Both are
reshapes and products of matrices: nothing is gathered, and a patch of 24 bases makes a fourth of
the rows that 6-mers do. Base features are convolutions that reach 16 bases, and an embedding of the
6-mer at each base, so that dicodon statistics are there in every frame. A patch holds whole codons
(`patch_bp` is a multiple of 3), so each of its bases keeps its codon phase in all patches.

Example:
    >>> patch_starts(torch.tensor([50]), 50, 24)
    (tensor([[ 0, 24, 48]]), tensor([3]))
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genet5.blocks.bases import convolve, real_bases
from genet5.blocks.codons import NUM_FEATURES, CodonFeatures
from genet5.config.model import ModelConfig

_KERNEL = 9
_DILATION = 3  # with the kernel: reaches the ribosome binding site from the start codon
_WORD = 6
_NO_WORD = 4**_WORD  # id of a 6-mer with an ambiguous letter, or over the window's end


def patch_starts(num_bases_B: Tensor, length: int, patch_bp: int) -> tuple[Tensor, Tensor]:
    """Return the first base of each patch, (B, ceil(length / patch_bp)), and each row's patches."""
    count = -(-length // patch_bp)
    starts = torch.arange(count, device=num_bases_B.device) * patch_bp
    return starts.expand(len(num_bases_B), count), -(-num_bases_B // patch_bp)


def words_at_bases(index_BL: Tensor) -> Tensor:
    """Return the id of the 6-mer that begins at each base, first letter most significant.

    Args:
        index_BL: 0..3 for A, C, G, T, 4 for other letters and padding.

    Returns:
        (B, L) int64 in 0..4096; the last one = no 6-mer.
    """
    length = index_BL.shape[1]
    padded = F.pad(index_BL, (0, _WORD - 1), value=4)
    word = torch.zeros_like(index_BL)
    is_known = torch.ones_like(index_BL, dtype=torch.bool)
    for offset in range(_WORD):
        letter = padded[:, offset : offset + length]
        word = 4 * word + letter
        is_known &= letter < 4
    return torch.where(is_known, word, _NO_WORD)


class PatchStem(nn.Module):
    """Features of raw bases, and their patches."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels = config.base_channels
        assert config.patch_bp is not None
        self.patch_bp = config.patch_bp
        self.features = CodonFeatures()
        self.word_embedding = nn.Embedding(_NO_WORD + 1, channels)
        self.conv1 = nn.Conv1d(NUM_FEATURES, channels, _KERNEL, padding="same")
        self.conv2 = nn.Conv1d(channels, channels, _KERNEL, padding="same", dilation=_DILATION)
        self.to_patches = nn.Linear(self.patch_bp * channels, config.width, bias=False)

    def forward(self, bases_BL: Tensor, genetic_code_B: Tensor, num_bases_B: Tensor) -> Tensor:
        """Return (B, L, C) features of raw bases, 0 after a row's bases and unaffected by them."""
        features = self.features(bases_BL, genetic_code_B, num_bases_B).transpose(1, 2)
        features = features.to(self.conv1.weight.dtype)
        real_BL = real_bases(num_bases_B, bases_BL.shape[1])
        real_BLC = real_BL[..., None]
        x = F.gelu(convolve(self.conv1, features)) * real_BLC
        x = x + F.gelu(convolve(self.conv2, x))
        index = self.features.base_index[bases_BL.long()].masked_fill(~real_BL, 4)
        words: Tensor = self.word_embedding(words_at_bases(index))
        return (words + x) * real_BLC

    def pool(self, features_BLC: Tensor) -> Tensor:
        """Join the bases of each patch, (B, L, C) to (B, ceil(L / patch_bp), D)."""
        batch, length, channels = features_BLC.shape
        count = -(-length // self.patch_bp)
        padded = F.pad(features_BLC, (0, 0, 0, count * self.patch_bp - length))
        joined: Tensor = self.to_patches(padded.reshape(batch, count, self.patch_bp * channels))
        return joined


class PatchUpsampler(nn.Module):
    """Joins patch states and raw features at every base."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels = config.base_channels
        assert config.patch_bp is not None
        self.from_patches = nn.Linear(config.width, config.patch_bp * channels, bias=False)
        self.conv = nn.Conv1d(channels, channels, _KERNEL, padding="same")
        self.norm = nn.LayerNorm(channels)

    def forward(self, states_BSD: Tensor, features_BLC: Tensor, num_bases_B: Tensor) -> Tensor:
        """Return (B, L, C) features f_p of each base."""
        batch, length, channels = features_BLC.shape
        spread = self.from_patches(states_BSD).view(batch, -1, channels)[:, :length]
        x = F.gelu(spread + features_BLC) * real_bases(num_bases_B, length)[..., None]
        x = x + F.gelu(convolve(self.conv, x))
        normed: Tensor = self.norm(x)
        return normed
