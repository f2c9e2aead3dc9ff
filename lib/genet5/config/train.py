"""Settings of `finet`: one frozen dataclass per concern, together the command's flags and a checkpoint's record.

Each group is used by the part of `train/` that bears its name; `TrainConfig` only puts them together. Times are in
minutes, sizes in tokens; None = off.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from genet5.config.checks import require
from genet5.config.model import AttentionName, KeepName

FORMAT = 1
ScheduleName = Literal["cosine", "wsd", "constant"]
ParallelName = Literal["ddp", "fsdp"]
"""What the ranks of a run share: the data alone, or the model, too (`train.parallel`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchConfig:
    """How rows become micro-batches and micro-batches become steps."""

    token_budget: int = 36_400
    """Padded sequence tokens in one micro-batch on one rank; lower it when out of memory."""
    label_budget: int | None = None
    """Padded labels in one micro-batch on one rank, which the decoder reads; None = no limit."""
    max_batch_size: int = 8
    """Most packed rows in one micro-batch."""
    min_batch_size: int = 1
    """Fewest packed rows in one micro-batch, even over the token budget."""
    batch_size: int | None = None
    """This many packed rows in each micro-batch (the last ones may have fewer), instead of budgets."""
    grad_accum: int = 1
    """Micro-batches per step on each rank; their loss is normalised together."""
    num_workers: int = 1
    """Processes that prepare batches ahead; 0 = prepare them in the loop. Results do not depend on it."""

    def __post_init__(self) -> None:
        for name in ("token_budget", "max_batch_size", "min_batch_size", "grad_accum"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "must be at least 1")
        require(
            self.min_batch_size <= self.max_batch_size,
            "min_batch_size",
            self.min_batch_size,
            f"must not exceed max_batch_size = {self.max_batch_size}",
        )
        for name in ("batch_size", "label_budget"):
            value = getattr(self, name)
            require(value is None or value >= 1, name, value, "must be at least 1")
        require(self.num_workers >= 0, "num_workers", self.num_workers, "must not be negative")


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimConfig:
    """AdamW, its learning rate and what happens to gradients."""

    lr: float = 1e-4
    """Highest learning rate."""
    schedule: ScheduleName = "cosine"
    """Shape of the learning rate after warm-up: cosine falls to lr * min_lr_ratio; wsd stays, then falls
    in the last decay_ratio of the steps; constant stays."""
    warmup_ratio: float = 0.03
    """Share of the steps in which the learning rate rises from 0."""
    min_lr_ratio: float = 0.0
    """Last learning rate as a share of lr."""
    decay_ratio: float = 0.2
    """Share of the steps in which wsd falls."""
    weight_decay: float = 0.01
    """Decoupled weight decay of matrices; norms, biases and embeddings have none."""
    beta2: float = 0.98
    """Memory of the squared gradient (the gradient's own is 0.9)."""
    max_grad_norm: float = 1.0
    """Gradients are scaled down to this norm."""
    label_smoothing: float = 0.0
    """Probability spread over the legal classes of a label."""
    ema_decay: float | None = None
    """Keep a moving average of the weights, such as 0.999; validation and the result use it."""
    optim_8bit: bool = False
    """Hold AdamW's moments in 8 bits (needs torchao)."""

    def __post_init__(self) -> None:
        require(self.lr > 0, "lr", self.lr, "must be above 0")
        for name in ("warmup_ratio", "min_lr_ratio", "decay_ratio"):
            require(
                0 <= getattr(self, name) <= 1, name, getattr(self, name), "must be between 0 and 1"
            )
        require(self.weight_decay >= 0, "weight_decay", self.weight_decay, "must not be negative")
        require(0 < self.beta2 < 1, "beta2", self.beta2, "must be between 0 and 1")
        require(self.max_grad_norm > 0, "max_grad_norm", self.max_grad_norm, "must be above 0")
        require(
            0 <= self.label_smoothing < 1,
            "label_smoothing",
            self.label_smoothing,
            "must be at least 0 and below 1",
        )
        require(
            self.ema_decay is None or 0 < self.ema_decay < 1,
            "ema_decay",
            self.ema_decay,
            "must be between 0 and 1",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class DurationConfig:
    """When a run ends."""

    epochs: float = 1.0
    """Passes over the training file; sets the number of steps, which the schedule follows."""
    max_steps: int | None = None
    """Number of steps, instead of epochs."""
    max_minutes: float | None = None
    """Stop cleanly after this much training time, resumed parts counted in; the schedule follows the steps."""
    early_stopping: int | None = None
    """Stop after this many evaluations without a better validation loss."""

    def __post_init__(self) -> None:
        require(self.epochs > 0, "epochs", self.epochs, "must be above 0")
        for name in ("max_steps", "early_stopping"):
            value = getattr(self, name)
            require(value is None or value >= 1, name, value, "must be at least 1")
        require(
            self.max_minutes is None or self.max_minutes > 0,
            "max_minutes",
            self.max_minutes,
            "must be above 0",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointConfig:
    """When the state of a run is saved, and where a run goes on from."""

    save_steps: int | None = None
    """Steps between checkpoints."""
    save_every: float | None = 15.0
    """Minutes between checkpoints; one is saved at each epoch's end and at the run's end, too."""
    keep_last: int = 2
    """Checkpoints to keep, besides the best one by validation loss."""
    resume: bool = False
    """Go on from the newest checkpoint in OUT, or start when there is none."""
    checkpoint: Path | None = None
    """Go on from this checkpoint directory."""
    overwrite: bool = False
    """Delete an earlier run in OUT."""

    def __post_init__(self) -> None:
        for name in ("save_steps", "save_every"):
            value = getattr(self, name)
            require(value is None or value > 0, name, value, "must be above 0")
        require(self.keep_last >= 1, "keep_last", self.keep_last, "must be at least 1")
        require(
            not (self.resume and self.checkpoint),
            "checkpoint",
            self.checkpoint,
            "cannot be combined with resume: the one names a checkpoint, the other looks for the newest",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationConfig:
    """How a model under training is judged."""

    eval_steps: int | None = None
    """Steps between evaluations; one follows each epoch and the last step, too."""
    eval_batches: int | None = None
    """Most validation micro-batches of one evaluation on one rank; None = the whole file."""
    eval_windows: int = 16
    """Validation windows that are decoded for the gene F1; 0 = none."""
    export: Literal["best", "last"] = "best"
    """Which weights become OUT/model.safetensors: those of the best validation loss, or the last."""

    def __post_init__(self) -> None:
        for name in ("eval_steps", "eval_batches"):
            value = getattr(self, name)
            require(value is None or value >= 1, name, value, "must be at least 1")
        require(self.eval_windows >= 0, "eval_windows", self.eval_windows, "must not be negative")


@dataclass(frozen=True, kw_only=True, slots=True)
class ComputeConfig:
    """Where and how exactly the numbers are computed."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device; auto = CUDA where there is one."""
    precision: Literal["bf16", "fp32"] = "bf16"
    """bf16 = autocast with fp32 weights; fp32 = plain."""
    parallel: ParallelName = "ddp"
    """With several processes: ddp = each holds the whole model; fsdp = each holds a share of it (FSDP2), for models
    that one GPU cannot hold; what is decoded for the gene F1 must fit whole on the first GPU, or --eval_windows 0."""
    compile: bool = False
    """Compile each block of the model (slow first steps, faster afterwards)."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, up to a third more time."""
    checkpoint_every: int = 1
    """With gradient_checkpointing: recompute every so many layers, and keep the activations of the others."""
    checkpoint_keep: KeepName = "nothing"
    """With gradient_checkpointing: what recomputed layers keep: nothing but their input, or products = results of
    matrix products and attention, too, so that only cheap operations are recomputed."""
    attention: AttentionName = "auto"
    """What computes the encoder's windowed attention: flash = FlashAttention-2 (CUDA, bf16, needs flash-attn), flex =
    FlexAttention (CUDA), sdpa = everywhere; auto = the first of them that runs."""
    mxfp8: bool = False
    """Multiply in MXFP8 (NVIDIA Blackwell only; needs torchao)."""
    empty_cache_steps: int | None = None
    """Steps between releases of CUDA's cached memory."""
    deterministic: bool | None = None
    """Repeatable sums; by default on the CPU only, where they make a resumed run equal to the bit."""

    def __post_init__(self) -> None:
        require(
            self.checkpoint_every >= 1,
            "checkpoint_every",
            self.checkpoint_every,
            "must be at least 1",
        )
        for name, default in (("checkpoint_every", 1), ("checkpoint_keep", "nothing")):
            value = getattr(self, name)
            is_used = self.gradient_checkpointing or value == default
            require(is_used, name, value, "has no effect without gradient_checkpointing")
        require(
            self.empty_cache_steps is None or self.empty_cache_steps >= 1,
            "empty_cache_steps",
            self.empty_cache_steps,
            "must be at least 1",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class LogConfig:
    """What a run tells."""

    log_every_pct: float | None = None
    """Percent of the run between progress lines."""
    log_every_steps: int | None = None
    """Steps between progress lines; by default 1 % of the run, at most 50 steps."""
    memwatch: bool = False
    """Write memory use to OUT/memwatch.csv every few seconds."""
    tensorboard: bool = False
    """Write metrics for TensorBoard below OUT/tensorboard (needs tensorboard)."""
    wandb: str | None = None
    """Send metrics to this Weights & Biases project (needs wandb)."""

    def __post_init__(self) -> None:
        require(
            self.log_every_pct is None or 0 < self.log_every_pct <= 100,
            "log_every_pct",
            self.log_every_pct,
            "must be above 0 and at most 100",
        )
        require(
            self.log_every_steps is None or self.log_every_steps >= 1,
            "log_every_steps",
            self.log_every_steps,
            "must be at least 1",
        )

    def interval(self, total_steps: int) -> int:
        """Return the steps between progress lines; the more frequent of the two flags wins."""
        wanted = [self.log_every_steps] if self.log_every_steps else []
        if self.log_every_pct:
            wanted.append(round(total_steps * self.log_every_pct / 100))
        return max(1, min(wanted or [total_steps // 100, 50]))


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """Everything `finet` can be told."""

    train: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="TRAIN")]
    """Training file (training.packed)."""
    val: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="VAL")]
    """Validation file (validation.packed)."""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """Directory of the run: the trained model, its checkpoints and metrics."""
    base: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="BASE")]
    """Model directory to start from (made by init, or trained before)."""
    seed: int = 0
    """Every random choice follows from it."""
    dry_run: bool = False
    """Print parameters, batches and steps, and stop."""
    duration: Annotated[DurationConfig, tyro.conf.arg(name="")] = field(
        default_factory=DurationConfig
    )
    batch: Annotated[BatchConfig, tyro.conf.arg(name="")] = field(default_factory=BatchConfig)
    optim: Annotated[OptimConfig, tyro.conf.arg(name="")] = field(default_factory=OptimConfig)
    checkpoints: Annotated[CheckpointConfig, tyro.conf.arg(name="")] = field(
        default_factory=CheckpointConfig
    )
    validation: Annotated[ValidationConfig, tyro.conf.arg(name="")] = field(
        default_factory=ValidationConfig
    )
    compute: Annotated[ComputeConfig, tyro.conf.arg(name="")] = field(default_factory=ComputeConfig)
    log: Annotated[LogConfig, tyro.conf.arg(name="")] = field(default_factory=LogConfig)
    format: Annotated[int, tyro.conf.Suppress] = FORMAT
    """Version of this record's format."""

    def __post_init__(self) -> None:
        require(
            not (self.optim.optim_8bit and self.compute.parallel == "fsdp"),
            "optim_8bit",
            True,
            "cannot be combined with parallel = fsdp, whose shares already divide the moments by the number of ranks",
        )
