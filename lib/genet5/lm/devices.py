"""A model where and how a configuration wants it."""

from __future__ import annotations

import torch

from genet5.config.lm.compute import LmComputeConfig
from genet5.errors import ConfigError
from genet5.lm.folders import LanguageModel, load_model


def load_for(name: str, compute: LmComputeConfig) -> LanguageModel:
    """Load a language model onto the device and in the precision of a configuration.

    Raises:
        ConfigError: CUDA is wanted, and there is none.
        CheckpointError: There is no such model.
    """
    return load_model(name, *placed(compute))


def placed(compute: LmComputeConfig) -> tuple[str, torch.dtype]:
    """Return device and precision of a configuration.

    Raises:
        ConfigError: CUDA is wanted, and there is none.
    """
    has_cuda = torch.cuda.is_available()
    if compute.device == "cuda" and not has_cuda:
        raise ConfigError("device", "cuda", "needs a GPU, and there is none; use cpu or auto")
    device = "cuda" if has_cuda and compute.device != "cpu" else "cpu"
    return device, torch.bfloat16 if compute.precision == "bf16" else torch.float32
