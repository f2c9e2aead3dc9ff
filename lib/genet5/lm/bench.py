"""Several models on several tasks by one protocol: one table, with intervals.

A model that cannot be loaded without code of its own has a row that says why, and the others run.
Intervals are percentiles of the metric over resamples of the test sequences; all models are
resampled alike, so that differences between them can be judged as well.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genet5.config.json_files import config_to_dict, save_json
from genet5.config.lm.bench import LmBenchConfig
from genet5.config.lm.compute import LmComputeConfig
from genet5.config.lm.finetune import FinetuneRunConfig, LmFinetuneConfig
from genet5.errors import CheckpointError, DataError, FormatError
from genet5.lm.examples import Example, Splits, read_splits
from genet5.lm.finetune import PREDICTIONS, finetune, task_space
from genet5.lm.frozen import drawn, embedder, regression
from genet5.lm.tables import TableWriter, read_rows
from genet5.lm.targets import LabelSpace
from genet5.lm.task_metrics import Scores, task_metrics

log = logging.getLogger(__name__)

TABLE, SUMMARY = "bench.tsv", "bench.json"
COLUMNS = {
    "model": str, "task": str, "protocol": str, "shots": int, "train": int, "test": int,
    "metric": str, "value": float, "low": float, "high": float, "refused": str,
}  # fmt: skip
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Task:
    """A data set with its classes."""

    name: str
    data: str
    splits: Splits
    space: LabelSpace


def bench(config: LmBenchConfig) -> list[Row]:
    """Compare models; return the rows of OUT/bench.tsv, one for each metric.

    Raises:
        DataError: A task cannot be read, or has no test sequences.
        CheckpointError: No model could be loaded.
    """
    tasks = [_task(config, data) for data in config.data]
    rows = [row for model in config.models for row in _rows(config, model, tasks)]
    with TableWriter(config.out / TABLE, COLUMNS) as table:
        for row in rows:
            table.write(row)
    save_json(config.out / SUMMARY, {"settings": config_to_dict(config), "rows": rows})
    if all(row.get("refused") for row in rows):
        raise CheckpointError(f"no model could be loaded; {config.out / TABLE} says why")
    return rows


def intervals(
    space: LabelSpace,
    predicted: Sequence[Scores],
    targets: NDArray[Any],
    *,
    resamples: int,
    seed: int,
) -> dict[str, tuple[float, float, float]]:
    """Return each metric's mean over predictions, and the bounds of its 95 % interval.

    Args:
        space: The task.
        predicted: Predictions of the test rows, one for each seed.
        targets: Their classes or values.
        resamples: How often the rows are drawn with replacement.
        seed: Of the draws.
    """
    values = _means([task_metrics(space.problem_type, each, targets) for each in predicted])
    rng, drawn_values = np.random.default_rng(seed), []
    for _ in range(resamples):
        rows = rng.integers(len(targets), size=len(targets))
        each = [task_metrics(space.problem_type, p[rows], targets[rows]) for p in predicted]
        drawn_values.append(_means(each))
    found = {}
    for name, value in values.items():
        sample = [each[name] for each in drawn_values if name in each]
        low, high = np.percentile(sample, [2.5, 97.5]) if sample else (value, value)
        found[name] = (value, float(low), float(high))
    return found


# ---- tasks ---------------------------------------------------------------------------------------


def _task(config: LmBenchConfig, data: str) -> Task:
    splits = read_splits(data, config.examples)
    if not splits.test:
        raise DataError("no test sequence", expected="a split test", path=data)
    return Task(_short(data), data, splits, task_space(config.task.problem_type, splits))


def _short(name: str) -> str:
    """Return the last part of a path or hub name."""
    return Path(name).name or name


def _rows(config: LmBenchConfig, model: str, tasks: Sequence[Task]) -> Iterator[Row]:
    """Yield a model's rows, or one that says why it was refused."""
    run = _frozen if config.protocol == "frozen" else _finetuned
    for task in tasks:
        about = {"model": model, "task": task.name, "protocol": config.protocol}
        try:
            for row in run(config, model, task):
                yield {**about, "test": len(task.splits.test), **row}
        except (CheckpointError, FormatError) as error:
            log.warning("%s is refused: %s", model, error)
            yield {**about, "refused": " ".join(str(error).split())}


def _targets(examples: Sequence[Example], space: LabelSpace) -> NDArray[Any]:
    return np.array([space.target(examples[index].label) for index in range(len(examples))])


def _measured(
    config: LmBenchConfig, space: LabelSpace, predicted: Sequence[Scores], targets: NDArray[Any]
) -> Iterator[Row]:
    how = {"resamples": config.resamples, "seed": config.seed}
    for name, (value, low, high) in intervals(space, predicted, targets, **how).items():
        yield {"metric": name, "value": value, "low": low, "high": high}


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = [name for name in rows[0] if all(name in row for row in rows)]
    return {name: float(np.mean([row[name] for row in rows])) for name in names}


# ---- protocols -----------------------------------------------------------------------------------


def _frozen(config: LmBenchConfig, model: str, task: Task) -> Iterator[Row]:
    compute = LmComputeConfig(device=config.compute.device, batch_tokens=config.batch_tokens)
    embed = embedder(model, task.space, config.task, compute, seed=config.seed)
    train, test = embed(task.splits.train), embed(task.splits.test)
    classes, truth = (_targets(part, task.space) for part in (task.splits.train, task.splits.test))
    for shots in config.shots:
        seeds = config.seeds if shots else config.seeds[:1]  # with all rows, seeds change nothing
        predicted = []
        for seed in seeds:
            rows = drawn(classes, shots, seed)
            how = {"max_iter": config.max_iter, "seed": seed}
            number = len(task.space.names)
            predicted.append(regression(train[rows], classes[rows], test, number, **how))
        for row in _measured(config, task.space, predicted, truth):
            yield {"shots": shots, "train": len(rows), **row}


def _finetuned(config: LmBenchConfig, model: str, task: Task) -> Iterator[Row]:
    if model.startswith("kmers:"):
        raise CheckpointError(f"{model}: counts of k-mers cannot be fine-tuned; see --protocol")
    out = config.out / "runs" / f"{_short(model)}-{_short(task.name)}"
    is_done = (out / PREDICTIONS).is_file() and not config.overwrite
    if not is_done:
        finetune(
            LmFinetuneConfig(
                model=model,
                data=task.data,
                out=out,
                seed=config.seed,
                examples=config.examples,
                task=config.task,
                optim=config.optim,
                search=config.search,
                compute=config.compute,
                run=FinetuneRunConfig(overwrite=True),
            )
        )
    predicted = _read_predictions(out / PREDICTIONS, task.space)
    truth = _targets(task.splits.test, task.space)
    for row in _measured(config, task.space, [predicted], truth):
        yield {"train": len(task.splits.train), **row}


def _read_predictions(path: Path, space: LabelSpace) -> Scores:
    """Return the probabilities or values of a table of predictions."""
    is_regression = space.problem_type == "regression"
    names = [name if is_regression else f"p_{name}" for name in space.names]
    return np.array([[float(row[name]) for name in names] for _, row in read_rows(path)])
