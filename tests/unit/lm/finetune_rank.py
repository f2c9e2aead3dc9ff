"""A rank of a fine-tuning run: `main BASE DATA OUT`."""

from __future__ import annotations

from pathlib import Path

from genet5.config.lm.finetune import (
    FinetuneComputeConfig,
    FinetuneOptimConfig,
    LmFinetuneConfig,
)
from genet5.lm.finetune import finetune


def main(base: str, data: str, out: str) -> None:
    """Train on two sequences a step on each rank."""
    finetune(
        LmFinetuneConfig(
            model=base,
            data=data,
            out=Path(out),
            optim=FinetuneOptimConfig(lr=3e-3, batch_size=2, epochs=2.0, max_steps=3),
            compute=FinetuneComputeConfig(device="cpu"),
        )
    )
