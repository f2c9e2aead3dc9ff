"""Calibrating the scores of a model, and the annotate.json of a trained model."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from genet5.annotate.calibrate import calibrate_model
from genet5.annotate.calling_config import load_calling_config, save_calling_config
from genet5.annotate.gene_score import FEATURES
from genet5.annotate.trained_config import trained_config
from genet5.cli.simulate import main as simulate
from genet5.config.bake import BakeConfig
from genet5.config.calibrate import CalibrateConfig
from genet5.dataset.bake import bake
from genet5.errors import ConfigError, DataError
from genet5.model.folders import SHIPPED


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
