"""Weights & Biases itself, offline; its import alone takes seconds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from genet5.train.telemetry.trackers import WandbSink


@pytest.mark.robust
def test_wandb_continues_the_run_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    ids = []
    for step in (1, 2):
        sink = WandbSink("project", {"lr": 0.1}, tmp_path)
        sink.write("train", step, {"loss": 0.5})
        ids.append(sink._run.id)
        sink.close()
    assert ids[0] == ids[1] == json.loads((tmp_path / "wandb.json").read_text())["id"]
    assert {path.name for path in tmp_path.iterdir()} == {"wandb", "wandb.json"}
