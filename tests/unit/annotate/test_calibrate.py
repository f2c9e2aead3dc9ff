"""Calibrating the scores of a model, and the annotate.json of a trained model."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from genet5.annotate import calibrate
from genet5.annotate.adapt.model import START_FEATURES, GenomeModel
from genet5.annotate.calibrate import calibrate_model
from genet5.annotate.calibrate_starts import Taught, fit_starts
from genet5.annotate.calling_config import (
    AdaptConfig,
    CallingConfig,
    load_calling_config,
    save_calling_config,
)
from genet5.annotate.gene_score import FEATURES
from genet5.annotate.trained_config import trained_config
from genet5.cli.simulate import main as simulate
from genet5.config.bake import BakeConfig
from genet5.config.calibrate import CalibrateConfig
from genet5.dataset.bake import bake
from genet5.errors import ConfigError, DataError
from genet5.model.folders import SHIPPED
from genet5.score.levels import Scores


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("fit") / "genome"
    assert simulate([str(out), "--length_bp", "20000", "--seed", "5", "--gc", "0.4"]) == 0
    return out


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED / "nano", tmp_path / "model"))


def settings_of(model: Path, genome: Path, **changes: object) -> CalibrateConfig:
    values = {
        "model": model,
        "genomes": (genome / "genome.fa",),
        "references": (genome / "annotation.gff3",),
        "work": model.parent / "work",
    }
    return CalibrateConfig(**(values | changes))


@pytest.mark.slow
def test_scores_are_fitted_and_a_second_fit_from_kept_windows_is_the_same(
    model: Path, genome: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    former = load_calling_config(model, 8192)
    fitted = calibrate_model(settings_of(model, genome))
    assert load_calling_config(model, 8192) == fitted
    assert set(fitted.scoring.weights) == set(FEATURES)
    assert fitted.scoring != former.scoring
    assert (fitted.grammar, fitted.window_bp) == (former.grammar, former.window_bp)
    monkeypatch.setattr("genet5.annotate.engine.decode_windows", None)  # not needed again
    assert calibrate_model(settings_of(model, genome)) == fitted


def test_contigs_that_are_not_there_are_an_error(model: Path, genome: Path) -> None:
    with pytest.raises(ConfigError, match="contigs"):
        calibrate_model(settings_of(model, genome, contigs=("nowhere",)))


def test_a_reference_of_other_contigs_is_an_error(
    model: Path, genome: Path, tmp_path: Path
) -> None:
    text = (genome / "genome.fa").read_text(encoding="ascii")
    renamed = tmp_path / "renamed.fa"
    renamed.write_text(text.replace(">", ">other_"), encoding="ascii")
    with pytest.raises(DataError, match="no complete coding gene"):
        calibrate_model(settings_of(model, genome, genomes=(renamed,)))


def test_genomes_and_references_go_in_pairs(model: Path, genome: Path) -> None:
    with pytest.raises(ConfigError, match="references"):
        settings_of(model, genome, references=())


@pytest.mark.parametrize(("clade", "introns"), [("prokaryotes", False), ("unicellular", True)])
def test_a_training_file_tells_how_its_model_annotates(
    genome: Path, tmp_path: Path, clade: str, introns: bool
) -> None:
    bake(
        BakeConfig(
            fasta=genome / "genome.fa",
            gff=genome / "annotation.gff3",
            clade=clade,
            output_dir=tmp_path / "baked",
            tokenizer=SHIPPED / "nano",
            window_size=3000,
            genetic_code=4,
        )
    )
    settings = trained_config(tmp_path / "baked" / "training.packed", 8192)
    assert (settings.window_bp, settings.overlap_bp, settings.genetic_code) == (3000, 1500, 4)
    assert settings.grammar.introns == introns
    assert ("GTG" in settings.grammar.start_codons) == (not introns)
    save_calling_config(settings, tmp_path)
    assert load_calling_config(tmp_path, 8192) == settings


@pytest.mark.slow
def test_a_bad_record_stops_the_fit_unless_told_otherwise(
    model: Path, genome: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.gff3"
    text = (genome / "annotation.gff3").read_text(encoding="utf-8")
    bad.write_text(text + "1\t2\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"bad\.gff3:\d+"):
        calibrate_model(settings_of(model, genome, references=(bad,)))
    calibrate_model(settings_of(model, genome, references=(bad,), skip_bad=True))


def test_only_what_is_learned_from_genomes_is_fitted_when_asked(
    model: Path, genome: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    former = load_calling_config(model, 8192)
    adapt = AdaptConfig(min_score=0.7)
    monkeypatch.setattr(calibrate, "annotate_and_label", lambda *_: ([], None))
    monkeypatch.setattr(calibrate, "fit_adapt", lambda *_: adapt)
    fitted = calibrate_model(settings_of(model, genome, adapt_only=True))
    assert fitted == replace(former, adapt=adapt)
    assert load_calling_config(model, 8192) == fitted


def curve(monkeypatch: pytest.MonkeyPatch, f1: dict[float, float]) -> float:
    """The threshold that is chosen where these have their F1, and all others 0.5."""

    def evaluate(_calling: object, threshold: float, *_: object) -> Scores:
        level = SimpleNamespace(f1=f1.get(threshold, 0.5), sensitivity=1.0, precision=1.0)
        return cast("Scores", SimpleNamespace(levels={"stop": level}))

    monkeypatch.setattr(calibrate, "_evaluate", evaluate)
    return calibrate.choose_threshold(CallingConfig(), [], [cast("calibrate.Truth", None)])


def test_of_thresholds_that_are_as_good_the_middle_one_is_chosen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert curve(monkeypatch, {0.4: 0.9801, 0.45: 0.9790, 0.5: 0.9802, 0.55: 0.9700}) == 0.45
    assert curve(monkeypatch, {0.6: 0.98}) == 0.6


def choices(right_first: int, wrong: int) -> Taught:
    """Choices between two starts; votes speak for the first, which is right so many times."""
    number = right_first + wrong
    features = np.zeros((2 * number, len(START_FEATURES)))
    features[::2, 0] = 1.0
    right = 2 * np.arange(number) + (np.arange(number) >= right_first)
    firsts = 2 * np.arange(number + 1)
    return Taught(cast("GenomeModel", None), (), features, firsts, right, number)


def test_genomes_whose_annotated_starts_are_doubtful_teach_no_weights() -> None:
    good, doubtful = choices(95, 5), choices(60, 40)
    alone = fit_starts([good])
    assert fit_starts([good, doubtful]) == alone
    assert fit_starts([doubtful]).weights["votes"] < alone.weights["votes"]
