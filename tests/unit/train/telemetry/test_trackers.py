"""TensorBoard and Weights & Biases: one run however often it is resumed, with its files in OUT."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from genet5.errors import ConfigError
from genet5.train.telemetry import trackers
from genet5.train.telemetry.trackers import TensorBoardSink, WandbSink


def test_a_missing_tracker_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"genet5\[track\]"):
        WandbSink("project", {}, tmp_path)
    with pytest.raises(ConfigError, match=r"genet5\[track\]"):
        TensorBoardSink(tmp_path)


def test_a_tracker_without_a_row_leaves_no_file(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    TensorBoardSink(tmp_path / "tensorboard").close()
    assert not (tmp_path / "tensorboard").exists()


@pytest.mark.slow
def test_tensorboard_shows_each_step_once_after_a_resume(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for first, losses in ((1, [5.0, 4.0, 3.0]), (3, [2.0, 1.0])):
        sink = TensorBoardSink(tmp_path)
        if first > 1:
            sink.resume(first - 1, evaluated=True)
        for step, loss in enumerate(losses, first):
            sink.write("train", step, {"loss": loss})
        sink.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    found = [(event.step, event.value) for event in events.Scalars("train/loss")]
    assert found == [(1, 5.0), (2, 4.0), (3, 2.0), (4, 1.0)]


class FakeWandb:
    """Takes what `wandb` takes, and notes it."""

    def __init__(self) -> None:
        self.opened: list[dict[str, Any]] = []
        self.rows: list[tuple[int, dict[str, float]]] = []

    def init(self, **settings: Any) -> FakeWandb:
        self.opened.append(settings)
        return self

    def log(self, values: dict[str, float], step: int) -> None:
        self.rows.append((step, values))

    def finish(self) -> None: ...


def test_wandb_continues_the_run_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make test-robust` has the same with the real one: its import takes seconds."""
    fake = FakeWandb()
    monkeypatch.setattr(trackers, "find_spec", lambda name: name)
    monkeypatch.setattr(trackers.importlib, "import_module", lambda name: fake)
    for step in (1, 2):
        sink = WandbSink("project", {"lr": 0.1}, tmp_path)
        sink.write("train", step, {"loss": 0.5})
        sink.close()
    first, second = fake.opened
    assert first == second
    assert first["id"] == json.loads((tmp_path / "wandb.json").read_text())["id"]
    assert (first["resume"], first["dir"]) == ("allow", str(tmp_path))
    assert fake.rows == [(1, {"train/loss": 0.5}), (2, {"train/loss": 0.5})]


def test_a_server_that_cannot_be_reached_is_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda name: name)
    sink, asked = WandbSink("project", {}, tmp_path), []

    def refuse() -> None:
        asked.append(1)
        raise RuntimeError("no network")

    monkeypatch.setattr(sink, "_open", refuse)
    for step in (1, 2):
        with pytest.raises(RuntimeError, match="no network"):
            sink.write("train", step, {"loss": 0.5})
    assert len(asked) == 1
