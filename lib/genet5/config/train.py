"""Configuration of `finet`: one frozen dataclass per concern.

Together they are the command's flags, the JSON of `--config` and a checkpoint's record. Each group
is used by the part of `train/` that bears its name; `TrainConfig` only puts them together. Times
are in minutes, sizes in tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from genet5.config.batches import BatchLimits
from genet5.config.checks import by_default, named_numbers, require
from genet5.config.evidence import EvidenceConfig
from genet5.config.model import AttentionName, KeepName
from genet5.config.parts import PartsConfig

FORMAT = 1
_NO_LIMIT = 1 << 62
OptimizerName = Literal["adamw", "adamw_8bit", "muon"]
ScheduleName = Literal["cosine", "wsd", "constant"]
ParallelName = Literal["ddp", "fsdp"]
"""What the processes of a run divide: the data alone, or the model as well."""


ONE_START_FIELDS = ("resume", "checkpoint", "overwrite", "dry_run")
"""Settings of one start of a run, not of the run."""

RARE_FIELDS = frozenset(
    {
        *("label_budget", "max_batch_size", "min_batch_size", "batch_size"),
        *("min_lr_ratio", "decay_ratio", "beta2", "max_grad_norm", "clip", "label_smoothing"),
        *("start_weight", "stuck_after"),
        *("optimizer", "ema_decay", "save_steps", "keep_last", "checkpoint"),
        *("eval_batches", "export", "checkpoint_every", "checkpoint_keep", "attention", "mxfp8"),
        *("empty_cache_steps", "deterministic", "log_every_pct", "log_every_steps", "memwatch"),
        *("evidence", "evidence_absent", "evidence_false", "evidence_shifted"),
        *(
            "mix",
            "mix_clades",
            "skip_windows",
            "freeze",
            "lr_scale",
            "layer_decay",
            "lora_rank",
            "profile",
        ),
    }
)
"""Fields that `finet --help` leaves out and `--help_all` lists."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchConfig(BatchLimits):
    """How packed rows are grouped into micro-batches, and micro-batches into optimizer steps."""

    mix: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="FILE=WEIGHT ..."), by_default("TRAIN alone")
    ] = ()
    """FILE=WEIGHT: further training files, and how often an epoch passes over each; 0.25 takes a
    quarter of its rows. TRAIN, which has weight 1, may be among them."""
    mix_clades: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="CLADE=WEIGHT ..."), by_default("1 each")
    ] = ()
    """CLADE=WEIGHT: how often an epoch passes over the rows of a clade in all training files, times
    the file's weight."""
    batch_size: Annotated[int | None, by_default("as the budgets allow")] = None
    """Packed rows in each micro-batch (the last ones may have fewer), instead of the budgets."""
    grad_accum: int = 1
    """Micro-batches per optimizer step and process; their loss is normalised together. The last
    step of an epoch takes what is left of it."""
    skip_windows: Annotated[Path | None, by_default("none")] = None
    """File that names windows to leave out of training: nonfinite.json, which a run leaves where a
    loss was not finite."""
    num_workers: int = 1
    """Processes that prepare batches ahead of time; 0 prepares them in the training loop. Results
    do not depend on it."""

    def __post_init__(self) -> None:
        BatchLimits.__post_init__(self)
        for name in ("batch_size", "grad_accum"):
            value = getattr(self, name)
            require(value is None or value >= 1, name, value, "must be at least 1")
        require(self.num_workers >= 0, "num_workers", self.num_workers, "must not be negative")
        weights = named_numbers(self.mix, "mix", "FILE=WEIGHT")
        for name, own in (("mix", weights), ("mix_clades", self.clade_weights)):
            require(min(own.values(), default=1) > 0, name, own, "must be above 0")

    def weights(self, train: Path) -> dict[Path, float]:
        """Return the training files, TRAIN first, and the passes over each in an epoch."""
        weights = {train: 1.0}
        for name, weight in named_numbers(self.mix, "mix", "FILE=WEIGHT").items():
            path = Path(name)
            weights[train if path.resolve() == train.resolve() else path] = weight
        return weights

    @property
    def clade_weights(self) -> dict[str, float]:
        """Clade -> factor of the passes over its rows."""
        return named_numbers(self.mix_clades, "mix_clades", "CLADE=WEIGHT")

    @property
    def limits(self) -> BatchLimits:
        """Size of a micro-batch: `batch_size` rows if that is given, else as the budgets allow."""
        if self.batch_size is None:
            return self
        rows = self.batch_size
        return BatchLimits(token_budget=_NO_LIMIT, max_batch_size=rows, min_batch_size=rows)


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimConfig:
    """Optimizer, its learning-rate schedule, and gradient clipping."""

    optimizer: OptimizerName = "adamw"
    """adamw, adamw_8bit (moments in 8 bits; requires torchao), or muon: matrices of layers step by
    orthogonalised momentum, all else by adamw, at the same learning rate."""
    lr: float = 1e-4
    """Peak learning rate."""
    schedule: ScheduleName = "cosine"
    """Learning rate after warm-up: cosine decays to lr * min_lr_ratio, wsd (warmup-stable-decay)
    stays at lr and decays over the last decay_ratio of the steps, constant stays at lr."""
    warmup_ratio: float = 0.03
    """Share of all steps over which the learning rate rises linearly from 0."""
    min_lr_ratio: float = 0.0
    """Final learning rate as a fraction of lr."""
    decay_ratio: float = 0.2
    """Share of all steps over which the wsd schedule decays."""
    weight_decay: float = 0.01
    """Decoupled weight decay of weight matrices; norms, biases and embeddings have none."""
    beta2: float = 0.98
    """AdamW's beta2; beta1 is 0.9."""
    max_grad_norm: float = 1.0
    """Gradients are clipped to this norm."""
    clip: Literal["global", "tensor"] = "global"
    """Clip the norm of the whole gradient, or that of each tensor by itself."""
    label_smoothing: float = 0.0
    """Probability mass that is spread over the legal classes of a label."""
    start_weight: float = 0.0
    """Weight of the choice among the start codons of one stop, by pointer and by boundary head,
    beside the other losses."""
    ema_decay: Annotated[float | None, by_default("no average")] = None
    """Decay of an exponential moving average of the weights, such as 0.999, which is then what is
    validated and exported."""

    def __post_init__(self) -> None:
        require(self.lr > 0, "lr", self.lr, "must be above 0")
        for name in ("warmup_ratio", "min_lr_ratio", "decay_ratio"):
            require(
                0 <= getattr(self, name) <= 1, name, getattr(self, name), "must be between 0 and 1"
            )
        require(self.weight_decay >= 0, "weight_decay", self.weight_decay, "must not be negative")
        require(0 < self.beta2 < 1, "beta2", self.beta2, "must be between 0 and 1")
        require(self.start_weight >= 0, "start_weight", self.start_weight, "must not be negative")
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
    """Passes over the training file, which a run never exceeds; they set the number of steps that
    the schedule spans."""
    max_steps: Annotated[int | None, by_default("as many as the epochs need")] = None
    """Optimizer steps, instead of --epochs."""
    max_minutes: Annotated[float | None, by_default("no limit")] = None
    """Stop cleanly after this many minutes of training, earlier parts of a resumed run included;
    the schedule still spans all steps."""
    early_stopping: Annotated[int | None, by_default("never")] = None
    """Stop after this many validations without a lower validation loss."""
    stuck_after: float | None = 60.0
    """Minutes without any progress after which a process ends itself, wherever it hangs, with its
    stacks in OUT and exit code 1, or none. A wait for data is ended earlier, and saves."""

    def __post_init__(self) -> None:
        require(self.epochs > 0, "epochs", self.epochs, "must be above 0")
        for name in ("max_steps", "early_stopping"):
            value = getattr(self, name)
            require(value is None or value >= 1, name, value, "must be at least 1")
        for name in ("max_minutes", "stuck_after"):
            value = getattr(self, name)
            require(value is None or value > 0, name, value, "must be above 0")


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointConfig:
    """When checkpoints are written, and where a run resumes."""

    save_steps: Annotated[int | None, by_default("by time only")] = None
    """Optimizer steps between checkpoints."""
    save_every: float | None = 15.0
    """Minutes between checkpoints, or none; one is written at the end of each epoch and of the run
    in any case."""
    keep_last: int = 2
    """Most recent checkpoints to keep, in addition to the one with the lowest validation loss."""
    resume: bool = False
    """Resume from the latest checkpoint in OUT; start from BASE if there is none."""
    checkpoint: Annotated[Path | None, by_default("start from BASE")] = None
    """Resume from this checkpoint directory."""
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
            "cannot be combined with resume, which takes the latest checkpoint",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationConfig:
    """How a model is validated during training."""

    eval_steps: Annotated[int | None, by_default("after each epoch")] = None
    """Optimizer steps between validations; each epoch and the run end with one in any case."""
    eval_batches: Annotated[int | None, by_default("the whole file")] = None
    """Most validation micro-batches per validation and process."""
    eval_windows: int = 16
    """Validation windows that are decoded to genes for their F1; 0 decodes none."""
    export: Literal["best", "last"] = "best"
    """Weights that become OUT/model.safetensors: those with the lowest validation loss, or the
    last."""

    def __post_init__(self) -> None:
        for name in ("eval_steps", "eval_batches"):
            value = getattr(self, name)
            require(value is None or value >= 1, name, value, "must be at least 1")
        require(self.eval_windows >= 0, "eval_windows", self.eval_windows, "must not be negative")


