"""Runs that torchrun has restarted, and settings: which exclude each other, and their effect."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from genet5.config.json_files import save_json
from genet5.errors import CheckpointError, ConfigError
from genet5.train.distributed.processes import distributed
from genet5.train.setup import load_model
from genet5.train.state.restart import after_restart, is_restart
from genet5.train.state.run_folder import RunFolder


def with_checkpoints(config: Any, **changes: Any) -> Any:
    return replace(config, checkpoints=replace(config.checkpoints, **changes))


def checkpoint(folder: Path, step: int) -> Path:
    path = folder / f"step-{step:08d}"
    path.mkdir(parents=True)
    save_json(path / "trainer.json", {"step": step})
    return path


def prepare(config: Any, agent: str | None) -> Any:
    """Start as `finetune` does, up to where the model is loaded; return the settings that hold."""
    if is_restart(config.out, agent):
        config = after_restart(config)
    folder = RunFolder(config)
    folder.check()
    folder.begin(agent)
    return config.checkpoints


def test_a_restarted_run_deletes_nothing_and_resumes(toy: Any, tmp_path: Path) -> None:
    config = with_checkpoints(toy.config(tmp_path), overwrite=True)
    old = checkpoint(tmp_path / "checkpoints", 900)
    assert prepare(config, "host 7 1").overwrite
    assert not old.exists()
    own = checkpoint(tmp_path / "checkpoints", 3)
    found = prepare(config, "host 7 1")
    assert (found.resume, found.checkpoint, found.overwrite) == (True, None, False)
    assert own.exists()


def test_a_death_before_out_was_prepared_changes_nothing(toy: Any, tmp_path: Path) -> None:
    """The old run in OUT is not taken for its own."""
    checkpoint(tmp_path / "checkpoints", 900)
    assert prepare(with_checkpoints(toy.config(tmp_path), resume=True), "host 5 1").resume
    config = with_checkpoints(toy.config(tmp_path), overwrite=True)
    assert not is_restart(tmp_path, "host 7 1")
    assert prepare(config, "host 7 1").overwrite
    checkpoint(tmp_path / "checkpoints", 1)
    with pytest.raises(ConfigError, match="holds an earlier run"):
        prepare(toy.config(tmp_path), "host 8 1")


def test_without_torchrun_nothing_is_a_restart(toy: Any, tmp_path: Path) -> None:
    prepare(toy.config(tmp_path), "host 7 1")
    prepare(toy.config(tmp_path), None)
    assert not is_restart(tmp_path, None)
    assert not is_restart(tmp_path, "host 7 1")


def test_it_prefers_its_own_checkpoints_to_the_one_it_began_from(toy: Any, tmp_path: Path) -> None:
    """Those of another run in OUT are not its own, whatever their steps."""
    begun = checkpoint(tmp_path / "elsewhere", 7)
    out = tmp_path / "out"
    for step in (5, 7, 900):
        checkpoint(out / "checkpoints", step)
    config = with_checkpoints(toy.config(out), checkpoint=begun)
    assert prepare(config, "host 7 1").checkpoint == begun
    assert sorted(path.name for path in (out / "checkpoints").iterdir()) == [
        "aside-step-00000007",
        "aside-step-00000900",
        "step-00000005",
    ]
    assert prepare(config, "host 7 1").checkpoint == begun
    checkpoint(out / "checkpoints", 9)
    found = prepare(config, "host 7 1")
    assert (found.resume, found.checkpoint) == (True, None)


def test_it_resumes_from_a_checkpoint_in_out_though_later_ones_were_there(
    toy: Any, tmp_path: Path
) -> None:
    begun = checkpoint(tmp_path / "checkpoints", 100)
    checkpoint(tmp_path / "checkpoints", 900)
    config = with_checkpoints(toy.config(tmp_path), checkpoint=begun)
    prepare(config, "host 7 1")
    found = prepare(config, "host 7 1")
    assert (found.resume, found.checkpoint) == (True, None)
    assert [path.name for path in (tmp_path / "checkpoints").glob("step-*")] == ["step-00000100"]


def test_what_is_no_checkpoint_is_named(toy: Any, tmp_path: Path) -> None:
    config = with_checkpoints(toy.config(tmp_path), checkpoint=tmp_path / "nothing")
    with pytest.raises(CheckpointError, match="nothing is no checkpoint"):
        prepare(config, None)


def test_the_agent_is_the_parent_under_torchrun_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    with distributed("cpu") as ranks:
        assert ranks.agent is None
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    with distributed("cpu") as ranks, distributed("cpu") as again:
        assert ranks.agent == again.agent
        assert str(os.getppid()) in (ranks.agent or "").split()


def test_8_bit_moments_are_not_shared_out(toy: Any, tmp_path: Path) -> None:
    config = toy.config(tmp_path)
    shared = replace(config, compute=replace(config.compute, parallel="fsdp"))
    with pytest.raises(ConfigError, match="adamw_8bit"):
        replace(shared, optim=replace(config.optim, optimizer="adamw_8bit"))


def test_settings_of_recomputation_need_it(toy: Any, tmp_path: Path) -> None:
    compute = toy.config(tmp_path).compute
    for change in ({"checkpoint_keep": "products"}, {"checkpoint_every": 2}):
        with pytest.raises(ConfigError, match="no effect without gradient_checkpointing"):
            replace(compute, **change)
        replace(compute, gradient_checkpointing=True, **change)


def test_settings_of_recomputation_reach_the_model(toy: Any, tmp_path: Path) -> None:
    toy.tiny_gene_model().save_pretrained(tmp_path)
    config = replace(toy.config(tmp_path / "out"), base=tmp_path)
    compute = replace(
        config.compute, gradient_checkpointing=True, checkpoint_every=2, checkpoint_keep="products"
    )
    model = load_model(replace(config, compute=compute), torch.device("cpu"))
    kept = [layer.keep for layer in (*model.encoder.layers, *model.decoder.layers)]
    assert "products" in kept
    assert None in kept
