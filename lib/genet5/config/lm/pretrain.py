"""Configuration of `genet5 lm pretrain`: the groups of `finet`, and a causal loss."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from genet5.config.checks import require
from genet5.config.parts import PartsConfig
from genet5.config.train import (
    RARE_FIELDS as GENE_RARE_FIELDS,
)
from genet5.config.train import (
    BatchConfig,
    CheckpointConfig,
    ComputeConfig,
    DurationConfig,
    LogConfig,
    OptimConfig,
    ValidationConfig,
)

RARE_FIELDS = GENE_RARE_FIELDS | {"eval_windows"}
_OF_GENES: dict[str, object] = {
    "label_budget": None,
    "label_smoothing": 0.0,
    "start_weight": 0.0,
    "eval_windows": 0,
    "mxfp8": False,
    "checkpoint_every": 1,
    "checkpoint_keep": "nothing",
}
"""Fields that only gene models heed, and what they must be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CausalLossConfig:
    """What a language model minimises."""

    loss: Literal["token", "base", "mixed"] = "token"
    """token is the cross-entropy of tokens; base that of the single bases of a k-mer, by marginals
    over all k-mers (FNS); mixed is the mean of both, in nats per base."""
    repeat_weight: float = 1.0
    """Weight of soft-masked targets (more than half of their bases in lower case), 0 to 1; the loss
    is divided by the sum of weights."""
    random_phase: bool = True
    """Begin each window of a k-mer model at a random one of its first k bases, another one in each
    epoch; validation always begins at the first."""

    def __post_init__(self) -> None:
        require(
            0 <= self.repeat_weight <= 1,
            "repeat_weight",
            self.repeat_weight,
            "must be between 0 and 1",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class LmPretrainConfig:
    """The whole configuration of a training run of a language model."""

    train: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="TRAIN")]
    """Training file from lm bake."""
    val: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="VAL")]
    """Validation file from lm bake."""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """Run directory to write: the trained model, checkpoints and metrics."""
    base: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="BASE")]
    """Model to start from: a folder (from lm init, of an earlier run, or one of its checkpoints),
    or a name on the hub."""
    seed: int = 0
    """Seed of all random choices."""
    causal: CausalLossConfig = field(default_factory=CausalLossConfig)
    duration: DurationConfig = field(default_factory=DurationConfig)
    batch: BatchConfig = field(default_factory=BatchConfig)
    optim: OptimConfig = field(
        default_factory=lambda: OptimConfig(lr=3e-4, min_lr_ratio=0.1, weight_decay=0.1, beta2=0.95)
    )
    parts: PartsConfig = field(default_factory=PartsConfig)
    checkpoints: CheckpointConfig = field(default_factory=CheckpointConfig)
    validation: ValidationConfig = field(default_factory=lambda: ValidationConfig(eval_windows=0))
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    log: LogConfig = field(default_factory=LogConfig)

    def __post_init__(self) -> None:
        for group in (self.batch, self.optim, self.validation, self.compute):
            for name, value in _OF_GENES.items():
                found = getattr(group, name, value)
                require(found == value, name, found, "has no effect on language models")
