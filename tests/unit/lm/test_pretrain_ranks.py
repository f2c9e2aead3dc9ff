"""Two ranks pretrain a language model as one rank with twice the accumulation does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from genet5.config.lm.bake import LmBakeConfig
from genet5.lm.bake import bake
from genet5.lm.folders import load_model
from lm_toys import random_dna, tiny_lm
from ranks import run_ranks

pytestmark = pytest.mark.slow

WORKER = Path(__file__).with_name("lm_rank_worker.py")


@pytest.fixture(scope="module")
def folder(python: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of one rank and of two, with DDP and FSDP."""
    toy = tmp_path_factory.mktemp("ranks")
    lm = tiny_lm("generator")
    records = (f">c{n}\n{random_dna(200, n)}{random_dna(56, n).lower()}\n" for n in range(8))
    (toy / "g.fa").write_text("".join(records))
    config = LmBakeConfig(out=toy, base="-", fasta=toy / "g.fa", window_bp=64, valid_share=0.2)
    bake(config, lm.vocabulary)
    lm.save(toy / "base")
    run_ranks(python, 1, WORKER, toy, "ddp")
    for mode in ("ddp", "fsdp"):  # a process joins one group
        run_ranks(python, 2, WORKER, toy, mode)
    return toy


@pytest.mark.parametrize("mode", ["ddp", "fsdp"])
def test_two_ranks_equal_one(folder: Path, mode: str) -> None:
    one, two = (
        [json.loads(line) for line in (folder / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("ddp_1", f"{mode}_2")
    )
    for name in ("loss", "bits_per_base"):
        ours, theirs = ([row[name] for row in rows if name in row] for rows in (one, two))
        assert len(ours) >= 4
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    weights = [load_model(str(folder / n)).network.state_dict() for n in ("ddp_1", f"{mode}_2")]
    for name in weights[0]:
        torch.testing.assert_close(weights[0][name], weights[1][name], rtol=1e-4, atol=1e-5)
