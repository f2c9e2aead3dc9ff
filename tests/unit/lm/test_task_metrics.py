"""Metrics of tasks: those of scikit-learn, and what becomes of classes that are missing."""

from __future__ import annotations

import numpy as np
import pytest

from genet5.config.lm.finetune import TaskConfig
from genet5.errors import ConfigError
from genet5.lm.task_metrics import confusion, f1_max, probabilities, task_metrics

SINGLE, MULTI = "single_label_classification", "multi_label_classification"
RNG = np.random.default_rng(0)


def test_metrics_of_classes_are_those_of_scikit_learn() -> None:
    sklearn = pytest.importorskip("sklearn.metrics", reason="needs genet5[lm]")
    p, truth = probabilities(SINGLE, RNG.normal(size=(40, 3))), RNG.integers(3, size=40)
    found = task_metrics(SINGLE, p, truth)
    chosen = p.argmax(1)
    assert found == pytest.approx({
        "accuracy": sklearn.accuracy_score(truth, chosen),
        "f1_score": sklearn.f1_score(truth, chosen, average="weighted"),
        "f1_macro": sklearn.f1_score(truth, chosen, average="macro"),
        "mcc": sklearn.matthews_corrcoef(truth, chosen),
        "auroc": sklearn.roc_auc_score(truth, p, multi_class="ovr", average="weighted"),
    })  # fmt: skip
    assert np.trace(confusion(p, truth)) == (truth == chosen).sum()


def test_a_class_that_is_missing_has_no_part_in_auroc() -> None:
    p, truth = probabilities(SINGLE, RNG.normal(size=(30, 4))), RNG.integers(3, size=30)
    assert 0 < task_metrics(SINGLE, p, truth)["auroc"] < 1
    assert np.shape(confusion(p, truth)) == (4, 4)
    alone = task_metrics(SINGLE, p, np.zeros(30, dtype=int))
    assert "auroc" not in alone
    assert alone["mcc"] == 0


def test_f1_max_by_hand() -> None:
    truth = np.array([[1.0, 0.0], [1.0, 1.0]])
    # The threshold 0.6 chooses (0), (0): precision 1, recall (1 + 1/2) / 2; 0.4 chooses all four.
    predicted = np.array([[0.9, 0.4], [0.6, 0.5]])
    assert f1_max(predicted, truth) == pytest.approx(1.0)  # 0.5 chooses all but the wrong one
    assert f1_max(np.array([[0.9, 0.7], [0.6, 0.5]]), truth) == pytest.approx(2 * 0.75 / 1.75)


def test_metrics_of_several_classes_at_once() -> None:
    sklearn = pytest.importorskip("sklearn.metrics", reason="needs genet5[lm]")
    p, truth = probabilities(MULTI, RNG.normal(size=(20, 3))), RNG.integers(2, size=(20, 3))
    area = sklearn.average_precision_score(truth, p, average="micro")
    assert task_metrics(MULTI, p, truth)["auprc_micro"] == pytest.approx(area)


def test_metrics_of_values_are_given_over_all_and_for_each() -> None:
    truth = RNG.normal(size=(20, 2))
    found = task_metrics("regression", truth + np.array([0.0, 1.0]), truth)
    assert found["mse_label_0"] == pytest.approx(0)
    assert found["mse_label_1"] == pytest.approx(1)
    assert found["mse"] == pytest.approx(0.5)
    assert found["pearson_label_1"] == pytest.approx(1)
    constant = task_metrics("regression", np.ones((5, 1)), truth[:5, :1])
    assert "pearson" not in constant


def test_the_direction_of_a_metric_is_its_own() -> None:
    assert TaskConfig().greater_is_better
    assert not TaskConfig(problem_type="regression").greater_is_better
    assert TaskConfig(problem_type="regression", main_metric="r2").greater_is_better
    with pytest.raises(ConfigError, match="must be one of mcc, accuracy"):
        TaskConfig(main_metric="mse")
