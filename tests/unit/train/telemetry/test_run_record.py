"""run.json."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from genet5.train.telemetry import run_record
from genet5.train.telemetry.run_record import end_record, start_record


def test_the_record_names_what_ran_and_keeps_earlier_parts(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    for reason in ("interrupted", "finished"):
        start_record(path, {"seed": 3}, device="cpu", world_size=1)
        end_record(path, {"reason": reason})
    record = json.loads(path.read_text())
    assert record["settings"] == {"seed": 3}
    assert record["outcome"] == {"reason": "finished"}
    assert [part["outcome"]["reason"] for part in record["earlier"]] == ["interrupted"]
    assert record["packages"]["torch"]
    assert record["started"] <= record["ended"]


def test_a_machine_without_git_has_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert run_record._commit() is None
