"""The table of speed figures, and the script that runs all of them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from machine import ROOT
from summary import (
    Row,
    SummaryConfig,
    annotate_rows,
    attention_rows,
    compressor_rows,
    decode_rows,
    loading_rows,
    moe_rows,
    read_records,
    step_rows,
    summarize,
    table,
    train_step_rows,
    verdict,
)

from genet5.errors import DataError


def test_a_table_is_markdown() -> None:
    assert table([Row("a", "1", "b 2", "0.5 x")]).splitlines()[2] == "| a | 1 | b 2 | 0.5 x |  |  |"


def test_a_target_of_several_figures_may_be_met_in_part() -> None:
    assert verdict([True, True]) == "yes"
    assert verdict([False]) == "no"
    assert verdict([True, False, True]) == "2 of 3"
    assert verdict([]) == ""


def test_attention_is_compared_where_the_dense_one_got_to() -> None:
    rows = [
        (1024, "sdpa", 20.0),
        (1024, "dense", 10.0),
        (4096, "sdpa", 80.0),
        (4096, "flex", 40.0),
        (4096, "dense", 200.0),
        (65536, "sdpa", 900.0),
        (65536, "dense", None),
    ]
    record = {
        "results": [
            {"pass": "forward and backward", "tokens": tokens, "contender": name}
            | ({"left_out": "too long"} if ms is None else {"median_ms": ms})
            for tokens, name, ms in rows
        ]
    }
    (row,) = attention_rows(record)
    assert (row.benchmark, row.ratio) == ("attention, 4,096 tokens", "5.0 x")
    assert row.figure.startswith("flex 40 ms")


def test_experts_must_be_three_times_as_fast_as_eager_ones_and_no_slower_than_grouped_ones() -> (
    None
):
    blocks = {"genet5": 10.0, "mixtral eager": 29.0, "mixtral grouped_mm": 10.0}
    results = [{"tokens": 512, "block": name, "median_ms": ms} for name, ms in blocks.items()]
    results += [
        {**row, "tokens": 1024, "median_ms": row["median_ms"] * (1 + (row["block"] != "genet5"))}
        for row in results
    ]
    eager, grouped = moe_rows({"results": results})
    assert (eager.ratio, eager.met) == ("2.90 x, 5.80 x", "1 of 2")
    assert (grouped.ratio, grouped.met) == ("1.00 x, 2.00 x", "yes")


def test_training_steps_are_held_against_the_targets_where_the_peak_is_known() -> None:
    def found(preset: str, model: str, speed: float, mfu: float | None) -> dict:
        return {"preset": preset, "model": model, "tokens_per_s": speed, "mfu_pct": mfu}

    results = [
        found("nano", "genet5", 100.0, 9.0),
        found("dense300m", "genet5", 1000.0, 41.2),
        found("dense300m", "t5", 500.0, 20.0),
        found("base", "genet5", 10.0, 27.9),
        {"preset": "base", "model": "bart", "skipped": "out of memory"},
    ]
    nano, dense, base = train_step_rows({"results": results})
    assert (nano.target, nano.met) == ("", "")
    assert (dense.met, dense.peer, dense.ratio) == ("yes", "t5 500", "2.00 x")
    assert dense.figure == "1,000 tokens/s, MFU 41.2 %"
    assert (base.met, base.peer) == ("no", "")
    (cpu,) = train_step_rows({"results": [found("base", "genet5", 10.0, None)]})
    assert cpu.met == "not known here"
    (out,) = train_step_rows(
        {"results": [{"preset": "base", "model": "genet5", "skipped": "no memory"}]}
    )
    assert out.figure == "left out: no memory"


def test_decoding_shows_the_largest_batch() -> None:
    def found(windows: int, contender: str, speed: float) -> dict:
        return {"preset": "nano", "windows": windows, "contender": contender, "labels_per_s": speed}

    results = [
        found(1, "genet5", 1.0),
        found(8, "genet5", 80.0),
        found(8, "genet5 with grammar", 70.0),
        found(8, "genet5 without cache", 10.0),
        found(8, "t5", 40.0),
        {"preset": "nano", "windows": 8, "contender": "t5 encoding"},
    ]
    annotation = [{"windows": 8, "windows_per_s": 5.0, "kbp_per_s": 30.7}]
    row, whole = decode_rows({"results": results, "annotation": annotation})
    assert row.figure == "80 labels/s, with grammar 70"
    assert (row.peer, row.ratio) == ("without cache 10, t5 40", "8.0 x, 2.0 x")
    assert whole.figure == "5.0 windows/s, 31 kbp/s"


@pytest.mark.parametrize(
    ("device", "cpu_ratio", "shown", "met"),
    [
        ("cuda", 1.2, "1.020 of the time", "yes"),
        ("cpu", 1.01, "1.020 of the time, 1.010 of the processor time", "yes"),
        ("cpu", 1.055, "1.020 of the time, 1.055 of the processor time", "no"),
    ],
)
def test_loading_meets_its_target_by_what_was_measured_on_a_cpu_by_the_worse(
    device, cpu_ratio, shown, met
) -> None:
    alone = {
        "padding_share": 0.031,
        "ratio": 1.5,
        "one_worker": {"micro_batches_per_s": 100.0, "receiver_cpu_ms": 2.0},
        "loader": {"mbp_per_core_s": 70.0},
        "peer": {"mbp_per_core_s": 40.0},
    }
    steps = {"loader": {"steps_per_s": 1.0}, "synthetic": {"steps_per_s": 1.1, "cpu_ms": 100.0}}
    result = {"preset": "nano", "ratio": 1.02, "cpu_ratio": cpu_ratio, **steps}
    padding, loader, row = loading_rows(
        {"alone": alone, "device_type": device, "results": [result]}
    )
    assert (padding.figure, padding.met) == ("3.1%", "no")
    assert loader.ratio == "1.5 x"
    assert (row.ratio, row.met) == (shown, met)


def test_the_compressor_is_compared_at_the_longest_window_of_each_preset() -> None:
    def found(part: str, window_bp: int, ms: float) -> dict:
        case = {
            "part": part,
            "preset": "nano",
            "window_bp": window_bp,
            "does": "forward and backward",
        }
        both = {"blocks": {"median_ms": ms}, "dense mask": {"median_ms": 3 * ms, "cpu_ms": 5 * ms}}
        return case | {name: row | {"peak_mib": 10.0} for name, row in both.items()}

    results = [
        found("reading", 6144, 1.0),
        found("reading", 49152, 2.0),
        found("compressor", 98304, 9.0),
    ]
    (row,) = compressor_rows({"results": results})
    assert (row.benchmark, row.ratio) == ("compressor's cross-attention, nano, 49 kbp", "5.0 x")
    assert row.figure == "2 ms, 10 MiB"


def test_the_newest_results_of_a_device_are_taken(tmp_path: Path) -> None:
    for day, device, content in (("01", "cpu", 1), ("03", "cpu", 2), ("04", "h200", 3)):
        (tmp_path / f"2026-01-{day}_{device}_moe.json").write_text(json.dumps({"results": content}))
    (tmp_path / "2026-01-03_cpu_eval.json").write_text("{}")
    assert read_records(tmp_path, "cpu") == {"moe": {"results": 2}}
    assert read_records(tmp_path, "cpu", "2026-01-01") == {"moe": {"results": 1}}
    with pytest.raises(DataError, match="device h100"):
        read_records(tmp_path, "h100")


def test_steps_that_did_not_end_well_are_rows() -> None:
    lines = ["moe\tok\t12\n", "decode\tout of time\t60\n", "\n"]
    assert step_rows(lines) == [Row("decode", "out of time after 60 s")]


def test_the_stored_results_make_a_table(tmp_path: Path, capsys) -> None:
    out = tmp_path / "table.md"
    assert summarize(SummaryConfig(folder=ROOT / "benchmarks" / "results", out=out)) == 0
    text = out.read_text()
    assert capsys.readouterr().out == text
    assert "| attention, " in text
    assert "mixtral grouped_mm" in text
    assert "compressor's cross-attention, nano, 49 kbp" in text
    assert "recompute every layer, decoder, experts" in text


def test_annotation_is_shown_without_start_up_and_held_to_the_goal_on_a_gpu() -> None:
    common = {"contender": "genet5", "peak_mib": 900.0}
    counts = {"passes_a_window": 3.4, "host": {"kernels_a_batch": 1200.0, "waits_a_batch": 5.0}}
    record = {
        "device": "NVIDIA H200",
        "processor": "x",
        "results": [
            {**common, "what": "yeast", "size_bp": 5_000_000, "wall_s": 14.0, "counts": counts},
            {**common, "what": "yeast, start-up", "size_bp": 300, "wall_s": 5.0, "counts": None},
        ],
        "comparisons": [{"what": "yeast", "other": "augustus", "wall_s": {"value": 30.0}}],
    }
    (row,) = annotate_rows(record)
    assert row == Row(
        "annotate, yeast, 5.0 Mbp",
        "2.00 Gbp/h after 5.0 s of start-up; 3.4 passes a window, 1,200 kernels, 5.0 waits; "
        "900 MiB",
        "augustus",
        "30.00 x",
        ">= 2 Gbp/h (H200)",
        "yes",
    )
    (row,) = annotate_rows({k: v for k, v in record.items() if k != "processor"})
    assert (row.target, row.met) == ("", "")


# ---- run_gpu.sh ---------------------------------------------------------------------------------

PYTHON = """#!/usr/bin/env bash
case $1 in
    -) cat >/dev/null; if [ $# = 2 ]; then echo "${LABEL-h200}"; else echo "$MISSING"; fi ;;
    -c) exit 1 ;;
    *bench_moe.py) exit 3 ;;
    *summary.py) echo "table of $*"; cat "${@: -3:1}" ;;
    *) echo "ran $*" ;;
