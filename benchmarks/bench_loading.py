#!/usr/bin/env python3
"""Time the loader: hidden by training or not, alone, beside a peer, and where its time goes.

Data: five clades, gene-centric (artificial genomes unless --raw_dir). Three questions:

1. Padding: share of the encoder tokens of an epoch's plan that are padding, with the token budget
   of base.
2. The loader alone, no model: micro-batches of 36,400 tokens, made in this process (processor time,
   by part) and by one worker (wall time until they arrive here), beside a `DataLoader` over plain
   FASTA and GFF3 that gives equal tensors.
3. Training steps (forward, loss, backward, clipping, AdamW) fed by the loader through its workers,
   and the same steps on the same micro-batches, which are in memory already. Both take turns in
   every round; the ratio is what loading costs.

On a CPU a worker takes a core from the step where there are no more cores than threads, and shared
machines differ from one second to the next: quote processor time there. "Steps from ... ms" is the
shortest step that one worker keeps up with.

Example:
    python benchmarks/bench_loading.py --presets nano --rounds 3
"""

from __future__ import annotations

import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import measure
import torch
from artificial_bake import bake_settings, write_genomes
from peer_loader import FastaBatches, place_of
from torch import Tensor, nn
from torch.utils.data import DataLoader

from genet5.cli.parse import run
from genet5.config.bake import BakeConfig
from genet5.config.batches import BatchLimits
from genet5.config.json_files import save_json
from genet5.config.model import PresetName, preset
from genet5.dataset.bake import bake
from genet5.dataset.batch import Batch
from genet5.dataset.collate import collate
from genet5.dataset.loader import Loader
from genet5.dataset.packed import PackedReader
from genet5.dataset.per_base import base_targets
from genet5.dataset.plan import plan_batches
from genet5.dataset.windows import Window
from genet5.errors import DataError
from genet5.model.network import GeneT5
from genet5.tokens.structure import decode_window
from genet5.tokens.tokenizer_file import load_tokenizer
from genet5.train.distributed.processes import Ranks
from genet5.train.loss import LossWeights
from genet5.train.objective import gene_objective, step_counts

BUDGET = 36_400
"""Padded tokens of a micro-batch of base."""
LEAD = 3
"""Steps before the measured ones: workers have as much lead then as they can keep."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchConfig(measure.RunConfig):
    """Data, models and length of the measurement."""

    presets: tuple[PresetName, ...] | None = None
    """Models that are trained, or none; None = nano on a CPU, all on CUDA."""
    token_budget: int | None = None
    """Padded tokens of a micro-batch in training; None = 36400 on CUDA, 6000 on a CPU."""
    steps: int = 12
    """Steps of a round."""
    rounds: int = 5
    """Measured rounds."""
    micro_batches: int = 24
    """Micro-batches of 36400 tokens that the loader makes without a model in each round."""
    workers: int = 1
    """Worker processes of the loader."""
    compile: bool = False
    """Compile the model's layers."""
    mbp: float = 1.0
    """Million bases of each of five artificial genomes."""
    raw_dir: Path | None = None
    """Folder of CLADE/GENOME with FASTA and GFF3 files in place of the artificial genomes."""
    tokenizer: Path | None = None
    """A tokenizer.json for base and the loader alone; None = 5-mers. nano and small have 6-mers."""
    out: Path | None = None
    """JSON file; by default benchmarks/results/DATE_DEVICE_loading.json."""


