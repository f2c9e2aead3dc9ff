"""Evidence at base resolution: channels that hints have painted, as an addition to base features.

One convolution, with weights that begin at 0 and no bias: a model that gets these channels computes
what it did before until it is trained with them, and a window without hints has the base features
of the sequence alone. From there evidence goes both ways that base features go: into the token or
patch embeddings, and to each base after the encoder. The kernel reaches four bases to either side,
so that a border that is off by a few bases still counts.
"""

from __future__ import annotations

from torch import Tensor, nn

from genet5.blocks.bases import convolve, real_bases
from genet5.config.model import ModelConfig

_KERNEL = 9
_UNIT = 64
"""Strength that counts as 1 (`genome.evidence`): that of three reads."""


class EvidenceStem(nn.Module):
    """Maps channels of evidence to base features."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels = config.evidence_channels, config.base_channels
        self.conv = nn.Conv1d(*channels, _KERNEL, padding="same", bias=False)

    def forward(self, evidence_BEL: Tensor, num_bases_B: Tensor) -> Tensor:
        """Return (B, L, C) additions to base features, 0 after a row's bases.

        Args:
            evidence_BEL: (B, E, L) uint8 strengths, 0 after a row's bases.
            num_bases_B: Bases of each row.
        """
        strengths = evidence_BEL.transpose(1, 2).to(self.conv.weight.dtype) / _UNIT
        real = real_bases(num_bases_B, evidence_BEL.shape[2])[..., None]
        return convolve(self.conv, strengths) * real
