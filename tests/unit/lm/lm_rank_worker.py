"""Pretrains a tiny language model by Muon as one rank of several: argv is folder, parallelisms."""

from __future__ import annotations

import os
from pathlib import Path

from genet5.config.lm.pretrain import CausalLossConfig, LmPretrainConfig
from genet5.config.train import (
    BatchConfig,
    CheckpointConfig,
    ComputeConfig,
    DurationConfig,
    LogConfig,
    OptimConfig,
    ValidationConfig,
)
from genet5.lm.pretrain import pretrain


def main(folder: str, *modes: str) -> None:
    """Train FOLDER/base on FOLDER's files, four micro-batches a step whatever the ranks."""
    toy, world = Path(folder), int(os.environ["WORLD_SIZE"])
    for mode in modes:
        pretrain(
            LmPretrainConfig(
                train=toy / "training.packed",
                val=toy / "validation.packed",
                out=toy / f"{mode}_{world}",
                base=toy / "base",
                causal=CausalLossConfig(repeat_weight=0.5),
                duration=DurationConfig(max_steps=4),
                batch=BatchConfig(batch_size=1, num_workers=0, grad_accum=4 // world),
                optim=OptimConfig(optimizer="muon", lr=0.01),
                checkpoints=CheckpointConfig(save_every=None),
                validation=ValidationConfig(eval_windows=0, export="last"),
                compute=ComputeConfig(device="cpu", precision="fp32", parallel=mode),
                log=LogConfig(log_every_steps=1),
            )
        )
