#!/usr/bin/env python3
"""One table of the speed figures of a day on one device.

Figure, peer, ratio, and the target where there is one.

Reads the result files DATE_DEVICE_WHAT.json of a folder, those of the newest date unless one is
named, and the states that `run_gpu.sh` notes of its steps. What is missing is left out of the
table; a step that failed or ran out of time is a row.

Example:
    python benchmarks/summary.py benchmarks/results --device h200
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import tyro
from machine import work_ms

from genet5.cli.parse import run
from genet5.errors import DataError
from genet5.outputs import atomic_writer

Record: TypeAlias = Mapping[str, Any]
Records: TypeAlias = Mapping[str, Record]
"""What was measured (attention, moe ...) -> content of its file."""

NAME = re.compile(r"(\d{4}-\d\d-\d\d)_([^_]+)_(\w+)\.json")
MFU_TARGETS = {"dense300m": 40.0, "base": 28.0}
"""Percent of the device's peak, on one H200 in bf16, compiled."""
MOE_TARGETS = {"mixtral eager": 3.0, "mixtral grouped_mm": 1.0}
"""Time of transformers' Mixtral block over ours, at least."""
PADDING_TARGET = 0.03
ANNOTATE_TARGET_GBP_PER_H = 2.0
"""On one H200, start-up left out."""
LOADING_TARGET = 1.03
"""Time of a step with loading over that of one on micro-batches in memory, at most."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table."""

    benchmark: str
    figure: str
    peer: str = ""
    ratio: str = ""
    target: str = ""
    met: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SummaryConfig:
    """Which results."""

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RESULTS")]
    """Folder with result files."""
    device: str = "cpu"
    """Device as file names have it: cpu, h100, h200 ..."""
    date: str | None = None
    """Day, as 2026-11-21; None = for each benchmark its newest file."""
    steps: Path | None = None
    """Lines of name, state and seconds, tab-separated, as run_gpu.sh writes them."""
    out: Path | None = None
    """Write the table into this file, too."""


def read_records(folder: Path, device: str, date: str | None = None) -> dict[str, Record]:
    """Read the newest file of each benchmark, or those of one day.

    Raises:
        DataError: There is none.
    """
    chosen: dict[str, tuple[str, Path]] = {}
    for path in sorted(folder.glob("*.json")):
        match = NAME.fullmatch(path.name)
        if match and match[2] == device and match[3] in BENCHMARKS and date in (None, match[1]):
            chosen[match[3]] = max(chosen.get(match[3], ("", path)), (match[1], path))
    if not chosen:
        raise DataError(
            f"no result of device {device}" + (f" on {date}" if date else ""),
            expected="files named DATE_DEVICE_WHAT.json",
            path=folder,
            remedy="benchmarks/run_gpu.sh writes them",
        )
    return {
        what: json.loads(path.read_text(encoding="utf-8")) for what, (_, path) in chosen.items()
    }


def verdict(is_met: Sequence[bool]) -> str:
    """Say whether a target was met."""
    if not is_met:
        return ""
    return "yes" if all(is_met) else "no" if not any(is_met) else f"{sum(is_met)} of {len(is_met)}"


# ---- benchmarks ---------------------------------------------------------------------------------


def attention_rows(record: Record) -> list[Row]:
    """Compare the fastest backend with dense attention at the greatest length that both did."""
    times: dict[int, dict[str, float]] = {}
    for row in record["results"]:
        if row["pass"] == "forward and backward" and "median_ms" in row:
            times.setdefault(row["tokens"], {})[row["contender"]] = work_ms(row)
    peers = {"dense", "dense with mask"}
    both = [n for n, found in times.items() if "dense" in found and found.keys() - peers]
    if not both:
        return []
    found = times[max(both)]
    ours = min(found.keys() - peers, key=lambda name: found[name])
    figure = f"{ours} {_ms(found[ours])}, forward and backward"
    ratio = f"{found['dense'] / found[ours]:.1f} x"
    return [Row(f"attention, {max(both):,} tokens", figure, f"dense {_ms(found['dense'])}", ratio)]


def moe_rows(record: Record) -> list[Row]:
    """Compare experts with each way of Mixtral's block."""
    rows = []
    ours = {r["tokens"]: work_ms(r) for r in record["results"] if r["block"] == "genet5"}
    for peer, least in MOE_TARGETS.items():
        theirs = {r["tokens"]: work_ms(r) for r in record["results"] if r["block"] == peer}
        ratios = [theirs[tokens] / ours[tokens] for tokens in theirs]
        if not ratios:
            continue
        sizes = ", ".join(f"{tokens:,}" for tokens in theirs)
        rows.append(
            Row(
                f"experts, {sizes} tokens",
                ", ".join(_ms(ours[tokens]) for tokens in theirs),
                f"{peer} " + ", ".join(map(_ms, theirs.values())),
                ", ".join(f"{ratio:.2f} x" for ratio in ratios),
                f">= {least:g} x",
                verdict([round(ratio, 2) >= least for ratio in ratios]),
            )
        )
    return rows


