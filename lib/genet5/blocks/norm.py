"""Layer norm whose weights may be held in another type than its input."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class LayerNorm(nn.LayerNorm):
    """`nn.LayerNorm` in the input's type: FSDP2 gathers weights in bf16, activations are fp32."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise the last dimension."""
        weight, bias = self.weight.to(input.dtype), self.bias.to(input.dtype)
        return F.layer_norm(input, self.normalized_shape, weight, bias, self.eps)
