"""Fine-tuning: one run, a run for each fold, or a grid of learning rates and batch sizes.

What is chosen (the best step of a run, of a grid, of folds) is chosen by the main metric on the
validation data. Test data are read once, at the end, by the models that were chosen.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from genet5.config.json_files import config_to_dict, load_json, save_json
from genet5.config.lm.compute import LmComputeConfig
from genet5.config.lm.finetune import LmFinetuneConfig, ProblemType
from genet5.errors import ConfigError, DataError
from genet5.lm.classifier import load_classifier
from genet5.lm.devices import placed
from genet5.lm.examples import Example, Splits, read_splits
from genet5.lm.predict import write_predictions
from genet5.lm.tables import TableWriter
from genet5.lm.targets import LabelSpace, label_space
from genet5.lm.trainer import BEST, CHECKPOINTS, Fit, fit
from genet5.train.distributed.place import place_of_process

log = logging.getLogger(__name__)

METRICS, SETTINGS, PREDICTIONS, GRID, DONE, TEST = (
    "metrics.json", "finetune.json", "test_predictions.tsv", "grid.tsv", "valid.json", "test.json",
)  # fmt: skip


def finetune(config: LmFinetuneConfig) -> dict[str, Any]:
    """Fine-tune a model; return its metrics, which are OUT/metrics.json as well.

    Raises:
        ConfigError: A setting does not fit the model, the data or an earlier run in OUT.
        DataError: The data cannot be read.
        CheckpointError: There is no such model, or it needs code of its own.
    """
    _prepare(config)
    splits = read_splits(config.data, config.examples, valid=config.valid, test=config.test)
    if config.search.all_folds and splits.valid:
        raise ConfigError("all_folds", True, "has no effect with validation data")
    space = task_space(config.task.problem_type, splits)
    if _is_first():
        save_json(config.out / SETTINGS, config_to_dict(config))
    fits: list[Fit] = []
    if config.search.grid:
        config, best = _searched(config, space, splits)
        fits = [best]
    if config.search.all_folds:
        folds = range(config.search.num_folds)
        fits = [_fit(config, space, splits, config.out / f"fold_{n}", fold=n) for n in folds]
    return _finish(config, splits, fits or [_fit(config, space, splits, config.out)])


def fold_of(number: int, num_folds: int, fold: int, seed: int) -> tuple[list[int], list[int]]:
    """Return the rows to train on and those to validate on of one of the folds.

    Raises:
        DataError: There are fewer rows than folds.
    """
    from sklearn.model_selection import KFold

    if number < num_folds:
        raise DataError(
            f"{number} training sequences", expected=f"at least {num_folds}, as there are folds",
            remedy="Lower --num_folds, or give --valid",
        )  # fmt: skip
    parts = list(KFold(num_folds, shuffle=True, random_state=seed).split(np.arange(number)))
    train, valid = parts[fold]
    return train.tolist(), valid.tolist()


# ---- data ----------------------------------------------------------------------------------------


def task_space(kind: ProblemType, splits: Splits) -> LabelSpace:
    """Find the classes of all splits; say which ones cannot be learned.

    Raises:
        DataError: A training sequence has no label.
    """
    train = [example.label for example in splits.train]
    others = [example.label for part in (splits.valid, splits.test) for example in part]
    missing = sum(label is None for label in train)
    if missing:
        raise DataError(
            f"{missing} of {len(train)} training sequences without a label",
            expected="a label for each", remedy="See --label_column and --labels",
        )  # fmt: skip
    space = label_space(kind, (each for each in train + others if each is not None),
                        names=splits.names)  # fmt: skip
    if kind == "single_label_classification":
        seen = {space.target(label) for label in train}
        for number, name in enumerate(space.names):
            if number not in seen:
                log.warning("class %s has no training sequence", name)
    return space


def _division(
    config: LmFinetuneConfig, splits: Splits, fold: int
) -> tuple[Sequence[Example], Sequence[Example]]:
    """Return the sequences to train on and those to validate on."""
    if splits.valid:
        return splits.train, splits.valid
    train, valid = fold_of(len(splits.train), config.search.num_folds, fold, config.seed)
    return [splits.train[row] for row in train], [splits.train[row] for row in valid]


# ---- runs ----------------------------------------------------------------------------------------


def _fit(
    config: LmFinetuneConfig, space: LabelSpace, splits: Splits, out: Path, fold: int | None = None
) -> Fit:
    """Train once, unless a resumed run has done so."""
    if config.run.resume and (out / DONE).is_file():
        return Fit(out / BEST, load_json(out / DONE))
    division = _division(config, splits, config.search.fold_id if fold is None else fold)
    found = fit(config, space, *division, out)
    log.info("%s: %s %.4f", out, config.task.metric, found.metrics[config.task.metric])
    if _is_first():
        save_json(out / DONE, found.metrics)
    return found


def _searched(
    config: LmFinetuneConfig, space: LabelSpace, splits: Splits
) -> tuple[LmFinetuneConfig, Fit]:
    """Train at each point of the grid; return the best settings and their run."""
    tried: list[tuple[LmFinetuneConfig, Fit]] = []
    for lr, size in product(config.search.grid_lr, config.search.grid_batch):
        settings = with_step_size(replace(config, optim=replace(config.optim, lr=lr)), size)
        out = config.out / "grid" / f"lr_{lr:g}_batch_{size}"
        tried.append((settings, _fit(settings, space, splits, out)))
        if _is_first():
            shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)
    values = [found.metrics[config.task.metric] for _, found in tried]
    best = int(np.argmax(values) if config.task.greater_is_better else np.argmin(values))
    if _is_first():
        _write_grid(config, tried, best)
    return tried[best]


def with_step_size(config: LmFinetuneConfig, size: int) -> LmFinetuneConfig:
    """Return settings of an optimizer step of this many sequences over all devices.

    Raises:
        ConfigError: They cannot be divided evenly.
    """
    devices = place_of_process().world_size
    each = min(config.optim.batch_size, size // devices)
    if each < 1 or size % (each * devices):
        rule = f"must be a multiple of {devices} devices x batch_size = {config.optim.batch_size}"
        raise ConfigError("grid_batch", size, rule)
    optim = replace(config.optim, batch_size=each, grad_accum=size // (each * devices))
    return replace(config, optim=optim)


def _write_grid(
    config: LmFinetuneConfig, tried: Sequence[tuple[LmFinetuneConfig, Fit]], best: int
) -> None:
    names = list(tried[best][1].metrics)
    columns = {"lr": float, "batch": int, "chosen": bool} | dict.fromkeys(names, float)
    points = product(config.search.grid_lr, config.search.grid_batch)
    with TableWriter(config.out / GRID, columns) as table:
        for index, ((lr, size), (_, found)) in enumerate(zip(points, tried, strict=True)):
            table.write({"lr": lr, "batch": size, "chosen": index == best, **found.metrics})


# ---- results -------------------------------------------------------------------------------------


def _finish(config: LmFinetuneConfig, splits: Splits, fits: Sequence[Fit]) -> dict[str, Any]:
    """Test the models, put the best one into OUT/best_model, and write the metrics."""
    if not _is_first():
        return {}
    metric, sign = config.task.metric, 1 if config.task.greater_is_better else -1
    compute = LmComputeConfig(device=config.compute.device)
    tests = [_tested(found, splits.test, compute) for found in fits] if splits.test else []
    best = max(range(len(fits)), key=lambda index: sign * fits[index].metrics[metric])
    if fits[best].folder != config.out / BEST:
        shutil.rmtree(config.out / BEST, ignore_errors=True)
        shutil.copytree(fits[best].folder, config.out / BEST)
    optim = config.optim
    summary: dict[str, Any] = {
        "model": config.model,
        "data": config.data,
        "problem_type": config.task.problem_type,
        "main_metric": metric,
        "lr": optim.lr,
        "batch_size": optim.batch_size,
        "grad_accum": optim.grad_accum,
        "train_sequences": len(splits.train),
        "valid": fits[best].metrics,
        "test": tests[best] if tests else None,
    }
    if len(fits) > 1:
        summary["folds"] = {"valid": [found.metrics for found in fits], "test": tests}
        summary["valid_over_folds"] = mean_and_deviation([found.metrics for found in fits])
        summary["test_over_folds"] = mean_and_deviation(tests)
    save_json(config.out / METRICS, summary)
    return summary


def mean_and_deviation(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Return mean and standard deviation of each number that all rows have.

    Example:
        >>> mean_and_deviation([{"n": 1, "classes": ["a"]}, {"n": 3, "classes": ["a"]}])["n"]
        [2.0, 1.4142135623730951]
    """
    names = [name for name in (rows[0] if rows else {}) if all(name in row for row in rows)]
    found = {}
    for name in names:
        values = [row[name] for row in rows]
        if all(isinstance(value, (int, float)) for value in values):
            found[name] = [float(np.mean(values)), float(np.std(values, ddof=1))]
    return found


