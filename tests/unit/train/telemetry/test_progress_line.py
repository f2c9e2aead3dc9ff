"""The progress line and its short numbers."""

from __future__ import annotations

from genet5.train.telemetry.progress_line import (
    ProgressLine,
    format_count,
    format_duration,
    format_rate,
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
