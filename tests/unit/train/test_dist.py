"""Several ranks are one rank with as many times the accumulation: same losses, gradients and weights; and resume so."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from genet5.errors import ConfigError
from genet5.train.dist import Ranks, choose_device, distributed

WORKER = Path(__file__).with_name("rank_worker.py")
PATIENCE_S = 240


def run_distributed(world_size: int, *arguments: object) -> None:
    """Run the worker as that many processes with what torchrun puts into the environment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {
        **os.environ,
        "WORLD_SIZE": str(world_size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    command = [sys.executable, str(WORKER), *map(str, arguments)]
    ranks = [
        subprocess.Popen(
            command,
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(world_size)
    ]
    try:
        texts = [rank.communicate(timeout=PATIENCE_S)[0] for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert [rank.returncode for rank in ranks] == [0] * world_size, "\n".join(texts)


def rows(out: Path) -> list[dict[str, Any]]:
    lines = (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


KEPT = ("kind", "step", "loss", "loss_token", "loss_position", "grad_norm")


def told(out: Path) -> list[list[Any]]:
    return [[row.get(name) for name in KEPT] for row in rows(out)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One rank, two micro-batches a step."""
    out = tmp_path_factory.mktemp("alone")
    run_distributed(1, out, 2)
    return out


@pytest.fixture(scope="module", params=["ddp", "fsdp"])
def two_ranks(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two ranks, one micro-batch each."""
    out = tmp_path_factory.mktemp("two") / request.param
    run_distributed(2, out, 1, 0, request.param)
    return out


def assert_close(ours: Path, theirs: Path) -> None:
    """The sums of fp32 gradients are taken in another order."""
    for mine, other in zip(rows(ours), rows(theirs), strict=True):
        for name in ("step", "loss", "loss_token", "loss_position", "grad_norm", "tokens"):
            assert mine.get(name, 0) == pytest.approx(other.get(name, 0), rel=1e-4)
    mine, other = (load_file(out / "model.safetensors") for out in (ours, theirs))
    for name, weight in other.items():
        torch.testing.assert_close(mine[name], weight, rtol=1e-3, atol=1e-5)


def test_two_ranks_equal_one_rank_with_twice_the_accumulation(two_ranks: Path, alone: Path) -> None:
    assert_close(two_ranks, alone)


def test_all_ranks_hold_equal_weights(two_ranks: Path) -> None:
    first, second = (load_file(two_ranks / f"weights-{rank}.safetensors") for rank in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_two_ranks_resume_to_the_bit(two_ranks: Path, tmp_path: Path) -> None:
    mode = two_ranks.name
    run_distributed(2, tmp_path, 1, 4, mode)
    run_distributed(2, tmp_path, 1, 0, mode)
    assert told(tmp_path) == told(two_ranks)
    ours, theirs = (load_file(out / "model.safetensors") for out in (tmp_path, two_ranks))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


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


def test_a_wrong_environment_or_device_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "first")
    with pytest.raises(ConfigError, match="RANK"), distributed("cpu"):
        pass
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="device"):
            choose_device("cuda")
