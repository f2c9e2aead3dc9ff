"""Configuration of `genet5 lm finetune` and `genet5 lm predict`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from genet5.config.checks import by_default, require
from genet5.config.lm.compute import LmComputeConfig, StrandName

ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]
MetricName = Literal[
    "accuracy", "f1_score", "f1_macro", "mcc", "auroc", "f1_max", "auprc_micro", "mse", "mae", "r2",
    "pearson", "spearman",
]  # fmt: skip
METRICS: dict[ProblemType, tuple[MetricName, ...]] = {
    "single_label_classification": ("mcc", "accuracy", "f1_score", "f1_macro", "auroc"),
    "multi_label_classification": ("f1_max", "auprc_micro"),
    "regression": ("mse", "mae", "r2", "pearson", "spearman"),
}
"""Metrics of each kind of task; the first is its main one by default."""
LOWER_IS_BETTER: frozenset[MetricName] = frozenset({"mse", "mae"})
LongName = Literal["none", "yarn", "chunks", "sliding_window"]

RARE_FIELDS = frozenset(
    {
        *("sequence_column", "subset_name", "feature_types", "padding_side", "length"),
        *("ambiguous", "chunk_tokens", "adam_beta2", "min_lr_ratio", "plateau_patience"),
        *("plateau_factor", "max_grad_norm", "num_workers", "trainer_config", "keep_last"),
        *("fsdp_config", "deepspeed_config", "lora_targets", "lora_dropout", "lora_alpha"),
        *("log_every_steps", "eval_batch_size"),
    }
)
"""Fields that `lm finetune --help` leaves out and `--help_all` lists."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExamplesConfig:
    """What is read of a data set, whatever its form."""

    genome: Annotated[Path | None, by_default("none")] = None
    """Genome that the regions of a BED, GFF3 or GTF file are taken from, on their strand."""
    label_column: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="NAME ..."), by_default("label")
    ] = ()
    """Column of labels, or several for several targets. In FASTA it is a key=value of the header;
    in BED name (the default) or score; in GFF3 and GTF type (the default) or an attribute."""
    labels: Annotated[Path | None, by_default("in the data")] = None
    """Table with the column name, and the labels' column, for sequences of FASTA or regions."""
    sequence_column: Annotated[
        str | None, by_default("sequence, seq, dna_sequence, dna_seq or text")
    ] = None
    """Column of sequences."""
    train_split: str = "train"
    """Split of a hub's data set that is trained on."""
    subset_name: Annotated[str | None, by_default("the default one")] = None
    """Configuration of a data set that has several."""
    feature_types: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="TYPE ..."), by_default("all")
    ] = ()
    """Types of the features of GFF3 or GTF that are taken."""

    @property
    def label_columns(self) -> tuple[str, ...]:
        """Columns of labels."""
        return self.label_column or ("label",)


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskConfig:
    """What is predicted, from which tokens, and what counts as better."""

    problem_type: ProblemType = "single_label_classification"
    """One class of several; any number of classes (labels: numbers 0 or 1, or names divided by
    semicolons); or numbers."""
    main_metric: Annotated[
        MetricName | None, by_default("mcc, f1_max or mse by the problem type")
    ] = None
    """Metric on the validation data that chooses the best model, ends training early, lowers the
    learning rate on a plateau, and chooses from a grid."""
    max_tokens: Annotated[int | None, by_default("as many as the model takes")] = None
    """Longest sequence in tokens, those of beginning and separator included; longer ones are cut
    and counted."""
    padding_side: Literal["right", "left"] = "right"
    """Side on which sequences are padded and cut."""
    long_inputs: LongName = "none"
    """How more tokens than the model was trained with are read: yarn scales its rotary embedding;
    chunks reads each chunk alone and joins their last states in one layer; sliding_window lets each
    token see as many before it as the model was trained with."""
    chunk_tokens: int = 8192
    """Tokens of a chunk."""
    length: Literal["error", "pad_left", "pad_right", "trim_left", "trim_right"] = "trim_right"
    """A length that is no multiple of k: refuse it, fill it up with A, or cut it."""
    ambiguous: Literal["error", "unknown"] = "unknown"
    """Letters other than A, C, G, T: refuse them, or read their tokens as unknown ones."""

    def __post_init__(self) -> None:
        allowed = METRICS[self.problem_type]
        require(
            self.main_metric is None or self.main_metric in allowed,
            "main_metric",
            self.main_metric,
            f"must be one of {', '.join(allowed)} for {self.problem_type}",
        )
        for name, least in (("max_tokens", 3), ("chunk_tokens", 3)):
            value = getattr(self, name)
            require(value is None or value >= least, name, value, f"must be at least {least}")
        require(
            self.long_inputs == "none" or self.max_tokens is not None,
            "long_inputs",
            self.long_inputs,
            "needs --max_tokens, above what the model was trained with",
        )
        require(
            self.long_inputs != "chunks" or self.padding_side == "right",
            "padding_side",
            self.padding_side,
            "must be right with long_inputs = chunks",
        )

    @property
    def metric(self) -> MetricName:
        """The main metric."""
        return self.main_metric or METRICS[self.problem_type][0]

    @property
    def greater_is_better(self) -> bool:
        """Its direction."""
        return self.metric not in LOWER_IS_BETTER


