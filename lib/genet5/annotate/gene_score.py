"""Turn the evidence for a gene into a probability by a logistic model of a few features.

The features are averages over the windows that saw the gene: how sure the decoder was of type,
strand and ends (without the grammar's mask, under which a forced position would always be sure),
what the per-base heads say of its bases and ends, its length and number of parts, and the shares of
windows whose decoder and whose best path found it. The coefficients live in the model directory
(`annotate.json`) or the defaults below; `fit_scoring` fits them by Newton's method.

Example:
    scoring = ScoringConfig()
    odds = gene_log_odds(scoring, feature_table(candidates))
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genet5.annotate.candidate import GeneCandidate
from genet5.errors import ConfigError, DataError

FEATURES = (
    "type_logp",
    "stop_logp",
    "start_logp",
    "splice_logp",
    "state",
    "start_boundary",
    "stop_boundary",
    "log_length",
    "support",
    "structure_share",
    "decoded",
    "splice_boundary",
    "path_share",
    "log_exons",
    "margin",
    "coding_per_codon",
    "motif",
    "codon",
    "distance",
    "same",
    "opposite",
    "proposed",
    "proposed_coding",
    "proposed_coding_per_codon",
    "proposed_motif",
    "proposed_length",
)
"""Names of the columns of `feature_table`, in order."""

_LIMITS = {
    "type_logp": (-8.0, 0.0),
    "stop_logp": (-10.0, 0.0),
    "start_logp": (-10.0, 0.0),
    "splice_logp": (-10.0, 0.0),
    "state": (-8.0, 8.0),
    "start_boundary": (-10.0, 10.0),
    "stop_boundary": (-10.0, 10.0),
    "splice_boundary": (-10.0, 10.0),
    "margin": (-10.0, 10.0),
    "coding_per_codon": (-2.0, 2.0),
    "proposed_coding_per_codon": (-2.0, 2.0),
}


def _default_weights() -> dict[str, float]:
    return {
        "type_logp": 0.3,
        "stop_logp": 0.25,
        "start_logp": 0.15,
        "splice_logp": 0.2,
        "state": 0.5,
        "start_boundary": 0.05,
        "stop_boundary": 0.1,
        "log_length": 1.5,
        "support": 3.0,
        "structure_share": 0.3,
        "decoded": 2.0,
    }


def _default_means() -> dict[str, float]:
    return {
        "type_logp": -0.7,
        "stop_logp": -1.0,
        "start_logp": -1.5,
        "splice_logp": -1.0,
        "state": 1.5,
        "start_boundary": -1.0,
        "stop_boundary": 0.0,
        "log_length": 2.7,
        "support": 0.7,
        "structure_share": 0.7,
        "decoded": 1.0,
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoringConfig:
    """Coefficients of the logistic model: logit(p) = bias + sum of weight * (feature - mean)."""

    bias: float = 1.0
    """Log-odds of a gene whose features are all at their means."""
    weights: dict[str, float] = field(default_factory=_default_weights)
    """Coefficient of each feature (FEATURES); 0 for those that are not named."""
    means: dict[str, float] = field(default_factory=_default_means)
    """What is subtracted from each feature; an unknown feature (an end beyond the contig) counts as
    its mean."""

    def __post_init__(self) -> None:
        for name in ("weights", "means"):
            unknown = sorted(set(getattr(self, name)) - set(FEATURES))
            if unknown:
                raise ConfigError(
                    f"scoring.{name}", unknown[0], f"must be one of {', '.join(FEATURES)}"
                )


def feature_table(candidates: Sequence[GeneCandidate]) -> NDArray[np.float64]:
    """Return the features, (number of candidates, len(FEATURES)); NaN = not known."""
    rows = [_features(candidate) for candidate in candidates]
    table = np.array(rows, dtype=np.float64).reshape(len(candidates), len(FEATURES))
    for name, (low, high) in _LIMITS.items():
        column = FEATURES.index(name)
        table[:, column] = np.clip(table[:, column], low, high)
    return table


def _features(candidate: GeneCandidate) -> list[float]:
    evidence = candidate.evidence
    return [
        evidence.type_logp,
        evidence.stop_logp,
        evidence.start_logp,
        evidence.splice_logp / evidence.splices if evidence.splices else math.nan,
        evidence.state / evidence.coding if evidence.coding else math.nan,
        evidence.start_boundary,
        evidence.stop_boundary,
        math.log10(max(sum(p.end - p.start for p in candidate.parts), 1)),
        candidate.support,
        candidate.structure_share,
        float(candidate.support > 0),
        evidence.splice_boundary / evidence.splices if evidence.splices else math.nan,
        candidate.path_share,
        math.log10(len(candidate.parts)) if candidate.parts else math.nan,
        candidate.margin,
        *_learned(candidate),
    ]


def _learned(candidate: GeneCandidate) -> list[float]:
    """What was learned from the genome says; some of it once more for proposed genes alone."""
    one, proposed = candidate.learned, float(candidate.is_proposed)
    if one is None:
        return [math.nan] * 6 + [proposed] + [math.nan] * 4
    of_all = [one.coding_per_codon, one.motif, one.codon, one.distance, one.same, one.opposite]
    if not candidate.is_proposed:
        return [*of_all, proposed] + [math.nan] * 4
    length = math.log10(max(candidate.coding_bp, 1))
    coding = math.log10(max(one.coding, 1.0))
    return [*of_all, proposed, coding, one.coding_per_codon, one.motif, length]


def gene_log_odds(scoring: ScoringConfig, features: ArrayLike) -> NDArray[np.float64]:
    """Return the log-odds that each row's gene is right."""
    table = np.asarray(features, dtype=np.float64).reshape(-1, len(FEATURES))
    means = np.array([scoring.means.get(name, 0.0) for name in FEATURES])
    weights = np.array([scoring.weights.get(name, 0.0) for name in FEATURES])
    centred = np.where(np.isnan(table), 0.0, table - means)
    return np.asarray(scoring.bias + centred @ weights)


