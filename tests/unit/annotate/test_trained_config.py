"""A freshly trained model's annotate.json: its base's, unless the training file differs in kind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from genet5.annotate import trained_config
from genet5.annotate.calling_config import CallingConfig, load_calling_config, save_calling_config
from genet5.annotate.gene_score import ScoringConfig
from genet5.annotate.plan import plan_model
from genet5.annotate.trained_config import write_trained_config
from genet5.config.annotate import AnnotatorConfig
from genet5.model.network import GeneT5
from toys import tiny_gene_model

TRAINED = CallingConfig(window_bp=600, overlap_bp=300, genetic_code=4)


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """BASE, and OUT with a trained model; what the training file tells is given."""
    monkeypatch.setattr(trained_config, "trained_config", lambda packed, limit: TRAINED)
    model: GeneT5 = tiny_gene_model()
    model.save_pretrained(tmp_path / "out")
    (tmp_path / "base").mkdir()
    return tmp_path / "base", tmp_path / "out"


def written(base: Path, out: Path) -> CallingConfig:
    write_trained_config(Path("training.packed"), base, out)
    return load_calling_config(out, 8192)


def test_without_the_bases_it_is_that_of_the_training_file(folders: tuple[Path, Path]) -> None:
    assert written(*folders) == TRAINED


def test_a_base_of_the_same_kind_hands_on_its_own(folders: tuple[Path, Path]) -> None:
    uncalibrated = replace(TRAINED, min_score=0.7, window_bp=400, overlap_bp=200)
    save_calling_config(uncalibrated, folders[0])
    assert written(*folders) == uncalibrated


def test_scores_of_the_base_are_marked_and_annotate_warns(
    folders: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    base, out = folders
    save_calling_config(replace(TRAINED, scoring=ScoringConfig(bias=2.0)), base)
    assert written(base, out).scores_of_base
    plan_model(AnnotatorConfig(model=str(out)))
    assert f"genet5 calibrate {out} fits them" in caplog.text
    save_calling_config(replace(load_calling_config(out, 8192), scores_of_base=False), out)
    assert "scores_of_base" not in (out / "annotate.json").read_text()
    caplog.clear()
    plan_model(AnnotatorConfig(model=str(out)))
    assert not caplog.text


def test_a_base_of_another_genetic_code_does_not(folders: tuple[Path, Path]) -> None:
    save_calling_config(replace(TRAINED, min_score=0.7, genetic_code=11), folders[0])
    assert written(*folders) == TRAINED


def test_what_a_model_has_is_kept(folders: tuple[Path, Path]) -> None:
    kept = replace(TRAINED, min_score=0.9)
    save_calling_config(kept, folders[1])
    assert written(*folders) == kept


def test_a_folder_without_a_model_gets_none(folders: tuple[Path, Path], tmp_path: Path) -> None:
    write_trained_config(Path("training.packed"), folders[0], tmp_path)
    assert not (tmp_path / "annotate.json").exists()
