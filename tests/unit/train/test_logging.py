"""The progress line, the rank's rule, and the metric files."""

from __future__ import annotations

import importlib
import json
import logging
from pathlib import Path

import pytest

from genet5.errors import ConfigError
from genet5.train.telemetry.run_log import (
    CsvSink,
    JsonlSink,
    Metrics,
    ProgressLine,
    WandbSink,
    close_logging,
    drop_rows_after,
    format_count,
    format_duration,
    format_rate,
    setup_logging,
)


def test_the_progress_line_has_the_agreed_form() -> None:
    line = ProgressLine(
        step=1200,
        total_steps=20000,
        loss=0.84123,
        lr=1e-4,
        tokens_per_s=41234,
        padding_pct=3.14,
        mfu_pct=38.2,
        memory_gib=61.2,
        memory_total_gib=139.0,
        eta_s=7980,
    )
    assert str(line) == (
        "step 01200/20000 (6.0%) | loss 0.8412 | lr 1.0e-4 | 41.2k tok/s | pad 3.1% | mfu 38% | "
        "mem 61.2/139.0 GiB | eta 2h13m"
    )


def test_what_is_unknown_is_left_out_of_the_line() -> None:
    line = ProgressLine(
        step=1, total_steps=9, loss=1, lr=0, tokens_per_s=9, padding_pct=0, mfu_pct=None,
        memory_gib=1, memory_total_gib=2, eta_s=float("inf"),
    )  # fmt: skip
    assert "mfu" not in str(line)
    assert str(line).endswith("eta ?")


def test_numbers_are_short() -> None:
    assert [format_rate(x) for x in (1e-4, 3.26e-5, 1.0, 0)] == ["1.0e-4", "3.3e-5", "1.0e0", "0"]
    assert [format_count(x) for x in (999, 41234, 2.5e6, 3e9)] == ["999", "41.2k", "2.5M", "3.0G"]
    assert [format_duration(x) for x in (9, 75, 7980)] == ["9s", "1m15s", "2h13m"]


def test_other_ranks_only_warn_and_name_themselves(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    package = logging.getLogger("genet5")
    seen: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: seen.append(record.getMessage())  # type: ignore[method-assign]
    package.addHandler(handler)
    before = package.level
    package.setLevel(logging.INFO)
    try:
        file = setup_logging(1, 2, tmp_path / "x.log")
        logging.getLogger("genet5.some").info("quiet")
        logging.getLogger("genet5.some").warning("loud %d", 3)
        close_logging(file)
        logging.getLogger("genet5.some").info("after")
    finally:
        package.removeHandler(handler)
        package.setLevel(before)
    assert seen == ["[rank 1] loud 3", "after"]
    assert not (tmp_path / "x.log").exists()


def test_the_first_rank_writes_a_log_file(tmp_path: Path) -> None:
    handler = setup_logging(0, 1, tmp_path / "x.log")
    logging.getLogger("genet5.some").warning("seen")
    close_logging(handler)
    assert (tmp_path / "x.log").read_text().endswith(" seen\n")


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
def test_rows_behind_a_checkpoint_are_dropped(tmp_path: Path, evaluated: bool) -> None:
    """The validation row of its step, too, if that is still to be evaluated."""
    early = [("train", 1), ("validation", 1), ("train", 2)]
    late = [("validation", 2), ("train", 3)]
    (tmp_path / "metrics.jsonl").write_text(rows(*early, *late) + '{"kind": "tra')
    (tmp_path / "metrics.csv").write_text("step,loss\n1,0.5\n2,0.4\n3,0.3\n")
    (tmp_path / "validation.csv").write_text("step,loss\n1,0.7\n2,0.6\n")
    drop_rows_after(tmp_path, 2, evaluated=evaluated)
    assert (tmp_path / "metrics.jsonl").read_text() == rows(*early, *late[: int(evaluated)])
    assert (tmp_path / "metrics.csv").read_text() == "step,loss\n1,0.5\n2,0.4\n"
    kept = "step,loss\n1,0.7\n" + "2,0.6\n" * evaluated
    assert (tmp_path / "validation.csv").read_text() == kept


def test_a_missing_tracker_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", refuse)
    with pytest.raises(ConfigError, match=r"genet5\[track\]"):
        WandbSink("project", {})
