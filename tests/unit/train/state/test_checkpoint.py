"""Checkpoints: all of the state comes back, half a checkpoint does not exist, old ones go."""

from __future__ import annotations

import json
import random
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from genet5.config.json_files import config_to_dict, save_json
from genet5.config.manifest import MANIFEST
from genet5.config.train import OptimConfig
from genet5.errors import CheckpointError
from genet5.model import files
from genet5.model.files import load_weights
from genet5.model.folders import list_checkpoints
from genet5.model.network import GeneT5
from genet5.train.distributed.processes import Ranks
from genet5.train.optim import WeightAverage, build_optimizer
from genet5.train.state.checkpoint import CheckpointWriter, _part, load_checkpoint
from genet5.train.state.run_state import Progress, RunState, state_tensors


def make_state(toy: Any, seed: int, steps: int, **optim: Any) -> RunState:
    """Return a state after some steps; the parameter "unused" has no gradient and so no moments."""
    torch.manual_seed(seed)
    model = toy.Model()
    optimizer = build_optimizer(model, OptimConfig(lr=0.01, **optim))
    average = WeightAverage(model, 0.9)
    for number in range(steps):
        toy.sums(model(toy.batch(number)), toy.batch(number))["token"].sum.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        average.update(model)
    return RunState(model, optimizer, toy.Source(), Progress(step=steps), average)


def save(directory: Path, state: RunState, **settings: Any) -> Path:
    writer = CheckpointWriter(directory, Ranks(), **settings)
    writer.save(state)
    writer.wait()
    return list_checkpoints(directory)[-1]


def test_everything_comes_back_to_the_bit(toy: Any, tmp_path: Path) -> None:
    saved = make_state(toy, 1, 3)
    saved.source.load_state_dict({"epoch": 2, "step": 5})
    saved.progress.best_loss, saved.progress.interval = 0.1 + 0.2, {"loss": 1 / 3}
    path = save(tmp_path, saved, record={"settings": {"lr": 1}})
    drawn = torch.rand(3), random.random(), np.random.random()  # noqa: NPY002
    found = make_state(toy, 2, 0)
    record = load_checkpoint(path, found, Ranks())
    assert (torch.rand(3) == drawn[0]).all()
    assert (random.random(), np.random.random()) == drawn[1:]  # noqa: NPY002
    assert record["settings"] == {"lr": 1}
    assert found.progress == saved.progress
    assert found.source.state_dict() == {"epoch": 2, "step": 5}
    pairs = zip(found.model.parameters(), saved.model.parameters(), strict=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)
    assert found.model.head.weight is found.model.embedding.weight
    for ours, theirs in zip(
        found.optimizer.state_dict()["state"].values(),
        saved.optimizer.state_dict()["state"].values(),
        strict=True,
    ):
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert found.average is not None
    assert saved.average is not None
    assert found.average.steps == 3
    assert all(torch.equal(found.average.average[n], w) for n, w in saved.average.average.items())


def test_a_checkpoint_holds_no_pickle_and_its_companions(toy: Any, tmp_path: Path) -> None:
    path = save(
        tmp_path,
        make_state(toy, 1, 1),
        write_companions=lambda path: (path / "config.json").touch(),
    )
    assert {file.suffix for file in path.rglob("*") if file.is_file()} == {".json", ".safetensors"}
    assert (path / "config.json").exists()


def test_the_state_may_change_while_it_is_written(toy: Any, tmp_path: Path) -> None:
    state = make_state(toy, 1, 1)
    before = {name: weight.detach().clone() for name, weight in state.model.named_parameters()}
    writer = CheckpointWriter(tmp_path, Ranks())
    writer.save(state)
    with torch.no_grad():
        for weight in state.model.parameters():
            weight.fill_(7.0)
    writer.wait()
    found = make_state(toy, 2, 0)
    load_checkpoint(list_checkpoints(tmp_path)[-1], found, Ranks())
    assert all(torch.equal(weight, before[name]) for name, weight in found.model.named_parameters())


def test_ranks_that_hold_the_same_tensors_save_a_part_each(toy: Any) -> None:
    tensors = state_tensors(make_state(toy, 1, 1))
    parts = [_part(tensors, Ranks(rank, 3)) for rank in range(3)]
    assert sorted(name for part in parts for name in part) == sorted(tensors)
    sizes = [sum(tensor.nbytes for tensor in part.values()) for part in parts]
    assert max(sizes) - min(sizes) <= max(tensor.nbytes for tensor in tensors.values())
    assert _part(tensors, Ranks()).keys() == tensors.keys()


def test_the_last_ones_are_kept_and_leftovers_go(toy: Any, tmp_path: Path) -> None:
    (tmp_path / ".step-00000009.tmp").mkdir()
    state = make_state(toy, 1, 1)
    for step in (1, 5, 3, 1000):
        state.progress.step = step
        save(tmp_path, state, keep_last=2)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-00000005", "step-00001000"]
    assert not list(tmp_path.glob(".step*"))