@dataclass(frozen=True, kw_only=True, slots=True)
class LoraConfig:
    """Training of low-rank changes instead of all weights (peft); the head is trained whole."""

    lora_rank: Annotated[int | None, by_default("train all weights")] = None
    """Rank of the changes."""
    lora_alpha: Annotated[int | None, by_default("twice the rank")] = None
    """The changes are multiplied by lora_alpha / lora_rank."""
    lora_dropout: float = 0.0
    """Dropout before them."""
    lora_targets: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="NAME ..."), by_default("all matrices of the layers")
    ] = ()
    """Names of the matrices that are changed, such as q_proj v_proj."""

    def __post_init__(self) -> None:
        for name in ("lora_rank", "lora_alpha"):
            value = getattr(self, name)
            require(value is None or value >= 1, name, value, "must be at least 1")
        require(
            0 <= self.lora_dropout < 1,
            "lora_dropout",
            self.lora_dropout,
            "must be at least 0 and below 1",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class FinetuneOptimConfig:
    """Batches, AdamW and the learning rate."""

    lr: float = 1e-5
    """Peak learning rate."""
    batch_size: int = 16
    """Sequences of a batch on each device."""
    eval_batch_size: Annotated[int | None, by_default("batch_size")] = None
    """Sequences of a batch on each device when validating."""
    grad_accum: int = 1
    """Batches per optimizer step and device; their loss is normalised together."""
    epochs: float = 10.0
    """Passes over the training data."""
    max_steps: Annotated[int | None, by_default("as many as the epochs need")] = None
    """Optimizer steps, instead of --epochs."""
    eval_steps: Annotated[int | None, by_default("after each epoch")] = None
    """Optimizer steps between validations, each of which writes a checkpoint."""
    early_stopping: int | None = 5
    """Stop after this many validations without a better main metric, or none."""
    schedule: Literal["plateau", "cosine", "linear", "constant"] = "plateau"
    """Learning rate after warm-up: plateau lowers it when the main metric does not get better;
    cosine decays to lr * min_lr_ratio, linear to 0."""
    plateau_patience: int = 1
    """With plateau: validations without a better main metric that are waited for."""
    plateau_factor: float = 0.5
    """With plateau: what the learning rate is multiplied by."""
    warmup_steps: int = 0
    """Steps over which the learning rate rises linearly from 0; plateau has none."""
    min_lr_ratio: float = 0.0
    """With cosine: final learning rate as a fraction of lr."""
    weight_decay: float = 0.1
    """Decoupled weight decay of weight matrices."""
    adam_beta2: float = 0.95
    """AdamW's beta2; beta1 is 0.9."""
    max_grad_norm: float = 1.0
    """Gradients are clipped to this norm."""

    def __post_init__(self) -> None:
        require(self.lr > 0, "lr", self.lr, "must be above 0")
        require(self.epochs > 0, "epochs", self.epochs, "must be above 0")
        for name in (
            *("batch_size", "eval_batch_size", "grad_accum", "max_steps", "eval_steps"),
            *("early_stopping", "plateau_patience"),
        ):
            value = getattr(self, name)
            require(value is None or value >= 1, name, value, "must be at least 1")
        for name in ("plateau_factor", "adam_beta2"):
            value = getattr(self, name)
            require(0 < value < 1, name, value, "must be between 0 and 1")
        require(0 <= self.min_lr_ratio <= 1, "min_lr_ratio", self.min_lr_ratio, "must be in 0..1")
        require(
            self.warmup_steps == 0 or (self.schedule != "plateau" and self.warmup_steps > 0),
            "warmup_steps",
            self.warmup_steps,
            "needs another schedule than plateau",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchConfig:
    """Folds of the training data, and a grid of learning rates and batch sizes."""

    num_folds: int = 10
    """Without validation data, the training data are divided into this many folds at random."""
    fold_id: int = 0
    """The fold that is validated on."""
    all_folds: bool = False
    """Train a model for each fold; metrics are given with their mean and deviation."""
    grid: bool = False
    """Try all pairs of --grid_lr and --grid_batch on the validation data; the best one is kept and
    is the only one that sees the test data."""
    grid_lr: Annotated[tuple[float, ...], tyro.conf.arg(metavar="LR ...")] = (
        1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3,
    )  # fmt: skip
    """Learning rates of the grid."""
    grid_batch: Annotated[tuple[int, ...], tyro.conf.arg(metavar="SIZE ...")] = (64, 128, 256, 512)
    """Sequences per optimizer step of the grid, over all devices and --grad_accum batches."""

    def __post_init__(self) -> None:
        require(self.num_folds >= 2, "num_folds", self.num_folds, "must be at least 2")
        require(
            0 <= self.fold_id < self.num_folds,
            "fold_id",
            self.fold_id,
            f"must be in 0..{self.num_folds - 1}",
        )
        require(
            bool(self.grid_lr) and min(self.grid_lr) > 0, "grid_lr", self.grid_lr, "must be above 0"
        )
        require(
            bool(self.grid_batch) and min(self.grid_batch) >= 1,
            "grid_batch",
            self.grid_batch,
            "must be at least 1",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class FinetuneComputeConfig:
    """Hardware, precision, parallelism and memory."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the model runs; auto is cuda if there is a GPU, else cpu."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """bf16 is autocast with fp32 weights; auto is bf16 on GPUs of compute capability 8 or more,
    else fp32."""
    parallel: Literal["ddp", "fsdp", "deepspeed"] = "ddp"
    """With several processes (torchrun, accelerate launch): replicate the model, shard it (FSDP2),
    or run under DeepSpeed (requires deepspeed)."""
    fsdp_config: Annotated[Path | None, by_default("each layer is sharded")] = None
    """JSON file of settings of FSDP, as transformers' Trainer takes them."""
    deepspeed_config: Annotated[Path | None, by_default("none")] = None
    """JSON file of settings of DeepSpeed."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, up to a third more time."""
    num_workers: int = 0
    """Processes that prepare batches ahead of time."""
    trainer_config: Annotated[Path | None, by_default("none")] = None
    """YAML or JSON file of further settings of transformers' TrainingArguments, other than those
    that have a flag here."""

    def __post_init__(self) -> None:
        require(self.num_workers >= 0, "num_workers", self.num_workers, "must not be negative")
        for name, kind in (("fsdp_config", "fsdp"), ("deepspeed_config", "deepspeed")):
            value = getattr(self, name)
            require(
                value is None or self.parallel == kind,
                name,
                value and str(value),
                f"has no effect without --parallel {kind}",
            )
        require(
            self.parallel != "deepspeed" or self.deepspeed_config is not None,
            "parallel",
            "deepspeed",
            "needs --deepspeed_config",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class FinetuneRunConfig:
    """Checkpoints and logs."""

    resume: bool = False
    """Resume from the latest checkpoint in OUT; start anew if there is none."""
    overwrite: bool = False
    """Delete an earlier run in OUT."""
    keep_last: int = 3
    """Checkpoints to keep, the best one included."""
    log_every_steps: int = 10
    """Optimizer steps between lines of the training log."""
    tensorboard: bool = False
    """Write metrics for TensorBoard to OUT/tensorboard (requires tensorboard)."""
    wandb: Annotated[str | None, by_default("off")] = None
    """Send metrics to this Weights & Biases project (requires wandb)."""

    def __post_init__(self) -> None:
        for name in ("keep_last", "log_every_steps"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "must be at least 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class LmFinetuneConfig:
    """The whole configuration of a fine-tuning run."""

    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """Folder of a language model, or its name on the hub."""
    data: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
    """Training data: a data set's folder or name on the hub, with its splits; a table (.csv, .tsv,
    .parquet; a column split may say train, valid or test); FASTA; or regions of a genome (BED,
    GFF3, GTF)."""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """Folder to write: best_model, checkpoints, metrics and predictions."""
    valid: Annotated[Path | None, by_default("in DATA, else a fold of it")] = None
    """File of validation data, in a form that DATA may have."""
    test: Annotated[Path | None, by_default("in DATA, else none")] = None
    """File of test data; nothing is chosen by them."""
    from_scratch: bool = False
    """Begin with random weights of the same shape, as a control."""
    freeze: bool = False
    """Train the head alone (linear probing)."""
    seed: int = 42
    """Seed of folds, order, head and dropout."""
    examples: ExamplesConfig = field(default_factory=ExamplesConfig)
    task: TaskConfig = field(default_factory=TaskConfig)
    optim: FinetuneOptimConfig = field(default_factory=FinetuneOptimConfig)
    lora: LoraConfig = field(default_factory=LoraConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    compute: FinetuneComputeConfig = field(default_factory=FinetuneComputeConfig)
    run: FinetuneRunConfig = field(default_factory=FinetuneRunConfig)

    def __post_init__(self) -> None:
        is_lora = self.lora.lora_rank is not None
        require(
            not (is_lora and (self.freeze or self.from_scratch)),
            "lora_rank",
            self.lora.lora_rank,
            "cannot be combined with freeze or from_scratch",
        )
        require(
            not (self.run.resume and self.run.overwrite),
            "resume",
            True,
            "cannot be combined with overwrite",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class LmPredictConfig:
    """What to predict, with which fine-tuned model."""

    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """Folder of a fine-tuned model: best_model of lm finetune."""
    data: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
    """Sequences: FASTA, a table (.csv, .tsv, .parquet), or regions of a genome (BED, GFF3, GTF)."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE")] = Path("-")
    """Table to write: .tsv, .csv or .parquet; - is standard output."""
    strand: StrandName = "forward"
    """Read the sequence, its reverse complement, or the mean of both probabilities or values."""
    metrics: Annotated[Path | None, by_default("none")] = None
    """Write the metrics of the task to this JSON file; the data must have labels."""
    examples: ExamplesConfig = field(default_factory=ExamplesConfig)
    compute: LmComputeConfig = field(default_factory=LmComputeConfig)
