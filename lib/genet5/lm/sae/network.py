"""The autoencoder: states to sparse features and back.

States are centred and brought to a root mean square of 1 first, by their mean and spread in the
first batch, so that one learning rate and one weight of sparsity serve all layers. The decoder's
rows have length 1: a feature's activation is its share of the state, in units of the spread. With
`topk` all but the strongest features of a token are 0; with `l1` the loss has the mean over tokens
of the sum of features (a sum over the batch would make sparsity depend on its size).
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genet5.config.lm.sae import SaeShapeConfig


class SparseAutoencoder(nn.Module):
    """Encoder, decoder, and the scale of states.

    Args:
        width: Of the states, D.
        config: Features F, and what makes them sparse.
        seed: Of the weights.
    """

    mean_D: Tensor
    scale: Tensor

    def __init__(self, width: int, config: SaeShapeConfig, *, seed: int) -> None:
        super().__init__()
        features = config.features or 4 * width
        generator = torch.Generator().manual_seed(seed)
        rows = F.normalize(torch.randn(features, width, generator=generator), dim=1)
        self.config = config
        self.decoder_FD = nn.Parameter(rows)
        self.encoder_FD = nn.Parameter(rows.clone())
        self.encoder_bias_F = nn.Parameter(torch.zeros(features))
        self.decoder_bias_D = nn.Parameter(torch.zeros(width))
        self.register_buffer("mean_D", torch.zeros(width))
        self.register_buffer("scale", torch.ones(()))

    @property
    def features(self) -> int:
        """Number of features, F."""
        return len(self.decoder_FD)

    @torch.no_grad()
    def fit_scale(self, states_ND: Tensor) -> None:
        """Take mean and spread of the states from a sample of them."""
        self.mean_D.copy_(states_ND.mean(0))
        self.scale.copy_((states_ND - self.mean_D).square().mean().sqrt().clamp_min(1e-6))

    def scaled(self, states_ND: Tensor) -> Tensor:
        """Return centred states of spread 1."""
        return (states_ND - self.mean_D) / self.scale

    def encode(self, states_ND: Tensor) -> Tensor:
        """Return the features of states, (N, F), none negative."""
        x = self.scaled(states_ND) - self.decoder_bias_D
        found_NF = F.linear(x, self.encoder_FD, self.encoder_bias_F).relu()
        if self.config.sparsity == "l1" or self.config.active >= self.features:
            return found_NF
        strongest = found_NF.topk(self.config.active, dim=1)
        return torch.zeros_like(found_NF).scatter(1, strongest.indices, strongest.values)

    def forward(self, states_ND: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the loss, the share of variance that is left, and the features (N, F)."""
        features_NF = self.encode(states_ND)
        x = self.scaled(states_ND)
        rebuilt = features_NF @ self.decoder_FD + self.decoder_bias_D
        left = (x - rebuilt).square().sum() / x.square().sum().clamp_min(1e-12)
        loss = left
        if self.config.sparsity == "l1":
            loss = left + self.config.l1_weight * features_NF.sum(1).mean()
        return loss, left, features_NF

    @torch.no_grad()
    def normalize(self) -> None:
        """Bring the decoder's rows to length 1; called after each step."""
        self.decoder_FD.copy_(F.normalize(cast("Tensor", self.decoder_FD), dim=1))