class FullDisk:
    """Writes tensors as `write_tensors` does, while there is room."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_full, self._write = True, files.save_file
        monkeypatch.setattr(files, "save_file", self)

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        if self.is_full:
            raise OSError("disk full")
        self._write(*args, **kwargs)


@pytest.mark.parametrize("name", ["rank", "shard"])  # in the loop, and in the background
def test_a_write_that_fails_is_reported_and_the_next_save_tries_again(
    toy: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    disk, save_file = FullDisk(monkeypatch), files.save_file
    monkeypatch.setattr(
        files,
        "save_file",
        lambda tensors, path, **more: (
            save_file if name in Path(path).name else disk._write
        )(tensors, path, **more),
    )  # fmt: skip
    state, writer = make_state(toy, 1, 1), CheckpointWriter(tmp_path, Ranks())
    writer.save(state)
    assert not writer.wait()
    assert caplog.text.count("disk full; the next save tries again") == 1
    assert list(tmp_path.iterdir()) == [] or name == "rank"
    disk.is_full = False
    state.progress.step = 2
    assert writer.save(state)
    assert writer.wait()
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000002"]
    disk.is_full = True
    writer.save(state)
    assert not writer.wait()
    with pytest.raises(CheckpointError, match=r"twice in a row: .*disk full"):
        writer.save(state) and writer.wait()


def test_all_files_of_a_checkpoint_have_the_rights_of_new_files(toy: Any, tmp_path: Path) -> None:
    (tmp_path / "new").touch()
    mode = (tmp_path / "new").stat().st_mode
    path = save(tmp_path, make_state(toy, 1, 1))
    files = [file for file in path.rglob("*") if file.is_file()]
    assert {file.suffix for file in files} >= {".safetensors", ".json"}
    assert {file.stat().st_mode for file in files} == {mode}


def test_an_old_checkpoint_that_cannot_be_deleted_is_reported(
    toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    state = make_state(toy, 1, 1)
    writer = CheckpointWriter(tmp_path, Ranks(), keep_last=1)

    def refuse(path: Path, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            raise OSError(f"{path} is in use")

    monkeypatch.setattr(shutil, "rmtree", refuse)
    for step in (1, 2):
        state.progress.step = step
        writer.save(state)
        writer.wait()
    assert [path.name[-1] for path in list_checkpoints(tmp_path)] == ["1", "2"]
    assert "could not be deleted" in caplog.text


def test_a_checkpoint_gives_its_moving_average_as_the_model(toy: Any, tmp_path: Path) -> None:
    state = make_state(toy, 1, 2)
    assert state.average is not None
    found = load_weights(save(tmp_path, state))
    assert all(torch.equal(found[name], mean) for name, mean in state.average.average.items())
    plain = load_weights(save(tmp_path / "plain", replace(state, average=None)))
    assert found.keys() == plain.keys()
    weights = dict(state.model.named_parameters())
    assert all(torch.equal(plain[name], weights[name]) for name in state.average.average)


def test_another_model_or_an_incomplete_checkpoint_is_refused(toy: Any, tmp_path: Path) -> None:
    path = save(tmp_path, make_state(toy, 1, 1))
    other = make_state(toy, 1, 0)
    other.model.linear = torch.nn.Linear(16, 4)
    with pytest.raises(CheckpointError, match=r"differ in 8 tensors, the first is linear\.bias"):
        load_checkpoint(path, other, Ranks())
    next((path / "state").iterdir()).unlink()
    with pytest.raises(CheckpointError, match="holds no shard"):
        load_checkpoint(path, make_state(toy, 1, 0), Ranks())
    (path / "trainer.json").unlink()
    with pytest.raises(CheckpointError, match="no checkpoint"):
        load_checkpoint(path, make_state(toy, 1, 0), Ranks())


def test_damage_in_any_file_of_a_checkpoint_is_found(toy: Any, tmp_path: Path) -> None:
    state = make_state(toy, 1, 1)
    path = save(tmp_path, state)
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        whole = file.read_bytes()
        for at in (len(whole) // 2, len(whole) - 2):
            file.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
            with pytest.raises(CheckpointError, match=re.escape(str(file))):
                load_checkpoint(path, state, Ranks())
        file.write_bytes(whole)
    load_checkpoint(path, state, Ranks())


def test_a_checkpoint_without_checksums_is_read_with_a_warning(
    toy: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = make_state(toy, 1, 1)
    path = save(tmp_path, state)
    (path / MANIFEST).unlink()
    load_checkpoint(path, state, Ranks())
    assert "was written without checksums" in caplog.text


def test_another_format_is_refused(toy: Any, tmp_path: Path) -> None:
    path = save(tmp_path, make_state(toy, 1, 1))
    record = json.loads((path / "trainer.json").read_text())
    (path / "trainer.json").write_text(json.dumps({**record, "format": 99}))
    with pytest.raises(CheckpointError, match="format 99"):
        load_checkpoint(path, make_state(toy, 1, 0), Ranks())


def test_another_number_of_ranks_resumes_at_the_same_place(
    toy: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = make_state(toy, 1, 1)
    state.source.state_dict = lambda: {"epoch": 1, "step": 6, "world_size": 1}
    path = save(tmp_path, state)
    found = make_state(toy, 1, 0)
    seen: dict[str, Any] = {}
    found.source.load_state_dict = seen.update
    load_checkpoint(path, found, Ranks(1, 2))
    assert seen == {"epoch": 1, "step": 3, "world_size": 2}
    assert "slightly different losses" in caplog.text


def test_a_checkpoint_is_a_model_directory(toy: Any, tmp_path: Path) -> None:
    model = toy.tiny_gene_model(4)
    state = RunState(model, build_optimizer(model, OptimConfig()), toy.Source(), Progress(step=1))
    path = save(
        tmp_path,
        state,
        write_companions=lambda path: save_json(path / "config.json", config_to_dict(model.config)),
    )
    found = GeneT5.from_pretrained(path)
    assert found.config == model.config
    expected = model.stored()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found.stored().items())
    shard = next((path / "state").iterdir())
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="state"):
        GeneT5.from_pretrained(path)
