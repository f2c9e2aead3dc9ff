"""Muon beside PyTorch's own, AdamW, and a run that was resumed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from genet5.config.train import OptimConfig
from genet5.train.muon import MUON, Muon, orthogonalise
from genet5.train.optim import build_optimizer, moment_bytes, set_learning_rate
from genet5.train.state.run_state import Progress, RunState, materialise, state_tensors


class Layered(nn.Module):
    """A layer with a matrix, a stack of two (experts) and a norm; a head outside of it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        layer = nn.Module()
        layer.linear, layer.norm = nn.Linear(6, 4), nn.LayerNorm(4)
        layer.experts = nn.Parameter(torch.randn(2, 4, 6))
        self.layers = nn.ModuleList([layer])
        self.head = nn.Linear(4, 3, bias=False)


class Nested(nn.Module):
    """Holds `Layered` as models hold their encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Layered()


def step(model: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    optimizer.step()


def test_singular_values_come_near_one_for_wide_tall_and_stacked_matrices() -> None:
    for shape in ((6, 9), (9, 6), (3, 5, 8)):
        values = torch.linalg.svdvals(orthogonalise(torch.randn(shape)))
        assert float(values.min()) > 0.5
        assert float(values.max()) < 1.3
    assert not orthogonalise(torch.zeros(3, 4)).any()


def test_only_what_decays_inside_of_layers_steps_by_muon() -> None:
    model = Nested()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    optimizer = build_optimizer(model, OptimConfig(optimizer="muon"))
    members = [names[id(p)] for g in optimizer.param_groups if g[MUON] for p in g["params"]]
    assert members == ["encoder.layers.0.experts", "encoder.layers.0.linear.weight"]
    plain = build_optimizer(model, OptimConfig())
    assert not any(group[MUON] for group in plain.param_groups)


def test_matrices_step_as_pytorchs_muon_does() -> None:
    """PyTorch orthogonalises in bf16: the updates agree to its rounding."""
    weights: list[Tensor] = []
    for kind in ("ours", "theirs"):
        torch.manual_seed(3)
        layer = nn.Linear(6, 4)
        if kind == "ours":
            groups = [{"params": [layer.weight], MUON: True}]
            optimizer: Any = Muon(groups, lr=0.1, weight_decay=0.3)
        else:
            optimizer = torch.optim.Muon(
                [layer.weight], lr=0.1, weight_decay=0.3, adjust_lr_fn="match_rms_adamw"
            )
        for number in range(3):
            step(layer, optimizer, number)
        weights.append(layer.weight.detach())
    torch.testing.assert_close(*weights, rtol=0, atol=2e-3)


def test_each_expert_steps_as_a_matrix_of_its_own() -> None:
    stack = nn.Parameter(torch.randn(2, 4, 6))
    each = [nn.Parameter(matrix.detach().clone()) for matrix in stack]
    gradients = torch.randn(2, 4, 6)
    for parameters, grads in (([stack], [gradients]), (each, list(gradients))):
        for parameter, gradient in zip(parameters, grads, strict=True):
            parameter.grad = gradient.clone()
        Muon([{"params": parameters, MUON: True}], lr=0.1).step()
    torch.testing.assert_close(stack.detach(), torch.stack([p.detach() for p in each]))


def test_all_else_steps_as_adamw_does() -> None:
    models = [Nested(), Nested()]
    for model, config in zip(models, (OptimConfig(optimizer="muon"), OptimConfig()), strict=True):
        optimizer = build_optimizer(model, config)
        for number in range(2):
            step(model, optimizer, number)
    ours, theirs = ({n: p.detach() for n, p in m.named_parameters()} for m in models)
    for name in ours:
        is_equal = torch.equal(ours[name], theirs[name])
        assert is_equal == (
            name not in ("encoder.layers.0.experts", "encoder.layers.0.linear.weight")
        )


@pytest.mark.parametrize("name", ["muon", "adamw"])
def test_a_checkpoint_holds_the_moments_and_they_come_back(name: Any) -> None:
    config = OptimConfig(optimizer=name, lr=0.1)
    model, again = Nested(), Nested()
    optimizers = [build_optimizer(m, config) for m in (model, again)]
    states: list[Any] = [
        RunState(model=m, optimizer=o, source=None, progress=Progress())  # type: ignore[arg-type]
        for m, o in zip((model, again), optimizers, strict=True)
    ]
    step(model, optimizers[0], 1)
    saved = state_tensors(states[0])
    materialise(states[1], set(saved))
    for key, tensor in state_tensors(states[1]).items():
        tensor.copy_(saved[key])
    for m, optimizer in zip((model, again), optimizers, strict=True):
        set_learning_rate(optimizer, 0.1)
        step(m, optimizer, 2)
    for one, other in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_moments_are_counted() -> None:
    model = Nested()
    total, matrices = sum(p.numel() for p in model.parameters()), 24 + 48
    assert moment_bytes(model, OptimConfig()) == 8 * total
    assert moment_bytes(model, OptimConfig(optimizer="muon")) == 8 * total - 4 * matrices
    step(model, optimizer := build_optimizer(model, OptimConfig(optimizer="muon")), 1)
    held = [t for state in optimizer.state.values() for key, t in state.items() if key != "step"]
    assert sum(t.nbytes for t in held) == 8 * total - 4 * matrices
