"""Groups, schedules and the moving average."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from genet5.config.train import OptimConfig
from genet5.errors import ConfigError
from genet5.train.optim import (
    WeightAverage,
    build_optimizer,
    clip_gradients,
    make_schedule,
    parameter_groups,
    set_learning_rate,
)


def test_only_matrices_decay_and_tied_embeddings_do_not(toy: Any) -> None:
    model = toy.Model()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = [
        [names[id(p)] for p in group["params"]]
        for group in parameter_groups(model, OptimConfig(weight_decay=0.1))
    ]
    assert groups[0] == ["linear.weight"]
    assert sorted(groups[1]) == [
        "embedding.weight", "linear.bias", "norm.bias", "norm.weight", "unused"
    ]  # fmt: skip


def test_frozen_parameters_are_not_trained(toy: Any) -> None:
    model = toy.Model()
    model.linear.requires_grad_(False)
    groups = parameter_groups(model, OptimConfig(weight_decay=0.1))
    assert all(p is not model.linear.weight for group in groups for p in group["params"])


def test_the_optimizer_is_fused_adamw(toy: Any) -> None:
    optimizer = build_optimizer(toy.Model(), OptimConfig(lr=0.5, beta2=0.9))
    assert isinstance(optimizer, torch.optim.AdamW)
    assert optimizer.defaults["fused"]
    assert optimizer.defaults["betas"] == (0.9, 0.9)


def test_eight_bit_adamw_without_torchao_says_what_to_install(
    toy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", refuse)
    with pytest.raises(ConfigError, match=r"genet5\[gpu\]"):
        build_optimizer(toy.Model(), OptimConfig(optimizer="adamw_8bit"))


def test_cosine_rises_then_falls_to_its_lowest() -> None:
    rate = make_schedule(OptimConfig(warmup_ratio=0.1, min_lr_ratio=0.1), 100)
    values = [rate(step) for step in range(101)]
    assert values[0] == pytest.approx(1 / 11)
    assert values[10] == 1.0
    assert values[:11] == sorted(values[:11])
    assert values[10:] == sorted(values[10:], reverse=True)
    assert values[100] == pytest.approx(0.1)


def test_wsd_stays_then_falls_linearly() -> None:
    rate = make_schedule(OptimConfig(schedule="wsd", warmup_ratio=0.1, decay_ratio=0.2), 100)
    assert [rate(step) for step in (10, 50, 80)] == [1.0, 1.0, 1.0]
    assert rate(90) == pytest.approx(0.5)
    assert rate(100) == 0.0


def test_constant_stays() -> None:
    rate = make_schedule(OptimConfig(schedule="constant", warmup_ratio=0.0), 10)
    assert {rate(step) for step in range(10)} == {1.0}


@pytest.mark.parametrize("name", ["cosine", "wsd", "constant"])
@pytest.mark.parametrize("total", [1, 2, 3])
def test_every_schedule_works_for_tiny_runs(name: Any, total: int) -> None:
    rate = make_schedule(OptimConfig(schedule=name, warmup_ratio=1.0), total)
    assert all(0 <= rate(step) <= 1 for step in range(total + 1))


def test_the_rate_reaches_all_groups(toy: Any) -> None:
    optimizer = build_optimizer(toy.Model(), OptimConfig())
    set_learning_rate(optimizer, 0.25)
    assert {group["lr"] for group in optimizer.param_groups} == {0.25}


def test_the_average_follows_the_weights_and_swaps_back_exactly() -> None:
    model = nn.Linear(2, 2)
    average = WeightAverage(model, 0.5)
    first = model.weight.detach().clone()
    with torch.no_grad():
        model.weight += 1.0
    average.update(model)
    now = model.weight.detach().clone()
    expected = first + 0.9 * (now - first)  # an early step forgets most: decay (1 + 0) / (10 + 0)
    torch.testing.assert_close(average.average["weight"], expected)
    with average.applied(model):
        torch.testing.assert_close(model.weight.detach(), expected)
    assert torch.equal(model.weight, now)
    assert average.steps == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"lr": 0.0},
        {"warmup_ratio": 1.5},
        {"beta2": 1.0},
        {"label_smoothing": 1.0},
        {"ema_decay": 1.0},
    ],
)
def test_wrong_settings_are_refused_by_name(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        replace(OptimConfig(), **wrong)


def test_each_tensors_gradient_can_be_clipped_by_itself() -> None:
    small, large = (torch.nn.Parameter(torch.zeros(2)) for _ in range(2))
    small.grad, large.grad = torch.tensor([0.03, 0.04]), torch.tensor([3.0, 4.0])
    config = OptimConfig(clip="tensor", max_grad_norm=0.1)
    norm = clip_gradients([small, large], config)
    assert float(norm) == pytest.approx((0.05**2 + 5**2) ** 0.5)
    torch.testing.assert_close(small.grad, torch.tensor([0.03, 0.04]))
    torch.testing.assert_close(large.grad, torch.tensor([0.06, 0.08]))
