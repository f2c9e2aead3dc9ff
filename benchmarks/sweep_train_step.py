"""Step time and memory against window length, latents and experts, and the memory of activations.

Docs/explanation/scaling.md's data.

Called by `bench_train_step.py --sweep`. Shapes are `nano`'s with one thing changed; every
micro-batch holds the same number of bases, so a row's time is a time per base. The rows of one
question take turns. Memory is that of the tensors that live at once (`live_bytes`), without weights
and AdamW's moments, which are counted from the number of weights."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import gene_batches
import measure
import torch
import train_step
from live_bytes import LiveBytes
from machine import work_ms
from train_step import BenchConfig, ShapeName

from genet5.config.json_files import save_json
from genet5.config.model import ModelConfig
from genet5.dataset.batch import Batch
from genet5.model.network import GeneT5
from genet5.train.distributed.processes import Ranks
from genet5.train.loss import LossWeights
from genet5.train.objective import gene_objective, step_counts

BASES = 24_576
"""Bases of a micro-batch."""
WINDOWS_BP = (1536, 3072, 6144, 12_288, 24_576)
BINS_BP = (64, 32, 16, 8)
EXPERTS = (0, 4, 8, 16, 32)
ACTIVATIONS: tuple[ShapeName, ...] = ("nano", "small", "dense300m", "base")


@dataclass(frozen=True, slots=True)
class Case:
    """One row of a sweep."""

    question: str
    value: int
    config: ModelConfig
    window_bp: int


def cases() -> list[Case]:
    """Return all rows of the three sweeps."""
    nano = train_step.shape("nano")
    reach = replace(nano, compressor=replace(nano.compressor, num_latents=4096))
    found = [Case("window_bp", window, reach, window) for window in WINDOWS_BP]
    for bin_bp in BINS_BP:
        config = replace(reach, compressor=replace(reach.compressor, bin_bp=bin_bp))
        found.append(Case("latents", -(-6144 // bin_bp), config, 6144))
    for experts in EXPERTS:
        ff_dim = nano.decoder.ff_dim // (2 if experts else 1)  # two are in use: equal work
        decoder = replace(
            nano.decoder, num_experts=experts, moe_top_k=2 if experts else 1, ff_dim=ff_dim
        )
        found.append(Case("experts", experts, replace(nano, decoder=decoder), 6144))
    return found


def measure_cases(
    found: Sequence[Case], settings: BenchConfig, device: torch.device
) -> list[dict[str, Any]]:
    """Measure rows that take turns."""
    contenders = {}
    for case in found:
        number = BASES // case.window_bp
        windows = gene_batches.gene_windows(case.window_bp, number * settings.batches)
        batches = gene_batches.micro_batches(windows, number)
        contenders[case.value] = train_step.make_ours(case.config, settings, device, batches)
    work = {str(value): contender.step for value, contender in contenders.items()}
    times = measure.time_in_turn(work, device, rounds=settings.rounds, warmup=2)
    rows = []
    for case in found:
        contender = contenders[case.value]
        with LiveBytes() as live:
            contender.step()
        row = train_step.row(contender, times[str(case.value)])
        row["live_mib"] = round(live.peak / 2**20, 1)
        rows.append({"question": case.question, "value": case.value, **row})
    return rows


def activation_bytes(config: ModelConfig, recompute: bool, device: torch.device) -> float:
    """Return the bytes that each token, with its bases and labels, adds to the peak of a step.

    Measured as the difference of one and two windows, so that copies of weights drop out.
    """
    model = train_step.make_model(config, device)
    if recompute:
        model.enable_gradient_checkpointing()
    windows = gene_batches.gene_windows(6144, 2)
    peaks, tokens = [], []
    for number in (1, 2):
        (batch,) = gene_batches.micro_batches(windows[:number], number)
        peaks.append(peak_bytes(model, batch.to(device)))
        tokens.append(int(batch.inputs.num_tokens.sum()))
    return (peaks[1] - peaks[0]) / (tokens[1] - tokens[0])


def peak_bytes(model: GeneT5, batch: Batch) -> int:
    """Return the most bytes that live at once in a forward and backward pass in bf16."""
    objective = gene_objective(model, LossWeights())
    counts = step_counts(objective, [batch], Ranks())
    with LiveBytes() as live:
        with torch.autocast(batch.inputs.input_ids.device.type, torch.bfloat16):
            output = model(batch)
        terms = objective.sums(output, batch).items()
        torch.stack(
            [term.weight * term.sum / counts[head] for head, term in terms]
        ).sum().backward()
    model.zero_grad(set_to_none=True)
    return live.peak


def few_experts(config: ModelConfig) -> ModelConfig:
    """Leave only as many experts as a token uses: idle weights have no activations."""
    decoder = config.decoder
    return replace(
        config, decoder=replace(decoder, num_experts=decoder.num_experts and decoder.moe_top_k)
    )


def sweep(settings: BenchConfig, device: torch.device) -> int:
    """Measure all sweeps, print them and write JSON."""
    record: dict[str, Any] = {
        "what": "training step against window length, latents and experts; memory of activations",
        **measure.environment(device),
        "note": settings.note,
        "settings": {
            "bases": BASES,
            "rounds": settings.rounds,
            "precision": settings.precision,
            "compile": settings.compile,
        },
        "results": [],
        "activation_bytes_per_token": {},
    }
    print("| question | value | weights | ms a step | live MiB |\n|---|---|---|---|---|")
    for question in ("window_bp", "latents", "experts"):
        rows = measure_cases(
            [case for case in cases() if case.question == question], settings, device
        )
        for found in rows:
            print(
                f"| {question} | {found['value']} | {found['parameters'] / 1e6:.2f} M | "
                f"{work_ms(found):.0f} | {found['live_mib']:.0f} |",
                flush=True,
            )
        record["results"] += rows
        gc.collect()
    for name in ACTIVATIONS:
        config = few_experts(train_step.shape(name))
        kept, recomputed = (
            activation_bytes(config, recompute, device) for recompute in (False, True)
        )
        record["activation_bytes_per_token"][name] = {
            "kept": round(kept),
            "recomputed": round(recomputed),
        }
        print(
            f"{name}: {kept / 1e3:.0f} kB a token, {recomputed / 1e3:.0f} kB with gradient "
            "checkpointing",
            flush=True,
        )
        gc.collect()
    out = settings.out or measure.result_path(device, "scaling")
    save_json(out, record)
    print(f"\nwritten: {out}")
    return 0
