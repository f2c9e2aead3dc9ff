"""What the training loop reads of a configuration: `finet`'s and `lm pretrain`'s have it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from genet5.config.parts import PartsConfig
from genet5.config.train import (
    BatchConfig,
    CheckpointConfig,
    ComputeConfig,
    DurationConfig,
    LogConfig,
    OptimConfig,
    ValidationConfig,
)


class RunConfig(Protocol):
    """What the training loop reads of a run's configuration, whatever the family of models."""

    @property
    def train(self) -> Path:
        """Training file."""

    @property
    def val(self) -> Path:
        """Validation file."""

    @property
    def out(self) -> Path:
        """Run directory."""

    @property
    def base(self) -> Path:
        """Model to start from."""

    @property
    def seed(self) -> int:
        """Seed of all random choices."""

    @property
    def duration(self) -> DurationConfig:
        """When the run ends."""

    @property
    def batch(self) -> BatchConfig:
        """Micro-batches and steps."""

    @property
    def optim(self) -> OptimConfig:
        """Optimizer and schedule."""

    @property
    def parts(self) -> PartsConfig:
        """What is trained."""

    @property
    def checkpoints(self) -> CheckpointConfig:
        """Saving and resuming."""

    @property
    def validation(self) -> ValidationConfig:
        """Validation."""

    @property
    def compute(self) -> ComputeConfig:
        """Hardware."""

    @property
    def log(self) -> LogConfig:
        """Progress lines and metrics."""
