"""Features from the genetic code: stop codons, and how far each of the six frames stays open.

Stops depend on the code (TGA codes for tryptophan in code 4), so the network is given their places
instead of having to learn one statistic for each code. Everything is a scan over (L / 3, 3) arrays:
O(L), no gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genet5.genome.codes import genetic_code, known_codes
from genet5.genome.sequence import BASE_INDEX

NUM_FEATURES = 18
"""Channels of `CodonFeatures`: 4 letters, 2 stops, 6 + 6 distances to the stops around each
base."""
_SPAN = 8.0  # log2 of 256 codons: distances come out near 1


class CodonFeatures(nn.Module):
    """Features of raw bases under each row's genetic code; no parameters."""

    base_index: Tensor
    stop_tables: Tensor

    def __init__(self) -> None:
        super().__init__()
        tables = torch.zeros(max(known_codes()) + 1, 65)
        for number in known_codes():
            tables[number, :64] = torch.from_numpy(genetic_code(number).stop_table).float()
        index = torch.tensor(BASE_INDEX, dtype=torch.int64)
        self.register_buffer("base_index", index, persistent=False)
        self.register_buffer("stop_tables", tables.bool(), persistent=False)

    @torch.no_grad()
    def forward(self, bases_BL: Tensor, genetic_code_B: Tensor, num_bases_B: Tensor) -> Tensor:
        """Describe each base.

        Args:
            bases_BL: uint8 ASCII letters.
            genetic_code_B: NCBI numbers.
            num_bases_B: Bases of each row; the rest is padding.

        Returns: (B, NUM_FEATURES, L) fp32: one-hot A, C, G, T (zeros for others); whether the base
            is the first of a stop codon on +, and on -; then for the base at codon position 0, 1, 2
            on +, and the same on -: log distance to the stop upstream; then the six to the stop
            downstream (window edges count as stops).
        """
        place = torch.arange(bases_BL.shape[1], device=bases_BL.device).expand_as(bases_BL)
        real = place < num_bases_B[:, None]
        mirror = torch.where(real, num_bases_B[:, None] - 1 - place, place)  # its own inverse
        index = self.base_index[bases_BL.long()].masked_fill(~real, 4)
        letters = F.one_hot(index, 5)[..., :4].float()
        complement = torch.where(index < 4, 3 - index, index)
        forward = self._stops(index, genetic_code_B)
        backward = self._stops(complement.gather(1, mirror), genetic_code_B)
        spans = _open_spans(forward, num_bases_B)
        spans_back = [x.gather(1, mirror) for x in _open_spans(backward, num_bases_B)]
        upstream, downstream = spans[0::2] + spans_back[0::2], spans[1::2] + spans_back[1::2]
        channels = [forward.float(), backward.gather(1, mirror).float(), *upstream, *downstream]
        features = torch.cat((letters.transpose(1, 2), torch.stack(channels, dim=1)), dim=1)
        return features * real[:, None]

    def _stops(self, index_BL: Tensor, code_B: Tensor) -> Tensor:
        """(B, L) bool: a stop codon starts here."""
        first, second, third = (
            F.pad(index_BL, (0, 2), value=4).unfold(1, index_BL.shape[1], 1)
        ).unbind(1)
        codon = torch.where(
            (first < 4) & (second < 4) & (third < 4), 16 * first + 4 * second + third, 64
        )
        return self.stop_tables[code_B[:, None], codon]


def _open_spans(stops_BL: Tensor, num_bases_B: Tensor) -> list[Tensor]:
    """Return for r = 0, 1, 2 the log distances from a base's codon to the stops before and after.

    Returns:
        [before 0, after 0, before 1, after 1, before 2, after 2], each (B, L).
    """
    batch, length = stops_BL.shape
    codons = -(-length // 3)
    grid = F.pad(stops_BL, (0, 3 * codons - length)).view(batch, codons, 3)
    row = torch.arange(codons, device=stops_BL.device)[:, None].expand(codons, 3)
    grid = grid | (row >= -(-num_bases_B // 3)[:, None, None])
    last = torch.where(grid, row, -1).cummax(dim=1).values
    before = row - F.pad(last[:, :-1], (0, 0, 1, 0), value=-1)
    upcoming = torch.where(grid, row, codons).flip(1).cummin(dim=1).values.flip(1)
    after = upcoming - row
    flat = [
        torch.log2(1.0 + x.float()).view(batch, -1)[:, :length] / _SPAN for x in (before, after)
    ]
    # The codon of base p at codon position r starts at p - r.
    return [F.pad(x, (r, 0))[:, :length] for r in range(3) for x in flat]
