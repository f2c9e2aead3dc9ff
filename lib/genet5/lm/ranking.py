"""How well scores rank: AUROC, the area under precision and recall, and average precision.

The published figures of GENERator are areas under the precision-recall curve by the trapezoid
rule, which is not average precision (it interpolates between points): both are given.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from genet5.errors import DataError


def ranking_metrics(is_positive: Sequence[bool], scores: Sequence[float]) -> dict[str, float]:
    """Return AUROC, AUPRC (trapezoid) and average precision; higher scores mean positive.

    Raises:
        DataError: Only one class is there.
    """
    from sklearn.metrics import (
        auc,
        average_precision_score,
        precision_recall_curve,
        roc_auc_score,
    )

    truth = np.asarray(is_positive, dtype=bool)
    if not truth.any() or truth.all():
        raise DataError(
            f"{int(truth.sum())} positive and {int((~truth).sum())} negative labels",
            expected="some of both", remedy="See --label, --positive and --negative",
        )  # fmt: skip
    precision, recall, _ = precision_recall_curve(truth, scores)
    return {
        "positives": int(truth.sum()),
        "negatives": int((~truth).sum()),
        "auroc": float(roc_auc_score(truth, scores)),
        "auprc": float(auc(recall, precision)),
        "average_precision": float(average_precision_score(truth, scores)),
    }
