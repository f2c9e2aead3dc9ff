"""A model gets channels of evidence by training, whatever it was before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from genet5.config.evidence import EvidenceConfig
from genet5.config.manifest import check_files
from genet5.config.model import EVIDENCE_CHANNELS
from genet5.config.parts import PartsConfig
from genet5.config.train import TrainConfig
from genet5.errors import ConfigError
from genet5.model.folders import load_config
from genet5.model.network import GeneT5
from genet5.train.run import run_training
from genet5.train.setup import describe

NAME = "evidence.conv.weight"


def config_of(toy_run: Path, out: Path, steps: int = 4) -> TrainConfig:
    """A run of a few windows a step with evidence, that keeps its checkpoints at 2 and 4 steps."""
    paths = {name: toy_run / f"{name}.packed" for name in ("training", "validation")}
    config = TrainConfig(
        train=paths["training"], val=paths["validation"], out=out, base=toy_run / "base",
        evidence=EvidenceConfig(evidence=True, evidence_absent=0.2),
    )  # fmt: skip
    return replace(
        config,
        duration=replace(config.duration, max_steps=steps),
        batch=replace(config.batch, batch_size=2, num_workers=0),
        checkpoints=replace(config.checkpoints, save_steps=2),
        validation=replace(config.validation, eval_batches=1, eval_windows=2),
        compute=replace(config.compute, device="cpu"),
    )


@pytest.fixture(scope="module")
def trained(toy_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("evidence") / "run"
    run_training(config_of(toy_run, out))
    return out


def test_a_base_without_channels_gets_them(trained: Path, toy_run: Path) -> None:
    assert load_config(toy_run / "base").evidence_channels == 0
    for folder in (trained, trained / "best", *(trained / "checkpoints").glob("step-*")):
        assert load_config(folder).evidence_channels == EVIDENCE_CHANNELS
        assert check_files(folder)
    assert GeneT5.from_pretrained(trained).evidence.conv.weight.any()


@pytest.mark.slow
def test_a_resumed_run_equals_an_uninterrupted_one(
    trained: Path, toy_run: Path, tmp_path: Path
) -> None:
    config = config_of(toy_run, tmp_path / "run")
    begun = replace(config.checkpoints, checkpoint=trained / "checkpoints" / "step-00000002")
    run_training(replace(config, checkpoints=begun))
    whole, resumed = (load_file(each / "model.safetensors") for each in (trained, config.out))
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.slow
def test_a_model_with_channels_is_trained_further_with_and_without_evidence(
    trained: Path, toy_run: Path, tmp_path: Path
) -> None:
    before = load_file(trained / "model.safetensors")[NAME]
    for has_evidence in (True, False):
        config = config_of(toy_run, tmp_path / str(has_evidence), steps=1)
        evidence = replace(config.evidence, evidence=has_evidence, evidence_absent=0.0)
        run_training(replace(config, base=trained, evidence=evidence))
        after = load_file(config.out / "model.safetensors")[NAME]
        assert torch.equal(before, after) != has_evidence


def test_a_dry_run_counts_the_channels(toy_run: Path, tmp_path: Path) -> None:
    config = config_of(toy_run, tmp_path / "run")
    with_evidence = describe(config)
    plain = describe(replace(config, evidence=EvidenceConfig()))
    counts = [int(text.split()[1].replace(",", "")) for text in (with_evidence, plain)]
    assert counts[0] - counts[1] == EVIDENCE_CHANNELS * 16 * 9


def test_adapters_train_no_channels(toy_run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be combined with evidence"):
        replace(config_of(toy_run, tmp_path / "run"), parts=PartsConfig(lora_rank=2))
