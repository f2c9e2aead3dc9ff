"""What a rank does with its model and its run, in a process group that has no other member."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from genet5.train.distributed import parallel, processes
from genet5.train.distributed.parallel import Parallel
from genet5.train.distributed.processes import Ranks, abandon, distributed
from toys import ToyModel, toy_batch

FIRST, SECOND = Ranks(0, 2), Ranks(1, 2)


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A group of this process alone, which is taken for one of two ranks."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    monkeypatch.setattr(parallel, "init_device_mesh", lambda kind, _: init_device_mesh(kind, (1,)))
    yield
    dist.destroy_process_group()


def model() -> ToyModel:
    torch.manual_seed(1)
    return ToyModel(dropout=0.0)


def gradients(call: Any) -> list[torch.Tensor]:
    """Of all parameters that take part, by shape and size."""
    call(toy_batch(1)).square().sum().backward()
    found = [parallel.whole(p.grad) for p in call.parameters() if p.grad is not None]
    return sorted((g for g in found if g.any()), key=lambda g: (g.shape, float(g.sum())))


def assert_close(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> None:
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_alone_nothing_is_wrapped() -> None:
    plain = model()
    alone = Parallel(plain, Ranks(), "fsdp", use_bf16=False)
    assert alone.call is plain
    assert alone.undivided(is_wanted=True) is plain
    with alone.accumulate(is_last=False):
        assert_close(gradients(alone.call), gradients(model()))


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize("mode", ["ddp", "fsdp"])
def test_gradients_are_those_of_the_model(mode: Any) -> None:
    ours = Parallel(model(), FIRST, mode, use_bf16=False)
    with ours.accumulate(is_last=True):
        assert_close(gradients(ours.call), gradients(model()))


@pytest.mark.usefixtures("group")
def test_ddp_sums_over_ranks_with_the_last_micro_batch_only() -> None:
    ours = Parallel(model(), FIRST, "ddp", use_bf16=False)
    assert isinstance(ours.call, DistributedDataParallel)
    for is_last in (False, True):
        with ours.accumulate(is_last=is_last):
            assert ours.call.require_backward_grad_sync is is_last


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize("use_bf16", [False, True])
def test_fsdp_divides_every_tensor_and_gives_them_back_whole(use_bf16: bool) -> None:
    before = {name: tensor.clone() for name, tensor in model().stored().items()}
    ours = Parallel(model(), FIRST, "fsdp", use_bf16=use_bf16)
    assert ours.is_sharded
    assert all(isinstance(p, DTensor) for p in ours.model.parameters())
    with torch.autocast("cpu", torch.bfloat16, enabled=use_bf16):
        assert ours.call(toy_batch(1)).dtype == torch.float32
    assert all(torch.equal(ours.weights()[name], tensor) for name, tensor in before.items())
    copy = ours.undivided(is_wanted=True)
    assert copy is not None
    assert copy is not ours.model
    assert not any(isinstance(p, DTensor) for p in copy.parameters())
    assert ours.undivided(is_wanted=False) is None


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize("mode", ["ddp", "fsdp"])
def test_only_the_first_rank_gets_the_weights(mode: Any) -> None:
    assert Parallel(model(), SECOND, mode, use_bf16=False).weights() == {}


@pytest.mark.usefixtures("group")
def test_a_whole_model_is_used_as_it_is() -> None:
    ours = Parallel(model(), SECOND, "ddp", use_bf16=False)
    assert ours.undivided(is_wanted=True) is ours.model
    assert ours.undivided(is_wanted=False) is None


def test_sums_and_values_are_those_of_all_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    def gather(values: list[Any], value: Any) -> None:
        values[:] = [value, "theirs"]

    waited: list[int] = []
    fake = SimpleNamespace(
        all_reduce=lambda tensor: tensor.add_(10),
        all_gather_object=gather,
        barrier=lambda: waited.append(1),
    )
    monkeypatch.setattr(processes, "dist", fake)
    own = torch.tensor([1.0])
    assert FIRST.sum(own).tolist() == [11.0]
    assert own.tolist() == [1.0]
    assert FIRST.gather("ours") == ["ours", "theirs"]
    FIRST.barrier()
    assert waited


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The environment of the second of two ranks; what was done with the process group."""
    done: list[str] = []
    places = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
    for name, value in (places | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    fake = SimpleNamespace(
        init_process_group=lambda backend, **options: done.append(f"{backend} {options['rank']}"),
        new_group=lambda **options: f"group over {options['backend']}",
        destroy_process_group=lambda: done.append("destroyed"),
    )
    monkeypatch.setattr(processes, "dist", fake)
    monkeypatch.setattr(processes, "run_store", lambda *_, **__: dist.HashStore())
    monkeypatch.setattr(processes, "watch_ranks", lambda *_: nullcontext())
    monkeypatch.setattr(processes.time, "sleep", lambda _: None)
    return done


@pytest.mark.slow
def test_a_rank_joins_the_run_and_leaves_it(second: list[str]) -> None:
    with distributed("cpu") as ranks:
        assert (ranks.rank, ranks.world_size, ranks.device.type) == (1, 2, "cpu")
        assert not ranks.is_first
        assert ranks.agent is None
        assert ranks.background == "group over gloo"
        assert second == ["gloo 1"]
    assert second == ["gloo 1", "destroyed"]


def test_after_an_error_the_group_is_left_to_the_dead(second: list[str]) -> None:
    with pytest.raises(RuntimeError, match="no memory"), distributed("cpu"):
        raise RuntimeError("no memory")
    assert second == ["gloo 1"]


def test_torchruns_agent_is_known_by_host_process_and_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    with distributed("cpu") as ranks:
        assert ranks.agent is not None
        _, pid, started = ranks.agent.split()
    assert int(pid) == os.getppid()
    assert started.isdecimal() or not os.path.isdir("/proc")  # noqa: PTH112
    monkeypatch.setattr(os, "getppid", lambda: 2**30)
    with distributed("cpu") as ranks:
        assert str(ranks.agent).endswith(" ?")


def test_a_failed_process_ends_at_once_if_it_is_one_of_several(
    second: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    monkeypatch.setattr(logging, "shutdown", lambda: None)
    abandon(3)
    monkeypatch.delenv("RANK")
    monkeypatch.delenv("WORLD_SIZE")
    abandon(4)
    monkeypatch.setenv("WORLD_SIZE", "many")
    abandon(5)
    assert codes == [3]
