"""What `finet` needs, data and a model of some thousand weights, and what shell scripts need."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

import toys
from builders import tiny_config
from genet5.annotate.calling_config import CallingConfig, save_calling_config
from genet5.model.network import GeneT5
from genet5.tokens.grammar import prokaryote_options
from genet5.tokens.sequence import KmerTokenizer
from genet5.tokens.tokenizer_file import Tokenizer, save_tokenizer


@pytest.fixture(scope="session")
def toy_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """training.packed, validation.packed and base, a model with dropout."""
    return toys.make_toy_run(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="session")
def calling_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with random weights that calls genes in windows of 1,024 bp."""
    folder = tmp_path_factory.mktemp("calling_model")
    config = tiny_config(encoder={"norm_first": False}, compressor={"num_latents": 128})
    model = GeneT5(config)
    model.init_weights(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(6.0 if weight.dim() > 1 else 1.0)
    model.save_pretrained(folder)
    save_tokenizer(Tokenizer(KmerTokenizer(4)), folder)
    grammar = prokaryote_options(max_labels=64)
    save_calling_config(
        CallingConfig(window_bp=1024, overlap_bp=512, grammar=grammar, min_score=0.0), folder
    )
    return folder


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """The whole PATH in one folder: programs that the scripts use, without docker and GPU tools."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in "bash env dirname id cat grep mkdir tail timeout cut paste".split():  # noqa: SIM905
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    return folder
