"""Heads: what each base is, and which base or token comes next.

The pointer scores base p for a decoder state as where + which + evidence: `q1 . k1(latent of p)`,
rotated (RoPE) by the base named last and by the latent's anchor, says where from here; `q2 .
k2(f_p)` which base; `gate . e_p` asks the boundary logits for the kind of boundary that is wanted.
Linear in the window's length.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from genet5.blocks.rope import rope_table, rotate
from genet5.config.model import ModelConfig

NUM_STATES = 8
"""Per strand: intergenic, CDS codon position 0, 1, 2, intron in frame 0, 1, 2, UTR."""
NUM_BOUNDARIES = 8
"""Start, stop, donor, acceptor, each on + and -."""


class BaseHeads(nn.Module):
    """Per-base logits from base features."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.states = nn.Linear(config.base_channels, 2 * NUM_STATES)
        self.boundaries = nn.Linear(config.base_channels, NUM_BOUNDARIES)

    def forward(self, features_BLC: Tensor) -> tuple[Tensor, Tensor]:
        """Return state logits (B, L, 2, NUM_STATES) and boundary logits (B, L, NUM_BOUNDARIES)."""
        states = self.states(features_BLC)
        return states.unflatten(-1, (2, NUM_STATES)), self.boundaries(features_BLC)


class Pointer(nn.Module):
    """Scores bases for decoder states, and embeds chosen bases for the next step."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, channels, fine = config.width, config.base_channels, config.pointer_width
        self.bin_bp = config.compressor.bin_bp
        self.query_where = nn.Linear(width, width, bias=False)
        self.key_where = nn.Linear(width, width, bias=False)
        self.query_which = nn.Linear(width, fine)
        self.key_which = nn.Linear(channels, fine, bias=False)
        self.gate = nn.Linear(width, NUM_BOUNDARIES)
        self.embed_latent = nn.Linear(width, width, bias=False)
        self.embed_offset = nn.Embedding(self.bin_bp, width)
        self.embed_base = nn.Linear(channels, width)

    def keys(self, latents_BMD: Tensor, features_BLC: Tensor) -> tuple[Tensor, Tensor]:
        """Return the keys, which need no decoder state: (B, M, D) rotated, and (B, L, fine)."""
        anchors = torch.arange(latents_BMD.shape[1], device=latents_BMD.device) + 0.5
        where = self.key_where(latents_BMD)
        return _rotated(where, anchors), self.key_which(features_BLC)

    def queries(self, states_BPD: Tensor, place_BP: Tensor) -> tuple[Tensor, Tensor]:
        """Scaled queries of decoder states.

        Args:
            states_BPD: Decoder states.
            place_BP: Base that was named last before each state's.

        Returns: Fp32 (B, P, D) for the first keys, and (B, P, fine + 8) for the second keys with
            the boundary logits after them.
        """
        where = _rotated(self.query_where(states_BPD).float(), place_BP / self.bin_bp)
        which = self.query_which(states_BPD) / math.sqrt(self.query_which.out_features)
        fine = torch.cat((which, self.gate(states_BPD)), dim=-1)
        return where / math.sqrt(where.shape[-1]), fine.float()

    def scores(
        self,
        states_BPD: Tensor,
        place_BP: Tensor,
        keys: tuple[Tensor, Tensor],
        boundaries_BLE: Tensor,
    ) -> Tensor:
        """Score every base for P states of each row, (B, P, L), in fp32: bf16 is too coarse."""
        where_BMD, which_BLF = keys
        q_where, q_fine = self.queries(states_BPD, place_BP)
        # One product for both: the boundary logits are eight more channels of the keys.
        keyed = torch.cat((which_BLF, boundaries_BLE.to(which_BLF.dtype)), dim=-1)
        with torch.autocast(states_BPD.device.type, enabled=False):
            where = q_where @ where_BMD.float().transpose(1, 2)
            spread = where.repeat_interleave(self.bin_bp, dim=-1)[..., : which_BLF.shape[1]]
            return torch.baddbmm(spread, q_fine, keyed.float().transpose(1, 2))

    def embed(
        self,
        positions_BT: Tensor,
        latents_BMD: Tensor,
        features_BLC: Tensor,
        rows_B: Tensor | None = None,
    ) -> Tensor:
        """Embed bases `positions_BT` of the windows `rows_B` (None: of all), (B, T, D)."""
        bins = positions_BT // self.bin_bp
        if rows_B is None:
            rows_B = torch.arange(len(positions_BT), device=positions_BT.device)
        rows = rows_B[:, None]
        embedded: Tensor = (
            self.embed_latent(latents_BMD[rows, bins])
            + self.embed_offset(positions_BT % self.bin_bp)
            + self.embed_base(features_BLC[rows, positions_BT])
        )
        return embedded


def _rotated(x_BSD: Tensor, positions: Tensor) -> Tensor:
    """Rotate whole rows by positions in bins, (B, S) or (S,)."""
    return rotate(x_BSD[:, None], rope_table(positions, x_BSD.shape[-1]))[:, 0]
