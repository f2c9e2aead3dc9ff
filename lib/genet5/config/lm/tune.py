"""Configuration of `genet5 lm tune`: sequences and their prompt tokens, and a run of pretrain."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from genet5.config.checks import by_default, require
from genet5.config.lm.finetune import ExamplesConfig
from genet5.config.lm.pretrain import RARE_FIELDS as PRETRAIN_RARE_FIELDS
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

RARE_FIELDS = PRETRAIN_RARE_FIELDS | {
    "sequence_column", "subset_name", "feature_types", "random_phase", "repeat_weight", "quantiles",
}  # fmt: skip
PREPARED = "prepared"


@dataclass(frozen=True, kw_only=True, slots=True)
class FamilyConfig:
    """How a family's sequences become training windows."""

    prompt: Literal["none", "label", "value"] = "none"
    """Put a token after the beginning that says what a sequence is: none; its label, as <LABEL>; or
    <low> and <high> by quantiles of its label's value. New tokens are added to the model."""
    quantiles: tuple[float, float] = (0.25, 0.75)
    """With --prompt value: at most the first quantile of the training values is <low>, at least the
    second <high>; sequences between them have no token."""
    valid_share: float = 0.1
    """Without validation data: share of the sequences that is held out, at random."""
    length: Literal["error", "pad_left", "pad_right", "trim_left", "trim_right"] = "pad_right"
    """A length that is no multiple of k: refuse it, fill it up with A, or cut it."""
    truncate: bool = False
    """Cut sequences that are longer than the model takes, instead of refusing them."""

    def __post_init__(self) -> None:
        low, high = self.quantiles
        require(0 <= low < high <= 1, "quantiles", self.quantiles, "must ascend within 0..1")
        share = self.valid_share
        require(0 < share < 1, "valid_share", share, "must be between 0 and 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class LmTuneConfig:
    """The whole configuration of a causal fine-tuning run."""

    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """Folder of a language model, or its name on the hub."""
    data: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
    """Whole sequences: FASTA, a table (.csv, .tsv, .parquet), regions of a genome (BED, GFF3, GTF),
    or a data set's folder or name on the hub."""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """Run directory to write: the trained model, checkpoints and metrics."""
    valid: Annotated[Path | None, by_default("in DATA, else a share of it")] = None
    """File of validation sequences, in a form that DATA may have."""
    seed: int = 0
    """Seed of all random choices."""
    examples: ExamplesConfig = field(default_factory=ExamplesConfig)
    family: FamilyConfig = field(default_factory=FamilyConfig)
    causal: CausalLossConfig = field(default_factory=lambda: CausalLossConfig(random_phase=False))
    duration: DurationConfig = field(default_factory=lambda: DurationConfig(epochs=3.0))
    batch: BatchConfig = field(default_factory=BatchConfig)
    optim: OptimConfig = field(
        default_factory=lambda: OptimConfig(lr=5e-5, min_lr_ratio=0.1, beta2=0.999)
    )
    checkpoints: CheckpointConfig = field(default_factory=CheckpointConfig)
    validation: ValidationConfig = field(default_factory=lambda: ValidationConfig(eval_windows=0))
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    log: LogConfig = field(default_factory=LogConfig)

    def __post_init__(self) -> None:
        phase = self.causal.random_phase
        require(not phase, "random_phase", phase, "would break the frame of whole sequences")
        self.pretraining()  # its rules hold

    def pretraining(self) -> LmPretrainConfig:
        """Return the run that trains on what is prepared in OUT."""
        folder = self.out / PREPARED
        return LmPretrainConfig(
            train=folder / "training.packed",
            val=folder / "validation.packed",
            base=folder,
            out=self.out,
            seed=self.seed,
            causal=self.causal,
            duration=self.duration,
            batch=self.batch,
            optim=self.optim,
            checkpoints=self.checkpoints,
            validation=self.validation,
            compute=self.compute,
            log=self.log,
        )
