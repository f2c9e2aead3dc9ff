"""Tokens per expert after each step: figures for the metrics, and the bias that evens them out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genet5.blocks.moe import MixtureOfExperts
from genet5.train.distributed.processes import Ranks


def update_experts(model: nn.Module, ranks: Ranks) -> dict[str, Tensor]:
    """Move the choice biases by what all ranks routed in a step; return how experts were used.

    Frozen layers keep their biases. Every rank calls it, and nothing waits for the device.

    Returns:
        Scalars, empty without experts: "tokens_per_expert", the mean over experts and layers;
        "expert_load_max", the busiest expert's tokens over its layer's mean (1 = even), and
        "experts_idle", the share of experts without any token, both means over layers.
    """
    layers = [module for module in model.modules() if isinstance(module, MixtureOfExperts)]
    if not layers:
        return {}
    sizes = [layer.num_experts for layer in layers]
    routed = ranks.sum(torch.cat([layer.take_routed() for layer in layers])).split(sizes)
    for layer, counts in zip(layers, routed, strict=True):
        if any(parameter.requires_grad for parameter in layer.parameters()):
            layer.rebalance(counts)
    means = torch.stack([counts.mean() for counts in routed])
    busiest = torch.stack([counts.max() for counts in routed])
    idle = torch.stack([(counts == 0).float().mean() for counts in routed])
    return {
        "tokens_per_expert": means.mean(),
        "expert_load_max": (busiest / means.clamp_min(1e-9)).mean(),
        "experts_idle": idle.mean(),
    }
