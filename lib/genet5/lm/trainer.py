"""One fine-tuning run on the Trainer of `transformers`.

The named main metric chooses the best model, ends training early and lowers the learning rate, with
its own direction. The loss of an optimizer step is the mean over all its sequences, however they
are divided into batches, devices and accumulated batches: `transformers` does so for cross-entropy
alone, so the loss is computed here.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import (
    EarlyStoppingCallback,
    EvalPrediction,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.trainer_utils import get_last_checkpoint

from genet5.config.json_files import load_json
from genet5.config.lm.finetune import LmFinetuneConfig, ProblemType, TaskConfig
from genet5.errors import ConfigError, DataError, FormatError
from genet5.lm.classifier import Classifier, merged_with_adapter, new_classifier, with_lora
from genet5.lm.encoders import EncodedExamples, collate
from genet5.lm.examples import Example
from genet5.lm.targets import LabelSpace
from genet5.lm.task_metrics import probabilities, task_metrics
from genet5.outputs import atomic_writer
from genet5.train.distributed.place import place_of_process

log = logging.getLogger(__name__)

BEST, CHECKPOINTS, ADAPTER = "best_model", "checkpoints", "adapter"
_SCHEDULES = {
    "plateau": "reduce_lr_on_plateau",
    "cosine": "cosine_with_min_lr",
    "linear": "linear",
    "constant": "constant_with_warmup",
}


@dataclass(frozen=True, slots=True)
class Fit:
    """A finished run."""

    folder: Path
    """Its best model."""
    metrics: dict[str, float]
    """Of the best model on the validation data."""


def fit(
    config: LmFinetuneConfig,
    space: LabelSpace,
    train: Sequence[Example],
    valid: Sequence[Example],
    out: Path,
) -> Fit:
    """Train on one division of the data; write the best model.

    Raises:
        ConfigError: A setting does not fit the model or the machine.
        CheckpointError: There is no such model.
        DataError: A sequence or label is wrong, or the main metric is not defined.
    """
    arguments = training_arguments(config, out)
    classifier = new_classifier(
        config.model, space, config.task, seed=config.seed, from_scratch=config.from_scratch
    )
    encoder, network = classifier.encoder, _trainable(classifier, config)
    parts = [EncodedExamples(each, encoder, space) for each in (train, valid)]
    for name, part in zip(("training", "validation"), parts, strict=True):
        if cut := part.count_cut():
            log.warning("%d of %d %s sequences are cut to %d tokens",
                        cut, len(part), name, encoder.max_tokens)  # fmt: skip
    trainer = Trainer(
        model=network,
        args=arguments,
        train_dataset=parts[0],
        eval_dataset=parts[1],
        data_collator=partial(collate, pad_id=encoder.pad_id, side=config.task.padding_side),
        compute_loss_func=partial(task_loss, config.task.problem_type),
        compute_metrics=partial(_metrics, config.task),
        callbacks=_callbacks(config),
    )
    trainer.remove_callback(PrinterCallback)
    last = get_last_checkpoint(out / CHECKPOINTS) if config.run.resume else None
    trainer.train(resume_from_checkpoint=last)
    found = trainer.evaluate()
    _save(trainer, classifier, config, out)
    names = {name: f"eval_{name}" for name in _names(found)}
    return Fit(out / BEST, {name: float(found[key]) for name, key in names.items()})


def task_loss(
    problem_type: ProblemType,
    outputs: Any,
    labels: Tensor,
    num_items_in_batch: Tensor | int | None = None,
) -> Tensor:
    """Return the sum over a batch's labels, divided by the labels of the whole optimizer step.

    Args:
        problem_type: The kind of task.
        outputs: Of the network, with logits (B, L).
        labels: (B,) classes, or (B, L).
        num_items_in_batch: Labels of the step, over devices and accumulated batches; None = those
            of this batch.
    """
    logits = outputs.logits.float()
    if problem_type == "single_label_classification":
        total = F.cross_entropy(logits, labels, reduction="sum")
    elif problem_type == "multi_label_classification":
        total = F.binary_cross_entropy_with_logits(logits, labels, reduction="sum")
    else:
        total = F.mse_loss(logits, labels.reshape(logits.shape), reduction="sum")
    return total / (labels.numel() if num_items_in_batch is None else num_items_in_batch)


def training_arguments(config: LmFinetuneConfig, out: Path) -> TrainingArguments:
    """Return the Trainer's settings.

    Raises:
        ConfigError: CUDA is wanted, and there is none; or the file of settings has one of ours.
    """
    optim, run, task = config.optim, config.run, config.task
    interval = "epoch" if optim.eval_steps is None else "steps"
    values: dict[str, Any] = {
        "output_dir": str(out / CHECKPOINTS),
        "learning_rate": optim.lr,
        "per_device_train_batch_size": optim.batch_size,
        "per_device_eval_batch_size": optim.eval_batch_size or optim.batch_size,
        "gradient_accumulation_steps": optim.grad_accum,
        "num_train_epochs": optim.epochs,
        "max_steps": optim.max_steps or -1,
        "eval_strategy": interval,
        "save_strategy": interval,
        "eval_steps": optim.eval_steps,
        "save_steps": optim.eval_steps or 500,
        "load_best_model_at_end": True,
        "metric_for_best_model": f"eval_{task.metric}",
        "greater_is_better": task.greater_is_better,
        "lr_scheduler_type": _SCHEDULES[optim.schedule],
        "lr_scheduler_kwargs": _schedule_settings(config),
        "warmup_steps": optim.warmup_steps,
        "weight_decay": optim.weight_decay,
        "adam_beta2": optim.adam_beta2,
        "max_grad_norm": optim.max_grad_norm,
        "dataloader_num_workers": config.compute.num_workers,
        "remove_unused_columns": False,
        "label_names": ["labels"],
        "save_total_limit": run.keep_last,
        "restore_callback_states_from_checkpoint": True,
        "logging_steps": run.log_every_steps,
        "disable_tqdm": True,
        "seed": config.seed,
        "data_seed": config.seed,
        **_hardware(config),
        **_reports(config, out),
    }
    return TrainingArguments(**_with_file(values, config.compute.trainer_config))


# ---- settings ------------------------------------------------------------------------------------


def _schedule_settings(config: LmFinetuneConfig) -> dict[str, Any]:
    optim = config.optim
    if optim.schedule == "plateau":
        mode = "max" if config.task.greater_is_better else "min"
        return {
            "mode": mode,
            "patience": optim.plateau_patience,
            "factor": optim.plateau_factor,
        }
    return {"min_lr_rate": optim.min_lr_ratio} if optim.schedule == "cosine" else {}


def _hardware(config: LmFinetuneConfig) -> dict[str, Any]:
    compute, has_cuda = config.compute, torch.cuda.is_available()
    if compute.device == "cuda" and not has_cuda:
        raise ConfigError("device", "cuda", "needs a GPU, and there is none; use cpu or auto")
    on_cpu = compute.device == "cpu" or not has_cuda
    is_fast = not on_cpu and torch.cuda.get_device_capability()[0] >= 8
    wants_bf16 = compute.precision == "bf16" or (compute.precision == "auto" and is_fast)
    values: dict[str, Any] = {
        "use_cpu": on_cpu,
        "bf16": wants_bf16,
        "dataloader_pin_memory": not on_cpu,
        "ddp_find_unused_parameters": False,
    }
    if on_cpu and not place_of_process().is_alone:
        values["ddp_backend"] = "gloo"
    if compute.parallel == "fsdp":
        values["fsdp"] = True
        values["fsdp_config"] = load_json(compute.fsdp_config) if compute.fsdp_config else None
    if compute.parallel == "deepspeed":
        assert compute.deepspeed_config is not None
        _require_deepspeed()
        values["deepspeed"] = load_json(compute.deepspeed_config)
    return values


def _require_deepspeed() -> None:
    rule = ""
    if find_spec("deepspeed") is None:
        rule = "is not installed; install it with: pip install deepspeed"
    elif "RANK" not in os.environ:  # it would look for MPI
        rule = "needs a launcher, for one process too: torchrun or accelerate launch"
    if rule:
        raise ConfigError("parallel", "deepspeed", rule)


def _reports(config: LmFinetuneConfig, out: Path) -> dict[str, Any]:
    names = []
    if config.run.tensorboard:
        os.environ["TENSORBOARD_LOGGING_DIR"] = str(out / "tensorboard")
        names.append("tensorboard")
    if config.run.wandb is not None:
        os.environ["WANDB_PROJECT"] = config.run.wandb
        os.environ.setdefault("WANDB_DIR", str(out))
        names.append("wandb")
    return {"report_to": names or "none"}


def _with_file(values: dict[str, Any], path: Path | None) -> dict[str, Any]:
    """Add the settings of a YAML or JSON file.

    Raises:
        FormatError: It is none of them.
        ConfigError: A setting is unknown, or has a flag.
    """
    if path is None:
        return values
    import yaml

    try:
        more = yaml.safe_load(path.read_text(encoding="utf-8"))  # JSON is YAML
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise FormatError(f"not YAML: {error}", path=path) from error
    if not isinstance(more, dict):
        raise FormatError("no mapping", expected="names and values", path=path)
    known = TrainingArguments.__dataclass_fields__
    for name, value in more.items():
        if name not in known:
            raise ConfigError("trainer_config", name, "is no setting of TrainingArguments")
        if name in values:
            raise ConfigError("trainer_config", name, "is set by a flag; leave it out of the file")
        values = {**values, name: value}
    return values


# ---- the run -------------------------------------------------------------------------------------


def _trainable(classifier: Classifier, config: LmFinetuneConfig) -> Any:
    network = classifier.network.train()
    if config.freeze:
        network.base_model.requires_grad_(False)
    if config.compute.gradient_checkpointing:
        how = {"use_reentrant": False}
        network.gradient_checkpointing_enable(gradient_checkpointing_kwargs=how)
    if config.lora.lora_rank is None:
        return network
    if config.compute.gradient_checkpointing:
        network.enable_input_require_grads()
    return with_lora(network, config.lora)


def _metrics(task: TaskConfig, found: EvalPrediction) -> dict[str, float]:
    """Return the metrics of validation.

    Raises:
        DataError: The main metric is not defined on these data.
    """
    predicted = probabilities(task.problem_type, found.predictions)
    metrics = task_metrics(task.problem_type, predicted, found.label_ids)
    if task.metric not in metrics:
        raise DataError(
            f"{task.metric} is not defined on the validation data", expected="labels that differ",
            remedy="Choose another --main_metric, or other validation data",
        )  # fmt: skip
    return metrics


def _callbacks(config: LmFinetuneConfig) -> list[TrainerCallback]:
    callbacks: list[TrainerCallback] = [_Log(config.task.metric)]
    if config.optim.early_stopping is not None:
        callbacks.append(EarlyStoppingCallback(config.optim.early_stopping))
    return callbacks


class _Log(TrainerCallback):  # type: ignore[misc]  # no types for its base
    """Writes progress lines."""

    def __init__(self, metric: str) -> None:
        self._metric = metric

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        """Say what was logged."""
        if not state.is_world_process_zero or not logs:
            return
        wanted = ("loss", "learning_rate", "eval_loss", f"eval_{self._metric}")
        parts = [f"{name} {logs[name]:.4g}" for name in wanted if name in logs]
        if parts:
            log.info("step %d/%d | %s", state.global_step, state.max_steps, " | ".join(parts))


def _save(trainer: Any, classifier: Classifier, config: LmFinetuneConfig, out: Path) -> None:
    """Write the best model, head and trunk together, and what was logged."""
    is_lora = config.lora.lora_rank is not None
    folder = out / (ADAPTER if is_lora else BEST)
    trainer.save_model(str(folder))  # all ranks: sharded tensors are gathered
    if not trainer.is_world_process_zero():
        return
    (folder / "training_args.bin").unlink(missing_ok=True)  # a pickle that nothing reads
    if is_lora:
        whole = new_classifier(config.model, classifier.space, config.task, seed=config.seed)
        merged_with_adapter(whole.network, folder).save_pretrained(out / BEST)
    classifier.save_task(out / BEST)
    with atomic_writer(out / "history.jsonl") as lines:
        for entry in trainer.state.log_history:
            lines.write(json.dumps(entry) + "\n")


def _names(found: dict[str, float]) -> list[str]:
    speed = ("runtime", "samples_per_second", "steps_per_second")
    names = (name.removeprefix("eval_") for name in found if name.startswith("eval_"))
    return [name for name in names if name not in speed]
