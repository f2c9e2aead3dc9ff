"""Scores of genes."""

from __future__ import annotations

import numpy as np
import pytest

from genet5.annotate.calling_config import (
    CallingConfig,
    load_calling_config,
    save_calling_config,
)
from genet5.annotate.candidate import GeneCandidate
from genet5.annotate.gene_score import (
    FEATURES,
    ScoringConfig,
    feature_table,
    fit_scoring,
    gene_log_odds,
    probability,
)
from genet5.decode.evidence import Evidence
from genet5.decode.fragment import Interval
from genet5.errors import DataError, FormatError


def candidate(evidence: Evidence, support: float = 1.0, length: int = 900) -> GeneCandidate:
    parts = (Interval("cds", 0, length),)
    return GeneCandidate(
        "protein_coding", 1, parts, 0, evidence=evidence, support=support, structure_share=1.0
    )


GOOD = Evidence(-0.1, -0.3, -0.1, 0.0, 0, 900 * 4.0, 900, 2.0, 3.0)
BAD = Evidence(-3.0, -3.0, -2.0, 0.0, 0, 90 * -3.0, 90, -4.0, -4.0)


def test_default_scores_tell_good_from_bad() -> None:
    table = feature_table([candidate(GOOD), candidate(BAD, support=0.2, length=90)])
    good, bad = probability(gene_log_odds(ScoringConfig(), table))
    assert good > 0.9
    assert bad < 0.1


def test_unknown_ends_count_as_average() -> None:
    table = feature_table([candidate(Evidence(coding=0))])
    assert np.isnan(table[0, FEATURES.index("stop_logp")])
    assert np.isfinite(probability(gene_log_odds(ScoringConfig(), table))).all()


def test_no_calls_have_no_scores() -> None:
    assert probability(gene_log_odds(ScoringConfig(), feature_table([]))).shape == (0,)


def test_fitting_recovers_the_law() -> None:
    draw = np.random.default_rng(0)
    table = draw.normal(size=(20000, len(FEATURES)))
    table[::7, 2] = np.nan
    weights = np.linspace(-1, 1, len(FEATURES))
    odds = 0.5 + np.nan_to_num(table) @ weights
    labels = draw.random(20000) < 1 / (1 + np.exp(-odds))
    fitted = fit_scoring(table, labels)
    assert [fitted.weights[n] for n in FEATURES] == pytest.approx(weights.tolist(), abs=0.1)
    probabilities = probability(gene_log_odds(fitted, table))
    assert probabilities.mean() == pytest.approx(labels.mean(), abs=0.01)


def test_separable_data_do_not_break_the_fit() -> None:
    table = np.zeros((10, len(FEATURES)))
    table[5:, 0] = 1
    fitted = fit_scoring(table, np.arange(10) >= 5)
    assert np.isfinite(list(fitted.weights.values())).all()
    with pytest.raises(DataError, match="10 of 10 candidate genes are right"):
        fit_scoring(table, np.ones(10))


def test_settings_round_trip(tmp_path) -> None:
    settings = CallingConfig(window_bp=4096, overlap_bp=1000, min_score=0.3)
    save_calling_config(settings, tmp_path)
    assert load_calling_config(tmp_path, 16384) == settings
    with pytest.raises(FormatError, match="at most 1024"):
        load_calling_config(tmp_path, 1024)


def test_a_model_without_settings_gets_windows_it_can_read(tmp_path) -> None:
    settings = load_calling_config(tmp_path, 2048)
    assert (settings.window_bp, settings.overlap_bp) == (2048, 1024)