esac
"""
TIMEOUT = """#!/usr/bin/env bash
shift 2
case $* in *bench_loading.py*) exit 124 ;; *) exec "$@" ;; esac
"""


@pytest.fixture
def call(tmp_path: Path):
    """Run the script with programs that only print how they were called."""
    if shutil.which("bash") is None:
        pytest.skip("needs bash")
    for name, text in (("fakepython", PYTHON), ("timeout", TIMEOUT)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
        env = {"PATH": path, "PYTHON": "fakepython", "OUT": str(tmp_path / "out"), "MISSING": ""}
        return subprocess.run(
            [str(ROOT / "benchmarks" / "run_gpu.sh"), *arguments],
            env={**os.environ, **env, **variables},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_a_failed_step_does_not_stop_the_others_but_is_said(call) -> None:
    result = call()
    assert result.returncode == 1
    assert "tests: left out, no pytest" in result.stdout
    assert "bench_train_step.py --device cuda" in result.stdout
    assert "bench_annotate.py --device cuda" in result.stdout
    assert "bench_attention.py" in result.stdout
    table = result.stdout.partition("table of ")[2]
    assert "--device h200" in table
    states = [line.split("\t")[:2] for line in table.splitlines()[1:]]
    assert ["moe", "failed (exit 3)"] in states
    assert ["loading", "out of time"] in states
    assert ["decode", "ok"] in states


def test_relative_paths_are_those_of_the_callers_folder(call, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = call("--only", "moe", PYTHON="./fakepython", OUT="here")
    assert f"--out {tmp_path / 'here'}/" in result.stdout.replace("//", "/"), result.stdout
    assert list((tmp_path / "here").glob("*_moe.log"))


def test_chosen_steps_alone_run(call) -> None:
    result = call("--only", "decode attention", "--cpu", LABEL="cpu")
    assert result.returncode == 0
    assert "bench_decode.py --device cpu" in result.stdout
    assert "train_step" not in result.stdout


def test_a_dry_run_prints_the_commands_and_writes_nothing(call, tmp_path: Path) -> None:
    result = call("--dry_run")
    assert result.returncode == 0
    line = next(x for x in result.stdout.splitlines() if x.startswith("annotate (90 s): "))
    assert "bench_annotate.py --device cuda" in line
    assert line.rstrip().endswith("--profile")
    assert not list((tmp_path / "out").iterdir())


def test_what_is_missing_is_said_in_one_line(call) -> None:
    result = call(MISSING="tyro rich")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "pip install tyro rich" in result.stderr
    result = call(LABEL="")
    assert (result.returncode, "no CUDA device" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    "wrong", [["--seconds", "soon"], ["--only", "everything"], ["--fast"], ["--note"]]
)
def test_wrong_usage_is_refused(call, wrong) -> None:
    result = call(*wrong)
    assert (result.returncode, "See --help" in result.stderr) == (2, True)


def test_no_step_is_started_without_time(call) -> None:
    result = call("--seconds", "1", "--only", "decode")
    assert result.returncode == 1
    assert "not started" in result.stdout
