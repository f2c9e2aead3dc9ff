"""The optimizer and its groups, learning-rate schedules, and a moving average of the weights.

Matrices decay; norms, biases, embeddings and single numbers do not. Parts of the model may learn at
another rate (`train.parts`). A schedule returns a factor of the highest learning rate, so a resumed
run needs no scheduler state beyond the step.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from genet5.config.parts import PartsConfig
from genet5.config.train import OptimConfig
from genet5.errors import ConfigError
from genet5.train.muon import MUON, Muon
from genet5.train.parts import learning_rates

if TYPE_CHECKING:
    from collections.abc import Iterator

Schedule = Callable[[float], float]

FACTOR = "lr_factor"
"""Key of a parameter group: its learning rate relative to that of the step."""
_LAYERS = ".layers."
"""In the names of parameters inside of layers."""


def decays(module: nn.Module, name: str, parameter: nn.Parameter) -> bool:
    """Whether weight decay pulls at `parameter`, which `module` holds under `name`."""
    if parameter.ndim < 2 or name.endswith("bias"):
        return False
    return not isinstance(module, nn.Embedding) and "norm" not in type(module).__name__.lower()


def parameter_groups(
    model: nn.Module, config: OptimConfig, parts: PartsConfig | None = None
) -> list[dict[str, Any]]:
    """Return the optimizer's groups: what decays, what Muon steps, at each factor of the rate.

    A tied parameter decays only if all its uses do. Muon steps what decays inside of layers.
    """
    does_decay: dict[int, bool] = {}
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            before = does_decay.get(id(parameter), True)
            does_decay[id(parameter)] = before and decays(module, name, parameter)
    factor = learning_rates(model, parts or PartsConfig())
    groups: dict[tuple[float, bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            does = does_decay[id(parameter)]
            is_muons = config.optimizer == "muon" and does and _LAYERS in name
            groups.setdefault((factor(name), does, is_muons), []).append(parameter)
    by_rate = sorted(groups.items(), key=lambda item: item[0], reverse=True)
    return [
        {"params": members, "weight_decay": config.weight_decay * does, FACTOR: share, MUON: muon}
        for (share, does, muon), members in by_rate
    ]


def build_optimizer(
    model: nn.Module, config: OptimConfig, parts: PartsConfig | None = None
) -> torch.optim.Optimizer:
    """Return AdamW (fused on CPU and CUDA), its 8-bit form, or Muon.

    Args:
        model: What requires a gradient is trained.
        config: Settings.
        parts: Parts that learn at a rate of their own.

    Raises:
        ConfigError: adamw_8bit without torchao.
    """
    groups = parameter_groups(model, config, parts)
    betas = (0.9, config.beta2)
    if config.optimizer == "adamw_8bit":
        return cast("torch.optim.Optimizer", adamw_8bit()(groups, lr=config.lr, betas=betas))
    devices = {parameter.device.type for group in groups for parameter in group["params"]}
    kind = Muon if config.optimizer == "muon" else torch.optim.AdamW
    return kind(groups, lr=config.lr, betas=betas, fused=devices <= {"cpu", "cuda"})


def moment_bytes(model: nn.Module, config: OptimConfig) -> int:
    """Return the bytes that the optimizer of `build_optimizer` holds between steps."""
    each = 2 if config.optimizer == "adamw_8bit" else 8
    return sum(
        parameter.numel() * (4 if group[MUON] else each)
        for group in parameter_groups(model, config)
        for parameter in group["params"]
    )


def adamw_8bit() -> Callable[..., Any]:
    """Return torchao's 8-bit AdamW.

    Raises:
        ConfigError: torchao is not installed.
    """
    try:
        return cast("Callable[..., Any]", importlib.import_module("torchao.optim").AdamW8bit)
    except ImportError as error:
        raise ConfigError(
            "optimizer", "adamw_8bit", 'needs torchao; install it with: pip install "genet5[gpu]"'
        ) from error


def make_schedule(config: OptimConfig, total_steps: int) -> Schedule:
    """Return step (0-based) -> factor of the highest learning rate.

    Args:
        config: Shape, warm-up, decay and lowest share.
        total_steps: Horizon; the factor of the last step is (nearly) `min_lr_ratio`.
    """
    warmup = round(config.warmup_ratio * total_steps)
    low = config.min_lr_ratio

    def cosine(step: float) -> float:
        done = (step - warmup) / max(1, total_steps - warmup)
        return low + (1 - low) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))

    def wsd(step: float) -> float:
        decay = max(1, min(total_steps - warmup, round(config.decay_ratio * total_steps)))
        left = min(1.0, (total_steps - step) / decay)
        return low + (1 - low) * max(0.0, left)

    shapes: dict[str, Schedule] = {"cosine": cosine, "wsd": wsd, "constant": lambda step: 1.0}
    shape = shapes[config.schedule]
    return lambda step: (step + 1) / (warmup + 1) if step < warmup else shape(step)


def clip_gradients(parameters: Iterable[nn.Parameter], config: OptimConfig) -> Tensor:
    """Limit the gradient as a whole or tensor by tensor; return its norm before."""
    with_gradient = [parameter for parameter in parameters if parameter.grad is not None]
    if config.clip == "global":
        return nn.utils.clip_grad_norm_(with_gradient, config.max_grad_norm)
    norms = [nn.utils.clip_grad_norm_([p], config.max_grad_norm) for p in with_gradient]
    norm: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    return norm


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of all groups, each by its factor."""
    for group in optimizer.param_groups:
        rate = lr * group[FACTOR]
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


class WeightAverage:
    """Exponential moving average of a model's parameters.

    Args:
        model: Its present parameters are the first average.
        decay: Weight of the old average; early steps use less, (1 + steps) / (10 + steps), to
            forget the start.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self.average = {
            name: parameter.detach().clone()
            for name, parameter in model.named_parameters()
            if parameter.requires_grad
        }

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average towards the model's parameters by one step."""
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        parameters = dict(model.named_parameters())
        now = [parameters[name].detach() for name in self.average]
        torch._foreach_lerp_(list(self.average.values()), now, 1 - decay)
        self.steps += 1

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Put the average into the model while the block runs."""
        self._swap(model)
        try:
            yield
        finally:
            self._swap(model)

    @torch.no_grad()
    def _swap(self, model: nn.Module) -> None:
        parameters = dict(model.named_parameters())
        for name, average in self.average.items():
            now = parameters[name].detach().clone()
            parameters[name].copy_(average)
            average.copy_(now)