def train_step_rows(record: Record) -> list[Row]:
    """Show speed and MFU of each preset, beside each peer."""
    rows = []
    ours = [row for row in record["results"] if row["model"] == "genet5"]
    for own in ours:
        what = f"training step, {own['preset']}"
        if "skipped" in own:
            rows.append(Row(what, f"left out: {own['skipped']}"))
            continue
        mfu, target = own.get("mfu_pct"), MFU_TARGETS.get(own["preset"])
        figure = f"{own['tokens_per_s']:,.0f} tokens/s"
        figure += "" if mfu is None else f", MFU {mfu:.1f} %"
        peers = [
            row
            for row in record["results"]
            if row["preset"] == own["preset"] and row is not own and "skipped" not in row
        ]
        rows.append(
            Row(
                what,
                figure,
                ", ".join(f"{row['model']} {row['tokens_per_s']:,.0f}" for row in peers),
                ", ".join(f"{own['tokens_per_s'] / row['tokens_per_s']:.2f} x" for row in peers),
                f"MFU >= {target:g} % (H200)" if target else "",
                "" if not target else "not known here" if mfu is None else verdict([mfu >= target]),
            )
        )
    return rows


def decode_rows(record: Record) -> list[Row]:
    """Show labels per second of the largest batch of each preset."""
    rows = []
    for preset in dict.fromkeys(row["preset"] for row in record["results"]):
        own = [row for row in record["results"] if row["preset"] == preset]
        size = max(row["windows"] for row in own)
        rate = {
            row["contender"]: row["labels_per_s"]
            for row in own
            if row["windows"] == size and "labels_per_s" in row
        }
        ours = rate.pop("genet5")
        masked = rate.pop("genet5 with grammar")
        named = {name.replace("genet5 ", ""): value for name, value in rate.items()}
        rows.append(
            Row(
                f"decoding, {preset}, {size} windows",
                f"{ours:,.0f} labels/s, with grammar {masked:,.0f}",
                ", ".join(f"{name} {value:,.0f}" for name, value in named.items()),
                ", ".join(f"{ours / value:.1f} x" for value in named.values()),
            )
        )
    for row in record.get("annotation", [])[-1:]:
        figure = f"{row['windows_per_s']:,.1f} windows/s, {row['kbp_per_s']:,.0f} kbp/s"
        rows.append(Row(f"annotating, shipped model, {row['windows']} windows", figure))
    return rows


def loading_rows(record: Record) -> list[Row]:
    """Show padding, the loader alone, and steps with and without loading."""
    alone = record["alone"]
    share, worker = alone["padding_share"], alone["one_worker"]
    rows = [
        Row(
            "padding of encoder tokens, five clades",
            f"{share:.1%}",
            target=f"< {PADDING_TARGET:.0%}",
            met=verdict([share < PADDING_TARGET]),
        ),
        Row(
            "loader alone, 36,400 tokens",
            f"{alone['loader']['mbp_per_core_s']:.0f} Mbp per core s; "
            f"{worker['micro_batches_per_s']:.0f}"
            " micro-batches/s from one worker",
            f"FASTA and GFF3 {alone['peer']['mbp_per_core_s']:.0f}",
            f"{alone['ratio']:.1f} x",
        ),
    ]
    for row in record["results"]:
        if "skipped" in row:
            rows.append(Row(f"loading, {row['preset']}", f"left out: {row['skipped']}"))
            continue
        ratios = {"time": row["ratio"]}
        if record["device_type"] == "cpu":
            ratios["processor time"] = row["cpu_ratio"]
        rows.append(
            Row(
                f"loading, {row['preset']}",
                f"{row['loader']['steps_per_s']:.3g} steps/s",
                f"synthetic {row['synthetic']['steps_per_s']:.3g}",
                ", ".join(f"{ratio:.3f} of the {what}" for what, ratio in ratios.items()),
                f"<= {LOADING_TARGET}",
                verdict([max(ratios.values()) <= LOADING_TARGET]),
            )
        )
    return rows


def compressor_rows(record: Record) -> list[Row]:
    """Compare cross-attention over the longest window in blocks and through a dense mask."""
    longest: dict[str, Record] = {}
    for row in record["results"]:
        if row["part"] == "reading" and row["does"] == "forward and backward":
            longest[row["preset"]] = max(
                longest.get(row["preset"], row), row, key=lambda each: each["window_bp"]
            )
    rows = []
    for preset, row in longest.items():
        ours, dense = row["blocks"], row["dense mask"]
        rows.append(
            Row(
                f"compressor's cross-attention, {preset}, {row['window_bp'] / 1000:.0f} kbp",
                f"{_ms(work_ms(ours))}, {ours['peak_mib']:,.0f} MiB",
                f"dense mask {_ms(work_ms(dense))}, {dense['peak_mib']:,.0f} MiB",
                f"{work_ms(dense) / work_ms(ours):.1f} x",
            )
        )
    return rows


