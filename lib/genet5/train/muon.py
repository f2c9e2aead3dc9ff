"""Muon: the matrices of layers step by orthogonalised momentum, all else by AdamW.

Source: K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024); the
scale by which one learning rate and weight decay serve both is of J. Liu et al., "Muon is scalable
for LLM training" (2025). PyTorch's own class orthogonalises in bf16 alone, which CPUs without such
products emulate, takes no experts (three axes), and needs a second optimizer for the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

MUON = "muon"
"""Key of a parameter group: whether its members, of two or three axes, step by Muon."""

_MOMENTUM = 0.95
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_RMS = 0.2
"""Root mean square of an update of AdamW, to which Muon's are scaled."""


class Muon(torch.optim.AdamW):
    """AdamW whose groups with `MUON` step by Muon.

    Members of such a group are matrices [rows, columns], or stacks of them [E, rows, columns];
    sharded ones (DTensor) are gathered one group of equal shapes at a time.

    Example:
        Muon([{"params": matrices, MUON: True}, {"params": rest, MUON: False}], lr=1e-3)
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Change the parameters; gradients of orthogonal groups are dropped on the way."""
        for group in self.param_groups:
            if group[MUON]:
                self._step_group(group)
        return super().step(closure)

    def _step_group(self, group: dict[str, Any]) -> None:
        by_shape: dict[torch.Size, list[nn.Parameter]] = {}
        for parameter in group["params"]:
            if parameter.grad is not None:
                by_shape.setdefault(parameter.shape, []).append(parameter)
        for shape, members in by_shape.items():
            updates = orthogonalise(torch.stack([self._direction(member) for member in members]))
            rate = group["lr"] * _RMS * max(shape[-2:]) ** 0.5
            for member, update in zip(members, updates, strict=True):
                member.mul_(1 - group["lr"] * group["weight_decay"])
                member.sub_(_shard_like(update, member) * rate)
                member.grad = None

    def _direction(self, parameter: nn.Parameter) -> Tensor:
        """Move the momentum; return the whole parameter's Nesterov direction."""
        gradient = parameter.grad
        assert gradient is not None
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(gradient, 1 - _MOMENTUM)
        direction = gradient.lerp(state["momentum"], _MOMENTUM)
        return direction.full_tensor() if isinstance(direction, DTensor) else direction


def orthogonalise(matrices: Tensor) -> Tensor:
    """Return nearly the closest matrices of orthonormal rows (or columns), [..., rows, columns].

    Five quintic Newton-Schulz iterations bring the singular values to between about 0.7 and 1.2;
    in bf16 on CUDA, in fp32 elsewhere. Zeros stay zeros.
    """
    a, b, c = _COEFFICIENTS
    x = matrices.bfloat16() if matrices.is_cuda else matrices.float()
    is_tall = x.shape[-2] > x.shape[-1]
    x = x.mT if is_tall else x
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp(min=1e-7)
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: Tensor = (x.mT if is_tall else x).to(matrices.dtype)
    return result


def _shard_like(update: Tensor, parameter: nn.Parameter) -> Tensor:
    if not isinstance(parameter, DTensor):
        return update
    mesh, places = parameter.device_mesh, parameter.placements
    return distribute_tensor(update, mesh, places, src_data_rank=None)