@dataclass(frozen=True, kw_only=True, slots=True)
class ComputeConfig:
    """Hardware, precision, parallelism and memory."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the model runs; auto is cuda if there is a GPU, else cpu."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """bf16 is autocast with fp32 weights, fp32 is plain; auto is bf16 where the device multiplies
    it fast, else fp32."""
    parallel: ParallelName = "ddp"
    """With several processes: ddp replicates the model on each GPU; fsdp shards it (FSDP2), for
    models that do not fit one GPU. The whole model must fit each GPU to decode validation
    genes; otherwise pass --eval_windows 0."""
    compile: bool = False
    """Compile each block of the model with torch.compile: slow first steps, faster afterwards."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, up to a third more time."""
    checkpoint_every: int = 1
    """With --gradient_checkpointing: recompute every N-th layer, and keep the activations of the
    others."""
    checkpoint_keep: KeepName = "nothing"
    """With --gradient_checkpointing, what a recomputed layer keeps: nothing but its input, or also
    the products of matrices and attention, so that only cheap operations are repeated."""
    attention: AttentionName = "auto"
    """Implementation of the encoder's windowed attention: flash (FlashAttention-2: CUDA, bf16,
    requires flash-attn), flex (FlexAttention: CUDA), sdpa (everywhere); auto is the first that
    runs."""
    mxfp8: bool = False
    """Multiply matrices in MXFP8 (NVIDIA Blackwell; requires torchao)."""
    empty_cache_steps: Annotated[int | None, by_default("never")] = None
    """Optimizer steps between releases of CUDA's cached memory."""
    deterministic: Annotated[bool | None, by_default("on the CPU only")] = None
    """Use deterministic algorithms, so that a resumed run equals an uninterrupted one bit for
    bit."""

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
    """Progress lines and metrics."""

    log_every_pct: Annotated[float | None, by_default("by steps only")] = None
    """Percent of the run between progress lines."""
    log_every_steps: Annotated[int | None, by_default("1 % of the run, at most 50")] = None
    """Optimizer steps between progress lines."""
    memwatch: bool = False
    """Write memory usage to OUT/memwatch.csv every few seconds."""
    profile: Annotated[int | None, by_default("off")] = None
    """Profile this many steps, after the first two: trace and table in OUT/profile."""
    tensorboard: bool = False
    """Write metrics for TensorBoard to OUT/tensorboard (requires tensorboard)."""
    wandb: Annotated[str | None, by_default("off")] = None
    """Send metrics to this Weights & Biases project (requires wandb)."""

    def __post_init__(self) -> None:
        require(
            self.log_every_pct is None or 0 < self.log_every_pct <= 100,
            "log_every_pct",
            self.log_every_pct,
            "must be above 0 and at most 100",
        )
        for name in ("log_every_steps", "profile"):
            value = getattr(self, name)
            require(value is None or value >= 1, name, value, "must be at least 1")

    def interval(self, total_steps: int) -> int:
        """Return the steps between progress lines; the shorter interval of the two fields wins."""
        wanted = [self.log_every_steps] if self.log_every_steps else []
        if self.log_every_pct:
            wanted.append(round(total_steps * self.log_every_pct / 100))
        return max(1, min(wanted or [total_steps // 100, 50]))


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """The whole configuration of a training run."""

    train: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="TRAIN")]
    """Training file from bake: training.packed, or an index of shards."""
    val: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="VAL")]
    """Validation file from bake: validation.packed, or an index of shards."""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """Run directory to write: the trained model, checkpoints and metrics."""
    base: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="BASE")]
    """Model to start from: a folder from init or of an earlier run, one of its checkpoints, or the
    name of a shipped model."""
    seed: int = 0
    """Seed of all random choices."""
    dry_run: bool = False
    """Print parameter count, batches and steps, and exit."""
    duration: DurationConfig = field(default_factory=DurationConfig)
    batch: BatchConfig = field(default_factory=BatchConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    parts: PartsConfig = field(default_factory=PartsConfig)
    evidence: EvidenceConfig = field(default_factory=EvidenceConfig)
    checkpoints: CheckpointConfig = field(default_factory=CheckpointConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    log: LogConfig = field(default_factory=LogConfig)
    format: Annotated[int, tyro.conf.Suppress] = FORMAT
    """Version of this record's format."""

    def __post_init__(self) -> None:
        require(
            not (self.optim.optimizer == "adamw_8bit" and self.compute.parallel == "fsdp"),
            "optimizer",
            "adamw_8bit",
            "cannot be combined with parallel = fsdp, which shards the moments already",
        )
        rule = "cannot be combined with evidence, whose channels are trained themselves"
        is_both = self.evidence.evidence and self.parts.lora_rank
        require(not is_both, "lora_rank", self.parts.lora_rank, rule)
        rule = "cannot be combined with mxfp8, which holds the matrices in another form"
        require(
            not (self.compute.mxfp8 and self.parts.lora_rank),
            "lora_rank",
            self.parts.lora_rank,
            rule,
        )
