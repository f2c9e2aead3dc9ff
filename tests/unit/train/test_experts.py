"""How experts were used, over layers and ranks."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from genet5.blocks.moe import MixtureOfExperts
from genet5.train.distributed.processes import Ranks
from genet5.train.experts import update_experts


def make_layers(*routed, balance="loss"):
    layers = nn.ModuleList()
    for counts in routed:
        layer = MixtureOfExperts(8, 8, len(counts), 1, balance=balance)
        layer.routed = torch.tensor(counts)
        layers.append(layer)
    return layers


def test_model_without_experts_reports_nothing():
    assert update_experts(nn.Linear(2, 2), Ranks()) == {}


def test_figures_are_means_over_layers_of_any_number_of_experts():
    layers = make_layers([6.0, 2.0, 0.0, 0.0], [5.0, 5.0])
    figures = {name: value.item() for name, value in update_experts(layers, Ranks()).items()}
    assert figures == pytest.approx(
        {"tokens_per_expert": (2 + 5) / 2, "expert_load_max": (3 + 1) / 2, "experts_idle": 0.25}
    )
    assert update_experts(layers, Ranks())["tokens_per_expert"] == 0  # counted anew


def test_biases_follow_what_all_ranks_routed():
    layers = make_layers([3.0, 1.0], balance="bias")
    ranks = SimpleNamespace(sum=lambda counts: counts + torch.tensor([0.0, 8.0]))
    update_experts(layers, ranks)  # 3 and 9 tokens in all
    assert layers[0].choice_bias.tolist() == pytest.approx([0.001, -0.001])