def loader_alone(settings: BenchConfig, baking: BakeConfig, folder: Path) -> dict[str, Any]:
    """Measure the loader and its peer without a model."""
    packed = baking.output_dir / "training.packed"
    loader = Loader(packed, BatchLimits(token_budget=BUDGET), num_workers=1)
    rows = rows_of(packed, settings.micro_batches)
    reader = PackedReader(packed)
    windows = [[w for row in each for w in reader.row(row)] for each in rows]
    tokenizer = load_tokenizer(baking.tokenizer)
    folder.mkdir()
    peer = FastaBatches(baking, folder, [[*map(place_of, each)] for each in windows], tokenizer)
    _require_equal(collate(windows[0], tokenizer.structure), peer[0])
    ours = lambda number: collate([w for row in rows[number] for w in reader.row(row)])  # noqa: E731
    numbers, cpu = range(len(rows)), torch.device("cpu")
    times = measure.time_in_turn(
        {"loader": lambda: [ours(n) for n in numbers], "peer": lambda: [peer[n] for n in numbers]},
        cpu,
        rounds=settings.rounds,
        warmup=1,
    )
    bases = sum(len(w.bases) for each in windows for w in each) / len(rows)
    result: dict[str, Any] = {
        "windows": loader.header.counts["windows"],
        "micro_batches_an_epoch": len(loader),
        "padding_share": round(loader.padding_share(), 4),
        "bases_in_a_micro_batch": round(bases),
    }
    for name, row in times.items():
        each_ms = row["cpu_ms"] / len(rows)
        result[name] = {
            "cpu_ms": round(each_ms, 3),
            "micro_batches_per_core_s": round(1000 / each_ms, 1),
            "mbp_per_core_s": round(bases / each_ms / 1000, 2),
        }
    result["ratio"] = round(times["peer"]["cpu_ms"] / times["loader"]["cpu_ms"], 2)
    result["loader"]["parts_cpu_ms"] = parts(settings, rows, windows, reader)
    result["one_worker"] = through_worker(settings, lambda: iter(loader))
    plain = DataLoader(peer, batch_size=None, num_workers=1, collate_fn=lambda batch: batch)
    result["peer"]["one_worker"] = through_worker(settings, lambda: iter(plain))
    return result


def rows_of(packed: Path, number: int) -> list[tuple[int, ...]]:
    """Return the rows of the first micro-batches of an epoch."""
    reader = PackedReader(packed)
    plan = plan_batches(reader.row_sizes(), BatchLimits(token_budget=BUDGET))
    if len(plan) < 2 * number:
        raise DataError(
            f"{len(plan)} micro-batches in an epoch",
            expected=f"at least {2 * number}",
            remedy="Raise --mbp or lower --micro_batches",
        )
    return [batch.rows for batch in plan[:number]]


def parts(
    settings: BenchConfig,
    rows: Sequence[Sequence[int]],
    windows: Sequence[Sequence[Window]],
    reader: PackedReader,
) -> dict[str, float]:
    """Return the processor time of a micro-batch by part, in ms."""
    vocabulary = reader.header.vocabulary
    flat = [window for each in windows for window in each]
    genes = [decode_window(window.labels, vocabulary).genes for window in flat]

    def paint() -> None:
        for window, shown in zip(flat, genes, strict=True):
            base_targets(shown, len(window.bases), window.ignore.tolist())

    works: dict[str, Callable[[], Any]] = {
        "read rows": lambda: [reader.row(row) for each in rows for row in each],
        "labels to genes": lambda: [decode_window(w.labels, vocabulary) for w in flat],
        "genes to bases": paint,
        "collate": lambda: [collate(each, vocabulary) for each in windows],
    }
    times = measure.time_in_turn(works, torch.device("cpu"), rounds=settings.rounds, warmup=1)
    each = {name: row["cpu_ms"] / len(rows) for name, row in times.items()}
    each["pad and stack"] = each.pop("collate") - each["labels to genes"] - each["genes to bases"]
    return {name: round(value, 3) for name, value in each.items()}


def through_worker(settings: BenchConfig, start: Callable[[], Any]) -> dict[str, float]:
    """Return how fast micro-batches arrive from one worker, and what receiving one costs."""
    walls, works = [], []
    for _ in range(settings.rounds):
        batches = start()
        for _ in islice(batches, LEAD):
            pass
        begin, work = time.perf_counter(), time.process_time()
        number = sum(1 for _ in islice(batches, settings.micro_batches - LEAD))
        walls.append(1000 * (time.perf_counter() - begin) / number)
        works.append(1000 * (time.process_time() - work) / number)
        del batches
    return {
        "micro_batches_per_s": round(1000 / statistics.median(walls), 1),
        "ms_between": round(statistics.median(walls), 3),
        "receiver_cpu_ms": round(statistics.median(works), 3),
    }


def _require_equal(ours: Batch, peers: Batch) -> None:
    """Both loaders must give the same tensors."""
    names = ("input_ids", "token_start_bp", "bases")
    if not all(torch.equal(getattr(ours.inputs, n), getattr(peers.inputs, n)) for n in names):
        raise DataError("the peer reads other windows", expected="those of the packed file")