def probability(log_odds: ArrayLike) -> NDArray[np.float64]:
    """Return the probability (0..1) of each of the log-odds."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(log_odds, -50, 50))))


def fit_scoring(
    candidates: ArrayLike, labels: ArrayLike, *, ridge: float = 1.0, steps: int = 50
) -> ScoringConfig:
    """Fit the logistic model by Newton's method.

    Args:
        candidates: Rows of `feature_table`, (n, len(FEATURES)).
        labels: (n,) whether each candidate is right.
        ridge: Weight of the squared coefficients (of standardised features), in units of one
            candidate.
        steps: Most Newton steps.

    Raises:
        DataError: Not both right and wrong candidates are there.
    """
    table = np.asarray(candidates, dtype=np.float64).reshape(-1, len(FEATURES))
    right = np.asarray(labels, dtype=np.float64)
    if not 0 < right.sum() < len(right):
        raise DataError(
            f"{int(right.sum())} of {len(right)} candidate genes are right",
            expected="both right and wrong ones", remedy="Fit on more or longer genomes",
        )  # fmt: skip
    known = ~np.isnan(table)
    counts = np.maximum(known.sum(axis=0), 1)
    filled = np.where(known, table, 0.0)
    means = filled.sum(axis=0) / counts
    centred = np.where(known, table - means, 0.0)
    scales = np.sqrt((centred**2).sum(axis=0) / counts)
    scales[scales == 0] = 1.0
    design = np.column_stack([np.ones(len(right)), centred / scales])
    penalty = np.full(design.shape[1], ridge)
    penalty[0] = 0.0
    solution = _newton(design, right, penalty, steps)
    return ScoringConfig(
        bias=float(solution[0]),
        weights=dict(zip(FEATURES, (solution[1:] / scales).tolist(), strict=True)),
        means=dict(zip(FEATURES, means.tolist(), strict=True)),
    )


def _newton(
    design: NDArray[np.float64],
    right: NDArray[np.float64],
    penalty: NDArray[np.float64],
    steps: int,
) -> NDArray[np.float64]:
    solution = np.zeros(design.shape[1])
    for _ in range(steps):
        p = probability(design @ solution)
        gradient = design.T @ (right - p) - penalty * solution
        curvature = (design * (p * (1 - p))[:, None]).T @ design + np.diag(penalty + 1e-9)
        change = np.linalg.solve(curvature, gradient)
        solution = solution + change / max(1.0, float(np.abs(change).max()) / 2)
        if np.abs(change).max() < 1e-8:
            break
    return solution
