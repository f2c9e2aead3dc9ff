"""Configuration of `genet5 lm bench`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from genet5.config.checks import require
from genet5.config.lm.finetune import RARE_FIELDS as FINETUNE_RARE_FIELDS
from genet5.config.lm.finetune import (
    ExamplesConfig,
    FinetuneComputeConfig,
    FinetuneOptimConfig,
    SearchConfig,
    TaskConfig,
)

RARE_FIELDS = FINETUNE_RARE_FIELDS | {"resamples"}


@dataclass(frozen=True, kw_only=True, slots=True)
class LmBenchConfig:
    """Which models are compared on which tasks."""

    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """Folder to write: bench.tsv and bench.json, and the runs of fine-tuning."""
    models: Annotated[tuple[str, ...], tyro.conf.arg(metavar="MODEL ...")]
    """Models: folders, or names on the hub; kmers:K is a baseline, counts of K-mers (frozen)."""
    data: Annotated[tuple[str, ...], tyro.conf.arg(metavar="DATA ...")]
    """Tasks: data sets as lm finetune reads them, with a test split."""
    protocol: Literal["frozen", "finetune"] = "frozen"
    """frozen fits a logistic regression to mean-pooled states of a model that is not trained;
    finetune runs lm finetune with the same settings for each model."""
    seeds: Annotated[tuple[int, ...], tyro.conf.arg(metavar="SEED ...")] = (13, 17, 42, 123, 997)
    """With frozen: seeds of the training sequences that --shots draws. Metrics are means over
    them."""
    shots: Annotated[tuple[int, ...], tyro.conf.arg(metavar="N ...")] = (0,)
    """With frozen: training sequences of each class; 0 = all."""
    max_iter: int = 1000
    """With frozen: most iterations of the logistic regression."""
    resamples: int = 1000
    """Resamples of the test sequences for the 95 % intervals."""
    seed: int = 42
    """Seed of the resamples and of fine-tuning."""
    examples: ExamplesConfig = field(default_factory=ExamplesConfig)
    task: TaskConfig = field(default_factory=TaskConfig)
    optim: FinetuneOptimConfig = field(default_factory=FinetuneOptimConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    compute: FinetuneComputeConfig = field(default_factory=FinetuneComputeConfig)
    batch_tokens: int = 16_384
    """With frozen: tokens of a batch, padding included."""
    overwrite: bool = False
    """Fine-tune again what was fine-tuned in OUT already, instead of taking its results."""

    def __post_init__(self) -> None:
        for name in ("models", "data", "seeds", "shots"):
            require(bool(getattr(self, name)), name, getattr(self, name), "must not be empty")
        require(min(self.shots) >= 0, "shots", self.shots, "must not be negative")
        for name in ("max_iter", "resamples", "batch_tokens"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "must be at least 1")
        kind = self.task.problem_type
        require(
            self.protocol != "frozen" or kind == "single_label_classification",
            "problem_type",
            kind,
            "needs --protocol finetune",
        )
        require(
            not self.search.all_folds,
            "all_folds",
            True,
            "has no effect on a comparison, whose intervals are of the test sequences",
        )