def recompute_rows(record: Record) -> list[Row]:
    """Show what recomputing every layer, and all but products, saves and costs."""
    return [
        Row(
            f"{row['variant']}, {row['layers']}",
            f"{row['kept_mib']:,.0f} MiB kept, {_ms(work_ms(row))}",
            "keep everything",
            f"{row['kept_ratio']:.2f} of the memory, {row['time_ratio']:.2f} of the time",
        )
        for row in record["results"]
        if row["variant"] in ("recompute every layer", "recompute all but products")
    ]


def bake_rows(record: Record) -> list[Row]:
    """Show how fast artificial genomes are baked."""
    rows = [row for row in record["bakes"] if row["genomes"].startswith("artificial")]
    return [
        Row(
            f"bake, {row['genomes']}, {row['mode'].replace('_', ' ')}",
            f"{row['written_mbp_per_core_s_without_start']:.1f} Mbp per core s",
        )
        for row in rows
    ]


def annotate_rows(record: Record) -> list[Row]:
    """Show our speed on each genome without start-up, beside the other contenders."""
    wall_s = {(row["contender"], row["what"]): row["wall_s"] for row in record["results"]}
    rows = []
    for row in record["results"]:
        start_s = wall_s.get((row["contender"], f"{row['what']}, start-up"))
        if row["contender"] != "genet5" or start_s is None:
            continue
        gbp_per_h = row["size_bp"] / max(row["wall_s"] - start_s, 1e-9) * 3600 / 1e9
        others = [c for c in record["comparisons"] if c["what"] == row["what"]]
        on_cpu = "processor" not in record
        rows.append(
            Row(
                f"annotate, {row['what']}, {row['size_bp'] / 1e6:.1f} Mbp",
                f"{gbp_per_h:.2f} Gbp/h after {start_s:.1f} s of start-up; {_passes(row)}"
                f"{row['peak_mib']:,.0f} MiB",
                ", ".join(c["other"] for c in others),
                ", ".join(f"{c['wall_s']['value']:.2f} x" for c in others),
                "" if on_cpu else f">= {ANNOTATE_TARGET_GBP_PER_H:g} Gbp/h (H200)",
                "" if on_cpu else verdict([round(gbp_per_h, 2) >= ANNOTATE_TARGET_GBP_PER_H]),
            )
        )
    return rows


def _passes(row: Record) -> str:
    """Write what the probe counted: passes a window, kernels and waits of the host a batch."""
    counts = row["counts"] or {}
    parts = [f"{counts['passes_a_window']:.1f} passes a window"] if counts else []
    if host := counts.get("host"):
        parts.append(f"{host['kernels_a_batch']:,.0f} kernels, {host['waits_a_batch']:.1f} waits")
    return ", ".join(parts) + ("; " if parts else "")


BENCHMARKS: dict[str, Callable[[Record], list[Row]]] = {
    "bake": bake_rows,
    "loading": loading_rows,
    "attention": attention_rows,
    "moe": moe_rows,
    "train_step": train_step_rows,
    "annotate": annotate_rows,
    "decode": decode_rows,
    "compressor": compressor_rows,
    "recompute": recompute_rows,
}


# ---- the table ----------------------------------------------------------------------------------


def step_rows(lines: Iterable[str]) -> list[Row]:
    """Return a row for each step of run_gpu.sh that did not end well."""
    parts = [line.rstrip("\n").split("\t") for line in lines if line.strip()]
    return [
        Row(name, f"{state} after {seconds} s") for name, state, seconds in parts if state != "ok"
    ]


def rows_of(records: Records) -> list[Row]:
    """Return the rows of all benchmarks that there are."""
    return [
        row for what, make in BENCHMARKS.items() if what in records for row in make(records[what])
    ]


def table(rows: Iterable[Row]) -> str:
    """Write rows as Markdown."""
    lines = ["| benchmark | GeneT5 | peer | ratio | target | met |", "|---|---|---|---|---|---|"]
    for row in rows:
        cells = (row.benchmark, row.figure, row.peer, row.ratio, row.target, row.met)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def heading(records: Records) -> str:
    """Say what all figures were taken on."""
    devices = dict.fromkeys(record["device"] for record in records.values())
    dates = dict.fromkeys(record["date"] for record in records.values())
    torch = dict.fromkeys(
        r["versions"]["torch"] for r in records.values() if "torch" in r["versions"]
    )
    notes = dict.fromkeys(record["note"] for record in records.values() if record.get("note"))
    parts = [", ".join(devices), ", ".join(sorted(dates)), *(f"torch {v}" for v in torch), *notes]
    return "; ".join(parts)


def _ms(value: float) -> str:
    return f"{value:,.3g} ms" if value < 100 else f"{value:,.0f} ms"


def summarize(settings: SummaryConfig) -> int:
    """Print the table."""
    records = read_records(settings.folder, settings.device, settings.date)
    rows = rows_of(records)
    if settings.steps is not None:
        rows += step_rows(settings.steps.read_text(encoding="utf-8").splitlines())
    text = f"{heading(records)}\n\n{table(rows)}\n"
    print(text, end="")
    if settings.out is not None:
        with atomic_writer(settings.out) as out:
            out.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(run(summarize, SummaryConfig, None, name="summary", description=__doc__ or ""))
