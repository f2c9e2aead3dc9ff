"""Where and how precisely a language model runs; shared by the commands that apply one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from genet5.config.checks import require

StrandName = Literal["forward", "reverse", "both"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LmComputeConfig:
    """Hardware and batches."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the model runs; auto is cuda if there is a GPU, else cpu."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of the network's weights and states; logits are fp32 in any case."""
    batch_tokens: int = 16_384
    """Tokens of a batch, padding included; lower it when memory runs out."""

    def __post_init__(self) -> None:
        require(self.batch_tokens >= 1, "batch_tokens", self.batch_tokens, "must be at least 1")
