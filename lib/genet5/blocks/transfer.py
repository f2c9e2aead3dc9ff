"""Arrays on their way to a device."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor


def to_device(array: NDArray[Any], device: torch.device) -> Tensor:
    """Copy an array to a device without waiting for it."""
    return torch.from_numpy(array).to(device, non_blocking=True)
