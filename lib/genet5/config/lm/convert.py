"""Configuration of `genet5 lm convert`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from genet5.config.checks import require


@dataclass(frozen=True, kw_only=True, slots=True)
class LmConvertConfig:
    """Which checkpoint becomes which folder."""

    checkpoint: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CHECKPOINT")]
    """Folder of one step, as Orbax wrote it (such as 20000, with the folder default in it)."""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """Folder of the model to write."""
    rope_theta: float
    """Base of the rotary embedding: the max_seq_len that the weights were trained with, which the
    checkpoint does not say."""
    max_tokens: int = 8192
    """Longest sequence in tokens."""
    is_overlapping: bool = False
    """With a vocabulary of 4098: k-mers begin at every base instead of every sixth one."""
    overwrite: bool = False
    """Replace the model in OUT."""

    def __post_init__(self) -> None:
        require(self.rope_theta > 1, "rope_theta", self.rope_theta, "must be above 1")
        require(self.max_tokens >= 2, "max_tokens", self.max_tokens, "must be at least 2")
