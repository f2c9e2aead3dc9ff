"""The rules of a training run's settings: each wrong value names its flag; what follows."""

from __future__ import annotations

from pathlib import Path

import pytest

from genet5.config.train import (
    BatchConfig,
    CheckpointConfig,
    ComputeConfig,
    DurationConfig,
    LogConfig,
    OptimConfig,
    TrainConfig,
    ValidationConfig,
)
from genet5.errors import ConfigError


@pytest.mark.parametrize(
    ("config", "field", "value"),
    [
        (BatchConfig, "batch_size", 0),
        (BatchConfig, "grad_accum", 0),
        (BatchConfig, "num_workers", -1),
        (DurationConfig, "epochs", 0.0),
        (DurationConfig, "max_steps", 0),
        (DurationConfig, "max_minutes", 0.0),
        (DurationConfig, "early_stopping", 0),
        (CheckpointConfig, "save_steps", 0),
        (CheckpointConfig, "save_every", -1.0),
        (CheckpointConfig, "keep_last", 0),
        (ValidationConfig, "eval_steps", 0),
        (ValidationConfig, "eval_batches", 0),
        (ValidationConfig, "eval_windows", -1),
        (OptimConfig, "ema_decay", 1.0),
        (ComputeConfig, "checkpoint_every", 0),
        (ComputeConfig, "empty_cache_steps", 0),
        (LogConfig, "log_every_pct", 101.0),
        (LogConfig, "log_every_steps", 0),
    ],
)
def test_a_value_outside_its_rule_is_named(config, field, value) -> None:
    with pytest.raises(ConfigError, match=f"{field} = {value}: must "):
        config(**{field: value})


def test_settings_of_recomputation_need_it() -> None:
    with pytest.raises(ConfigError, match="no effect without gradient_checkpointing"):
        ComputeConfig(checkpoint_every=2)
    assert ComputeConfig(checkpoint_every=2, gradient_checkpointing=True).checkpoint_every == 2


def test_a_run_resumes_from_one_checkpoint() -> None:
    with pytest.raises(ConfigError, match=r"checkpoint = .*cannot be combined with resume"):
        CheckpointConfig(resume=True, checkpoint=Path("run/checkpoints/step-00000004"))


def test_moments_in_8_bits_are_not_sharded() -> None:
    with pytest.raises(ConfigError, match="cannot be combined with parallel = fsdp"):
        TrainConfig(
            train=Path("a"),
            val=Path("b"),
            out=Path("c"),
            base=Path("d"),
            optim=OptimConfig(optimizer="adamw_8bit"),
            compute=ComputeConfig(parallel="fsdp"),
        )


def test_a_number_of_rows_replaces_the_budgets() -> None:
    assert BatchConfig().limits == BatchConfig()
    limits = BatchConfig(batch_size=3).limits
    assert limits.max_batch_size == limits.min_batch_size == 3


@pytest.mark.parametrize(
    ("config", "steps", "interval"),
    [
        (LogConfig(), 300, 3),
        (LogConfig(), 1_000_000, 50),
        (LogConfig(), 5, 1),
        (LogConfig(log_every_pct=10), 300, 30),
        (LogConfig(log_every_steps=7, log_every_pct=10), 300, 7),
        (LogConfig(log_every_steps=70, log_every_pct=10), 300, 30),
    ],
)
def test_the_shorter_interval_between_progress_lines_wins(config, steps, interval) -> None:
    assert config.interval(steps) == interval