# ---- steps --------------------------------------------------------------------------------------


class Steps:
    """Training steps of one model.

    Args:
        model: On its device.
        device: That device.
    """

    def __init__(self, model: GeneT5, device: torch.device) -> None:
        self.model, self.device = model.train(), device
        self.objective = gene_objective(model, LossWeights())
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)

    def step(self, batch: Batch, moved: Batch) -> None:
        """Train on a micro-batch: `moved` lies on the device, `batch` is the same on the CPU."""
        counts = step_counts(self.objective, [batch], Ranks())
        with torch.autocast(self.device.type, torch.bfloat16):
            output = self.model(moved)
        terms = self.objective.sums(output, moved)
        losses = [term.weight * term.sum / counts[head] for head, term in terms.items()]
        loss: Tensor = torch.stack(losses).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def timed(self, batches: Any, number: int, *, move: bool) -> tuple[float, float]:
        """Return seconds and processor seconds of `number` steps after the lead."""
        for index in range(-LEAD, number):
            if index == 0:
                measure.synchronize(self.device)
                begin, work = time.perf_counter(), time.process_time()
            given = next(batches)
            batch, moved = (given, given.to(self.device)) if move else given
            self.step(batch, moved)
        measure.synchronize(self.device)
        return time.perf_counter() - begin, time.process_time() - work


def train(
    settings: BenchConfig, name: PresetName, packed: Path, device: torch.device
) -> dict[str, Any]:
    """Measure steps fed by the loader, and the same steps on micro-batches that are in memory."""
    loader = Loader(
        packed,
        BatchLimits(
            token_budget=settings.token_budget or (BUDGET if device.type == "cuda" else 6_000)
        ),
        num_workers=settings.workers,
        pin_memory=device.type == "cuda",
    )
    start, number = loader.state_dict(), settings.steps
    tokenizer = load_tokenizer(packed.parent / "tokenizer.json")
    shape = replace(
        preset(name),
        sequence_vocab=tokenizer.sequence.vocab_size,
        bp_per_token=tokenizer.sequence.bp_per_token,
    )
    with device:
        model = GeneT5(shape)
    model.init_weights()
    if settings.compile:
        model.compile_blocks()
    steps = Steps(model, device)
    kept = [(batch, batch.to(device)) for batch in islice(loader, number + LEAD)]
    if len(kept) < number + LEAD:
        raise DataError(
            f"{len(kept)} micro-batches in an epoch",
            expected=f"at least {number + LEAD}",
            remedy="Raise --mbp or lower --steps",
        )

    def fed() -> tuple[float, float]:
        loader.load_state_dict(start)
        return steps.timed(iter(loader), number, move=True)

    def synthetic() -> tuple[float, float]:
        return steps.timed(iter(kept), number, move=False)

    synthetic()
    found: dict[str, list[tuple[float, float]]] = {"loader": [], "synthetic": []}
    for index in range(settings.rounds):
        for who in ("loader", "synthetic") if index % 2 else ("synthetic", "loader"):
            found[who].append(fed() if who == "loader" else synthetic())
    return summary(name, found, number, kept)


def summary(
    name: str,
    found: dict[str, list[tuple[float, float]]],
    number: int,
    kept: Sequence[tuple[Batch, Batch]],
) -> dict[str, Any]:
    """Return medians over rounds of times and of their ratios, and what each round took.

    How much the same steps differ.

    Args:
        name: Of the preset.
        found: (seconds, processor seconds) of `number` steps in each round.
        number: Steps of a round.
        kept: The micro-batches, (on the CPU, on the device), those of the lead first.
    """
    times = {
        who: [1000 * statistics.median(column) / number for column in zip(*rounds, strict=True)]
        for who, rounds in found.items()
    }
    tokens = [batch.inputs.input_ids.numel() for batch, _ in kept[LEAD:]]
    row: dict[str, Any] = {"preset": name, "padded_tokens": round(statistics.mean(tokens))}
    for who, (wall, work) in times.items():
        row[who] = {
            "step_ms": round(wall, 2),
            "steps_per_s": round(1000 / wall, 3),
            "cpu_ms": round(work, 2),
            "rounds_ms": [round(1000 * one[0] / number, 2) for one in found[who]],
            "rounds_cpu_ms": [round(1000 * one[1] / number, 2) for one in found[who]],
        }
    pairs = list(zip(found["loader"], found["synthetic"], strict=True))
    for column, ratio in enumerate(("ratio", "cpu_ratio")):
        row[ratio] = round(statistics.median(a[column] / b[column] for a, b in pairs), 4)
    return row


