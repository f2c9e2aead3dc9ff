"""Metrics of fine-tuned models, equal to those of scikit-learn of the same name.

Those of classes follow from counts and ranks alone, in a fraction of a millisecond: intervals take
them of a thousand resamples.

A class that the data lack has no part in means over classes. A metric that is not defined (AUROC
where there is one class only, a correlation of constants) is left out; it cannot be the main one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from genet5.config.lm.finetune import ProblemType

Scores = NDArray[np.floating[Any]]


def probabilities(problem_type: ProblemType, logits: Scores) -> Scores:
    """Return what a model predicts from its logits, (N, L): probabilities, or the values."""
    scores: Scores = np.asarray(logits, dtype=np.float64)
    if problem_type == "regression":
        return scores
    if problem_type == "multi_label_classification":
        found: Scores = 1 / (1 + np.exp(-scores))
        return found
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: Scores = powers / powers.sum(axis=1, keepdims=True)
    return shares


def task_metrics(
    problem_type: ProblemType, predicted: Scores, targets: NDArray[Any]
) -> dict[str, float]:
    """Return the metrics of a kind of task.

    Args:
        problem_type: The kind.
        predicted: (N, L) probabilities or values.
        targets: (N,) numbers of classes, or (N, L).
    """
    if problem_type == "single_label_classification":
        return _single(predicted, targets)
    if problem_type == "multi_label_classification":
        return _multi(predicted, targets)
    return _regression(predicted.reshape(len(predicted), -1), targets.reshape(len(targets), -1))


def confusion(predicted: Scores, targets: NDArray[Any]) -> NDArray[np.int64]:
    """Return how often each class (row) was predicted as which (column)."""
    number = predicted.shape[1]
    pairs = targets.astype(np.int64) * number + predicted.argmax(axis=1)
    return np.bincount(pairs, minlength=number**2).reshape(number, number)


def f1_max(predicted: Scores, targets: NDArray[Any]) -> float:
    """Return the largest F1 over all thresholds, of precision and recall averaged over samples.

    Precision is averaged over the samples with a predicted class, recall over those with a true one
    (Fmax, Radivojac et al. 2013, doi:10.1038/nmeth.2340).
    """
    truth, width = targets > 0.5, targets.shape[1]
    wanted = truth.sum(axis=1)
    right, many = np.zeros(len(truth)), np.zeros(len(truth))
    precision_sum = recall_sum = best = 0.0
    values = predicted.ravel()
    order = np.argsort(-values, kind="stable")
    for place, index in enumerate(order):
        row, is_right = divmod(int(index), width)[0], bool(truth.flat[index])
        before = right[row] / many[row] if many[row] else 0.0
        many[row], right[row] = many[row] + 1, right[row] + is_right
        precision_sum += right[row] / many[row] - before
        recall_sum += is_right / wanted[row] if is_right else 0.0
        is_last = place + 1 == len(order) or values[order[place + 1]] < values[index]
        if is_last and recall_sum:
            precision = precision_sum / np.count_nonzero(many)
            recall = recall_sum / np.count_nonzero(wanted)
            best = max(best, float(2 * precision * recall / (precision + recall)))
    return best


def _single(predicted: Scores, targets: NDArray[Any]) -> dict[str, float]:
    counts = confusion(predicted, targets)
    true, chosen, right = counts.sum(axis=1), counts.sum(axis=0), np.diagonal(counts)
    is_there = true + chosen > 0
    f1 = 2 * right[is_there] / (true + chosen)[is_there]
    found = {
        "accuracy": float(right.sum() / true.sum()),
        "f1_score": float(np.average(f1, weights=true[is_there])),
        "f1_macro": float(f1.mean()),
        "mcc": _mcc(true.astype(float), chosen.astype(float), float(right.sum())),
    }
    area = _auroc(predicted, targets)
    return found if area is None else found | {"auroc": area}


def _mcc(true: Scores, chosen: Scores, right: float) -> float:
    """Return Matthews' correlation of several classes (Gorodkin 2004); 0 where one is constant."""
    total = true.sum()
    below = (total**2 - (chosen**2).sum()) * (total**2 - (true**2).sum())
    return float((right * total - true @ chosen) / np.sqrt(below)) if below > 0 else 0.0


def _auroc(predicted: Scores, targets: NDArray[Any]) -> float | None:
    """Return the area of class 1 against 0, or the mean of each class against the rest by size."""
    present = np.unique(targets)
    if len(present) < 2:
        return None
    if predicted.shape[1] == 2:
        return _area(predicted[:, 1], targets == 1)
    areas = [_area(predicted[:, each], targets == each) for each in present]
    return float(np.average(areas, weights=[(targets == each).sum() for each in present]))


def _area(scores: Scores, is_positive: NDArray[np.bool_]) -> float:
    """Return how often a positive row ranks above a negative one; half of it where they tie."""
    from scipy.stats import rankdata

    many = int(is_positive.sum())
    above = rankdata(scores)[is_positive].sum() - many * (many + 1) / 2
    return float(above / (many * (len(scores) - many)))


def _multi(predicted: Scores, targets: NDArray[Any]) -> dict[str, float]:
    from sklearn.metrics import average_precision_score

    truth = targets > 0.5
    found = {"f1_max": f1_max(predicted, targets)}
    if truth.any():
        found["auprc_micro"] = float(average_precision_score(truth.ravel(), predicted.ravel()))
    return found


def _regression(predicted: Scores, targets: NDArray[Any]) -> dict[str, float]:
    found = _of_values(predicted.ravel(), targets.ravel())
    if targets.shape[1] > 1:
        for index in range(targets.shape[1]):
            each = _of_values(predicted[:, index], targets[:, index])
            found |= {f"{name}_label_{index}": value for name, value in each.items()}
    return found


def _of_values(predicted: Scores, targets: NDArray[Any]) -> dict[str, float]:
    from scipy.stats import spearmanr
    from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

    found = {
        "mse": float(mean_squared_error(targets, predicted)),
        "mae": float(mean_absolute_error(targets, predicted)),
    }
    if len(targets) > 1 and np.ptp(targets) > 0:
        found["r2"] = float(r2_score(targets, predicted))
        if np.ptp(predicted) > 0:
            found["pearson"] = float(np.corrcoef(predicted, targets)[0, 1])
            found["spearman"] = float(spearmanr(predicted, targets).statistic)
    return found
