"""Several ranks equal one rank with more accumulation, also after a resume."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from genet5.errors import ConfigError
from genet5.train.distributed.processes import Ranks, choose_device, distributed
from ranks import run_ranks

pytestmark = pytest.mark.slow

WORKER = Path(__file__).with_name("rank_worker.py")


def rows(out: Path) -> list[dict[str, Any]]:
    lines = (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


KEPT = ("kind", "step", "loss", "loss_token", "loss_position", "grad_norm")


def figures(out: Path) -> list[list[Any]]:
    return [[row.get(name) for name in KEPT] for row in rows(out)]


@pytest.fixture(scope="module")
def alone(python: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One rank, four micro-batches a step."""
    out = tmp_path_factory.mktemp("alone")
    run_ranks(python, 1, WORKER, out, "ddp")
    return out / "ddp"


@pytest.fixture(scope="module")
def two_ranks(python: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two ranks, two micro-batches each."""
    out = tmp_path_factory.mktemp("two")
    run_ranks(python, 2, WORKER, out, "ddp", "fsdp")
    return out


MODES = pytest.mark.parametrize("mode", ["ddp", "fsdp"])


def assert_close(ours: Path, theirs: Path) -> None:
    """The sums of fp32 gradients are taken in another order."""
    for mine, other in zip(rows(ours), rows(theirs), strict=True):
        assert ("weight" in mine) == (mine["kind"] == "validation")  # the evaluator's
        for name in (
            "step",
            "loss",
            "loss_token",
            "loss_position",
            "grad_norm",
            "tokens",
            "weight",
        ):
            assert mine.get(name, 0) == pytest.approx(other.get(name, 0), rel=1e-4)
    mine, other = (load_file(out / "model.safetensors") for out in (ours, theirs))
    for name, weight in other.items():
        torch.testing.assert_close(mine[name], weight, rtol=1e-3, atol=1e-5)


@MODES
def test_two_ranks_equal_one_with_more_accumulation(
    alone: Path, two_ranks: Path, mode: str
) -> None:
    assert_close(two_ranks / mode / "whole", alone / "whole")


@MODES
def test_both_ranks_hold_equal_weights(two_ranks: Path, mode: str) -> None:
    one, other = (
        load_file(two_ranks / mode / "whole" / f"weights-{rank}.safetensors") for rank in range(2)
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


@MODES
def test_two_ranks_resume_to_the_bit(two_ranks: Path, mode: str) -> None:
    runs = two_ranks / mode
    assert figures(runs / "resumed") == figures(runs / "whole")
    ours, theirs = (load_file(runs / run / "model.safetensors") for run in ("resumed", "whole"))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_one_rank_resumes_the_run_of_two_that_shared_the_model(
    python: str, two_ranks: Path, alone: Path, tmp_path: Path
) -> None:
    run_ranks(python, 1, WORKER, tmp_path / "out", f"OTHER={two_ranks / 'fsdp' / 'stopped'},ddp")
    assert_close(tmp_path / "out", alone / "whole")


def test_two_ranks_share_the_model_of_a_run_of_one(
    python: str, alone: Path, tmp_path: Path
) -> None:
    run_ranks(python, 2, WORKER, tmp_path / "out", f"OTHER={alone / 'stopped'},fsdp")
    assert_close(tmp_path / "out", alone / "whole")


def test_alone_every_call_returns_at_once() -> None:
    ranks = Ranks()
    value = torch.tensor([1.0, 2.0])
    assert torch.equal(ranks.sum(value), value)
    assert ranks.gather("x") == ["x"]
    ranks.barrier()
    assert ranks.is_first


def test_without_torchrun_the_run_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    with distributed("cpu") as ranks:
        assert (ranks.rank, ranks.world_size, ranks.device.type) == (0, 1, "cpu")


def test_fewer_gpus_than_processes_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("auto", 1) == torch.device("cuda", 1)
    with pytest.raises(ConfigError, match=r"LOCAL_RANK.*sees 2 GPUs.*--nproc-per-node"):
        choose_device("auto", 2)


def test_a_device_that_is_not_there_is_named() -> None:
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="device"):
            choose_device("cuda")
