"""The metric files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from genet5.train.telemetry.metrics import CsvSink, JsonlSink, Metrics


def test_rows_go_to_both_files_with_a_table_for_each_kind(tmp_path: Path) -> None:
    with Metrics([JsonlSink(tmp_path / "metrics.jsonl"), CsvSink(tmp_path)]) as metrics:
        metrics.write("train", 1, {"loss": 0.5, "lr": 0.1})
        metrics.write("validation", 1, {"loss": 0.75})
        metrics.write("train", 2, {"loss": 0.25, "lr": 0.2, "new": 1.0})
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert rows[0] == {"kind": "train", "step": 1, "loss": 0.5, "lr": 0.1}
    assert (tmp_path / "metrics.csv").read_text() == "step,loss,lr\n1,0.5,0.1\n2,0.25,0.2\n"
    assert (tmp_path / "validation.csv").read_text() == "step,loss\n1,0.75\n"


def rows(*pairs: tuple[str, int]) -> str:
    return "".join(json.dumps({"kind": kind, "step": step}) + "\n" for kind, step in pairs)


@pytest.mark.parametrize("evaluated", [True, False])
def test_rows_after_a_checkpoint_are_dropped(tmp_path: Path, evaluated: bool) -> None:
    """The validation row of its step, too, if that is still to be evaluated."""
    early = [("train", 1), ("validation", 1), ("train", 2)]
    late = [("validation", 2), ("train", 3)]
    (tmp_path / "metrics.jsonl").write_text(rows(*early, *late) + '{"kind": "tra')
    (tmp_path / "metrics.csv").write_text("step,loss\n1,0.5\n2,0.4\n3,0.3\n")
    (tmp_path / "validation.csv").write_text("step,loss\n1,0.7\n2,0.6\n")
    Metrics([JsonlSink(tmp_path / "metrics.jsonl"), CsvSink(tmp_path)]).resume(
        2, evaluated=evaluated
    )
    assert (tmp_path / "metrics.jsonl").read_text() == rows(*early, *late[: int(evaluated)])
    assert (tmp_path / "metrics.csv").read_text() == "step,loss\n1,0.5\n2,0.4\n"
    kept = "step,loss\n1,0.7\n" + "2,0.6\n" * evaluated
    assert (tmp_path / "validation.csv").read_text() == kept


class Flaky:
    """Fails where the step is odd."""

    def resume(self, step: int, *, evaluated: bool) -> None: ...

    def write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        if step % 2:
            raise OSError("disk full")

    def close(self) -> None:
        raise OSError("disk full")


def test_a_sink_that_fails_ends_no_run_and_both_failure_and_recovery_are_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Metrics([Flaky(), JsonlSink(tmp_path / "metrics.jsonl")]) as metrics:
        for step in (1, 1, 2):
            metrics.write("train", step, {"loss": 0.5})
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 3
    assert [record.getMessage() for record in caplog.records] == [
        "Flaky takes no rows (disk full); the run continues",
        "Flaky takes rows again; 2 were lost",
        "Flaky could not be closed (disk full)",
    ]