def _tested(found: Fit, test: Sequence[Example], compute: LmComputeConfig) -> dict[str, Any]:
    classifier = load_classifier(str(found.folder), *placed(compute))
    folder = found.folder.parent
    examples = (test[index] for index in range(len(test)))
    places = folder / PREDICTIONS, compute.batch_tokens
    _, summary = write_predictions(classifier, examples, *places, metrics=folder / TEST)
    return summary


# ---- the folder ----------------------------------------------------------------------------------


def _is_first() -> bool:
    """Whether this process writes files: the first of all, or the only one."""
    return place_of_process().rank == 0


def _prepare(config: LmFinetuneConfig) -> None:
    """Refuse or clear a folder that has a run."""
    if not _is_first():
        return
    made = (
        *(BEST, CHECKPOINTS, METRICS, SETTINGS, PREDICTIONS, GRID, DONE, TEST, "adapter", "grid"),
        *(f"fold_{number}" for number in range(config.search.num_folds)),
    )
    there = [config.out / name for name in made if (config.out / name).exists()]
    if there and not (config.run.resume or config.run.overwrite):
        rule = (
            f"has {there[0].name} of an earlier run; --resume continues it, --overwrite deletes it"
        )
        raise ConfigError("OUT", str(config.out), rule)
    if config.run.overwrite:
        for path in there:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