# ---- the whole ----------------------------------------------------------------------------------


def bench(settings: BenchConfig) -> int:
    """Measure, print tables and write JSON."""
    device = measure.start(settings)
    names = settings.presets
    if names is None:
        names = ("nano",) if device.type == "cpu" else ("nano", "small", "base")
    record: dict[str, Any] = {
        "what": "loading: padding, the loader alone, training steps fed and synthetic",
        **measure.environment(device, "pyfaidx", "pyarrow"),
        "note": settings.note,
        "data": str(settings.raw_dir.name) if settings.raw_dir else "artificial",
        "rounds": settings.rounds,
        "device_type": device.type,
        "results": [],
    }
    out = settings.out or measure.result_path(device, "loading")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        raw = settings.raw_dir or write_genomes(folder / "raw", mbp=settings.mbp, seed=1)
        base = bake_settings("base", raw, folder / "base", settings.tokenizer)
        bake(base)
        record["alone"] = loader_alone(settings, base, folder / "fasta")
        show_alone(record["alone"])
        save_json(out, record)
        print(
            "\n| model | tokens | step | loader ms | synthetic ms | ratio | processor "
            "|\n|---|---|---|---|---|---|---|"
        )
        for preset_name in names:
            packed = packed_for(preset_name, settings, base, raw, folder)
            try:
                row = train(settings, preset_name, packed, device)
            except torch.OutOfMemoryError:
                row = {"preset": preset_name, "skipped": "out of memory; lower --token_budget"}
            record["results"].append(row)
            save_json(out, record)  # now: whoever ends the run keeps what is done
            show_steps(row, "compiled" if settings.compile else "eager")
            gc.collect()
    print(f"\nwritten: {out}")
    return 0


def packed_for(
    name: PresetName, settings: BenchConfig, base: BakeConfig, raw: Path, folder: Path
) -> Path:
    """Return a packed file for a preset; base's is there."""
    baking = base
    if name != "base":
        baking = bake_settings(name, raw, folder / name)
        if not (folder / name / "training.packed").exists():
            bake(baking)
    elif settings.tokenizer is not None:
        (folder / "base" / "tokenizer.json").write_bytes(settings.tokenizer.read_bytes())
    return baking.output_dir / "training.packed"


def show_alone(found: dict[str, Any]) -> None:
    """Print the loader's own figures."""
    share, number = found["padding_share"], found["micro_batches_an_epoch"]
    print(
        f"padding {share:.2%} of {number} micro-batches\n\n| without a model | processor ms | "
        "per core s | Mbp per core s | from one worker, per s | receiver ms "
        "|\n|---|---|---|---|---|---|"
    )
    for who, worker in (("loader", found["one_worker"]), ("peer", found["peer"]["one_worker"])):
        row = found[who]
        print(
            f"| {who} | {row['cpu_ms']} | {row['micro_batches_per_core_s']} | "
            f"{row['mbp_per_core_s']} |"
            f" {worker['micro_batches_per_s']} | {worker['receiver_cpu_ms']} |"
        )
    text = ", ".join(f"{part} {ms} ms" for part, ms in found["loader"]["parts_cpu_ms"].items())
    print(f"\npeer / loader {found['ratio']}; a micro-batch: {text}")
    print(f"one worker keeps up with steps from {found['one_worker']['ms_between']} ms on")


def show_steps(row: dict[str, Any], how: str) -> None:
    """Print one model's figures."""
    if "skipped" in row:
        print(f"| {row['preset']} | left out: {row['skipped']} |", flush=True)
        return
    print(
        f"| {row['preset']} | {row['padded_tokens']} | {how} | {row['loader']['step_ms']} |"
        f" {row['synthetic']['step_ms']} | {row['ratio']:.3f} | {row['cpu_ratio']:.3f} |",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(run(bench, BenchConfig, None, name="bench_loading", description=__doc__ or ""))
