#!/usr/bin/env python3
"""Time a training step of GeneT5 beside T5 and BART of transformers with as many weights, source tokens and labels.

A step is the loop's own: the micro-batch moves to the device, forward, loss, backward, clipping, AdamW, the check for
finite numbers. Micro-batches of artificial gene windows are made once and take turns. FLOPs are those that the
mathematics needs (`genet5.train.flops`), padding left out, encoder and decoder apart; MFU relates them to the device's
peak where that is known, and `of_matmul_pct` to the fastest large matrix product of the same run. A peer has as many
weights as GeneT5 uses for a token (experts: the active ones) in layers of the same width, dense attention by SDPA, no
dropout; compiled layer by layer as ours where --compile is given.

With --micro_batch auto (on CUDA the default) a step is tried with more and more windows until memory ends. On CUDA each
model runs alone; on a CPU those of a preset take turns, or run alone where they are large, and the processor time counts.
--sweep measures small shapes instead: step time and memory against window length, latents and experts (docs/scaling.md).

Example:
    python benchmarks/bench_train_step.py --device cuda --compile --presets nano small dense300m base --rounds 10
"""

from __future__ import annotations

import gc
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import gene_batches
import measure
import peer_seq2seq
import torch
from torch import nn

from genet5.blocks.moe import MixtureOfExperts
from genet5.cli.parse import run
from genet5.config.files import save_json
from genet5.config.model import (
    AttentionName,
    CompressorConfig,
    DecoderConfig,
    EncoderConfig,
    ModelConfig,
    preset,
)
from genet5.config.train import ComputeConfig, OptimConfig, TrainConfig
from genet5.dataset.batch import Batch
from genet5.model import GeneT5
from genet5.train.dist import Ranks
from genet5.train.flops import Flops, WindowSizes, batch_flops, forward_flops, training_flops
from genet5.train.horizon import Horizon
from genet5.train.logging import Metrics
from genet5.train.loop import Trainer
from genet5.train.loss import LossWeights
from genet5.train.meter import device_peak, window_sizes
from genet5.train.objective import gene_objective
from genet5.train.optim import build_optimizer

ShapeName = Literal["nano", "small", "dense300m", "base"]
CPU_WINDOWS = {"nano": 8, "small": 4, "dense300m": 2, "base": 1}
"""Micro-batch on a CPU, in windows."""
STATE_BYTES = 16
"""Weight, gradient and AdamW's two moments in fp32."""
TOGETHER_BYTES = 4e9
"""On a CPU the models of a preset take turns if their states are smaller than this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchSettings:
    """Which models, how large a micro-batch, how long."""

    presets: tuple[ShapeName, ...] = ("nano", "small", "dense300m", "base")
    """Shapes: the presets, and one of 300 million weights without experts."""
    peers: tuple[peer_seq2seq.PeerName, ...] = ("t5", "bart")
    """Models of transformers to measure beside each."""
    micro_batch: int | Literal["auto"] | None = None
    """Windows of a micro-batch; auto = as many as memory takes (CUDA); None = auto on CUDA, few on a CPU."""
    max_micro_batch: int = 128
    """Most windows that auto tries."""
    window_bp: int = 6144
    """Bases of a window."""
    batches: int = 2
    """Micro-batches that take turns."""
    rounds: int = 10
    """Measured rounds."""
    compile: bool = False
    """Compile each layer of all models."""
    attention: AttentionName = "auto"
    """What computes the encoder's windowed attention."""
    gradient_checkpointing: bool = False
    """Recompute our layers' activations in the backward pass."""
    precision: Literal["bf16", "fp32"] = "bf16"
    """bf16 = autocast with fp32 weights."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device; auto = CUDA where there is one."""
    threads: int | None = None
    """Threads on a CPU; None = as PyTorch has it. One is best on a machine that has other work."""
    limit_s: float | None = None
    """Begin no further model after so many seconds; the table says which were left out."""
    sweep: bool = False
    """Measure small shapes against window length, latents and experts instead."""
    note: str = ""
    """What the result file says about the machine, such as: shared, other jobs ran."""
    out: Path | None = None
    """JSON file; by default benchmarks/results/DATE_DEVICE_train_step.json (or _scaling.json)."""


def shape(name: ShapeName) -> ModelConfig:
    """Return a preset, or the dense shape of about 300 million weights, for the benchmark's tokenizer."""
    found = _dense300m() if name == "dense300m" else preset(name)
    return replace(found, sequence_vocab=gene_batches.VOCABULARY)


def _dense300m() -> ModelConfig:
    part = {"heads": 16, "ff_dim": 4096}
    return ModelConfig(
        preset="dense300m",
        width=1024,
        bp_per_token=6.0,
        encoder=EncoderConfig(
            layers=12, window_tokens=512, positions="rope", norm_first=True, **part
        ),
        compressor=CompressorConfig(
            num_latents=1024, bin_bp=32, layers=1, kv_heads=4, window_bp=1024, **part
        ),
        decoder=DecoderConfig(
            layers=4, kv_heads=4, cross_kv_heads=16, num_experts=0, moe_top_k=1, **part
        ),
    )


# ---- contenders ------------------------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class Contender:
    """One model that trains."""

    name: str
    model: nn.Module
    step: Callable[[], Any]
    parameters: int
    batches: list[Batch]
    flops: Flops
    """Of a step, forward and backward, useful ones; the mean over the micro-batches."""
    figures: Callable[[], dict[str, float]] = dict
    """What else it can tell after its steps."""
    more: dict[str, Any] = field(default_factory=dict)


def make_ours(
    config: ModelConfig, settings: BenchSettings, device: torch.device, batches: list[Batch]
) -> Contender:
    """Build a GeneT5 and the loop that trains it."""
    model = make_model(config, device)
    trainer = make_trainer(model, settings, device)
    if settings.compile:
        model.compile_blocks()
    turn = 0

    def step() -> None:
        nonlocal turn
        trainer._step([batches[turn % len(batches)]])
        turn += 1

    def figures() -> dict[str, float]:
        means = trainer._meter.read().means
        names = ("tokens_per_expert", "expert_load_max", "experts_idle")
        return {name: round(means[name], 3) for name in names if name in means}

    sizes = [window_sizes(batch) for batch in batches]
    return Contender(
        name="genet5",
        model=model,
        step=step,
        parameters=sum(weight.numel() for weight in model.parameters()),
        batches=batches,
        flops=mean_flops([batch_flops(config, windows) for windows in sizes]),
        figures=figures,
        more={
            "active_parameters": active_parameters(model),
            "padded_tflop": round(padded_flops(config, batches).total / 1e12, 4),
        },
    )


def make_model(config: ModelConfig, device: torch.device) -> GeneT5:
    """Build a model on its device with random weights."""
    torch.manual_seed(0)
    with device:
        model = GeneT5(config)
    for name, weight in model.named_parameters():
        if "norm" not in name:
            nn.init.normal_(weight, std=0.02)
    return model.to(device).train()


def make_trainer(model: GeneT5, settings: BenchSettings, device: torch.device) -> Trainer:
    """Return the training loop round a model; it writes no files."""
    folder = Path(tempfile.gettempdir()) / "bench_train_step"
    config = TrainConfig(
        train=folder,
        val=folder,
        out=folder,
        base=folder,
        optim=OptimConfig(),
        compute=ComputeConfig(precision=settings.precision, attention=settings.attention),
    )
    model.use_attention(settings.attention)
    if settings.gradient_checkpointing:
        model.enable_gradient_checkpointing()
    ranks = Ranks(0, 1, device)
    return Trainer(
        config=config,
        model=model,
        objective=gene_objective(model, LossWeights()),
        source=_NoSource(),
        horizon=Horizon(1_000, 1_000.0),
        ranks=ranks,
        metrics=Metrics([]),
    )


class _NoSource:
    """The benchmark hands each step its micro-batch."""

    def __iter__(self) -> Any:
        return iter(())

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to take over."""


def make_peer(
    name: peer_seq2seq.PeerName,
    config: ModelConfig,
    settings: BenchSettings,
    device: torch.device,
    batches: list[Batch],
    parameters: int,
) -> Contender:
    """Build a peer with about `parameters` weights and its optimizer."""
    length = max(batch.inputs.input_ids.shape[1] for batch in batches)
    found = peer_seq2seq.peer_shape(name, config, parameters, length)
    torch.manual_seed(0)
    with device:
        model = peer_seq2seq.make_peer(name, found)
    model = model.to(device).train()
    if settings.compile:
        peer_seq2seq.compile_layers(model)
    inputs = [peer_seq2seq.peer_inputs(batch, found.vocab, device) for batch in batches]
    optimizer = build_optimizer(model, OptimConfig())
    each = [peer_seq2seq.peer_flops(name, found, window_sizes(batch)) for batch in batches]
    return Contender(
        name=name,
        model=model,
        step=peer_seq2seq.peer_step(
            model, optimizer, inputs, use_bf16=settings.precision == "bf16"
        ),
        parameters=sum(weight.numel() for weight in model.parameters()),
        batches=batches,
        flops=mean_flops(each),
        more={"ff_dim": found.ff_dim},
    )


def active_parameters(model: GeneT5) -> int:
    """Return the weights that one token uses: of experts, those that are chosen."""
    idle = 0
    for module in model.modules():
        if isinstance(module, MixtureOfExperts):
            size = module.up.numel() + module.down.numel()
            idle += size - size * module.top_k // module.num_experts
    return sum(weight.numel() for weight in model.parameters()) - idle


def mean_flops(forward: Sequence[Flops]) -> Flops:
    """Return the training FLOPs of a step from the forward FLOPs of each micro-batch."""
    total = training_flops(sum(forward, Flops()))
    return Flops(**{name: value // len(forward) for name, value in asdict(total).items()})


def padded_flops(config: ModelConfig, batches: Sequence[Batch]) -> Flops:
    """Return a step's training FLOPs with every window as large as its micro-batch's shapes."""
    each = []
    for batch in batches:
        windows = window_sizes(batch)
        size = WindowSizes(
            tokens=batch.inputs.input_ids.shape[1],
            bases=batch.inputs.bases.shape[1],
            labels=batch.targets.labels.shape[1],
            positions=max(window.positions for window in windows),
        )
        each.append(forward_flops(config, size) * len(windows))
    return mean_flops(each)


# ---- size of the micro-batch -----------------------------------------------------------------------------------------


def largest(fits: Callable[[int], bool], limit: int, start: int = 8) -> int:
    """Return the largest number up to `limit` that fits, to an eighth; 0 if not even one does.

    Args:
        fits: Whether a number fits; what is smaller than one that fits does, too.
        limit: Most.
        start: First try; doubled while it fits.
    """
    good, bad, tried = 0, limit + 1, min(start, limit)
    while good < bad - max(1, good // 8):
        if fits(tried):
            good = tried
            tried = min(2 * tried, limit) if bad == limit + 1 else (good + bad) // 2
        else:
            bad = tried
            tried = (good + bad) // 2
        if good == limit:
            break
    return good


def choose_micro_batch(
    name: ShapeName, config: ModelConfig, settings: BenchSettings, device: torch.device
) -> int:
    """Return the number of windows of a micro-batch."""
    wanted = settings.micro_batch
    if wanted is None:
        wanted = "auto" if device.type == "cuda" else CPU_WINDOWS[name]
    if isinstance(wanted, int):
        return wanted
    windows = gene_batches.gene_windows(settings.window_bp, settings.max_micro_batch)
    plain = replace(settings, compile=False)

    def fits(number: int) -> bool:
        batches = gene_batches.micro_batches(windows[:number], number)
        contender = make_ours(config, plain, device, batches)
        return runs(contender.step)

    found = largest(fits, settings.max_micro_batch)
    torch.compiler.reset()  # what was compiled for several sizes would serve any size, more slowly
    return found


def runs(step: Callable[[], Any]) -> bool:
    """Whether a step fits into CUDA's memory; only then it has an effect."""
    try:
        step()
        torch.cuda.synchronize()
    except torch.OutOfMemoryError:
        return False
    finally:
        free()
    return True


def free() -> None:
    """Give memory back."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


# ---- measurement -----------------------------------------------------------------------------------------------------


def matmul_flops_per_s(device: torch.device, precision: str) -> float:
    """Return the FLOP/s of a large square matrix product, the best of several."""
    size = 8192 if device.type == "cuda" else 2048
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    best = float("inf")
    for _ in range(8):
        measure.synchronize(device)
        start = clock()
        a @ b
        measure.synchronize(device)
        best = min(best, clock() - start)
    return 2 * size**3 / best


def row(contender: Contender, times: dict[str, float], device: torch.device) -> dict[str, Any]:
    """Return a contender's figures without those that relate it to others.

    On a CPU the processor time is the time of a step, which holds for one thread.
    """
    batches, flops = contender.batches, contender.flops
    ms = times["cpu_ms"] if device.type == "cpu" else times["median_ms"]
    tokens = sum(int(batch.inputs.num_tokens.sum()) for batch in batches) / len(batches)
    bases = sum(int(batch.inputs.num_bases.sum()) for batch in batches) / len(batches)
    padded = sum(batch.inputs.input_ids.numel() for batch in batches) / len(batches)
    labels = sum(size.labels for batch in batches for size in window_sizes(batch)) / len(batches)
    padded_labels = sum(batch.targets.labels.numel() for batch in batches) / len(batches)
    return {
        "parameters": contender.parameters,
        **contender.more,
        "micro_batch": len(batches[0].window_ids),
        "tokens": round(tokens),
        "labels": round(labels),
        "padding_pct": round(100 * (1 - tokens / padded), 2),
        "label_padding_pct": round(100 * (1 - labels / padded_labels), 2),
        **times,
        "tokens_per_s": round(1000 * tokens / ms, 1),
        "bp_per_s": round(1000 * bases / ms, 1),
        "tflop": {name: round(value / 1e12, 5) for name, value in asdict(flops).items()},
        "tflop_per_s": round(flops.total / ms / 1e9, 4),
        **contender.figures(),
    }


def relate(rows: Sequence[dict[str, Any]], peak: float | None, matmul: float) -> None:
    """Add to each row what share of the device it used, and how ours compares."""
    for found in rows:
        per_s = found["tflop_per_s"] * 1e12
        found["mfu_pct"] = None if peak is None else round(100 * per_s / peak, 2)
        found["of_matmul_pct"] = round(100 * per_s / matmul, 2)
        ratio = rows[0]["tokens_per_s"] / found["tokens_per_s"]
        found["genet5_is_faster_by"] = round(ratio, 3)


def measure_preset(
    name: ShapeName, settings: BenchSettings, device: torch.device, until: float
) -> list[dict[str, Any]]:
    """Measure one shape and its peers; models that memory or time do not take are rows with a reason."""
    config = shape(name)
    with torch.device("meta"):
        weights = GeneT5(config)
    active = active_parameters(weights)
    if device.type == "cpu":
        needed = STATE_BYTES * sum(weight.numel() for weight in weights.parameters())
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if needed > 0.6 * memory:
            reason = f"weights, gradients and AdamW take {needed / 1e9:.0f} of this machine's {memory / 1e9:.0f} GB"
            return [{"preset": name, "model": "genet5", "skipped": reason}]
    number = choose_micro_batch(name, config, settings, device)
    if not number:
        return [{"preset": name, "model": "genet5", "skipped": "not even one window fits"}]
    windows = gene_batches.gene_windows(settings.window_bp, number * settings.batches)
    makers: dict[str, Callable[[list[Batch]], Contender]] = {
        "genet5": lambda batches: make_ours(config, settings, device, batches)
    }
    for peer in settings.peers:
        makers[peer] = lambda batches, peer=peer: make_peer(
            peer, config, settings, device, batches, active
        )
    together = device.type == "cpu" and STATE_BYTES * active * len(makers) < TOGETHER_BYTES
    groups = [list(makers)] if together else [[model] for model in makers]
    rows: list[dict[str, Any]] = []
    for group in groups:
        if time.perf_counter() > until:
            rows += [{"model": model, "skipped": "--limit_s was over"} for model in group]
            continue
        rows += measure_group({model: makers[model] for model in group}, windows, number, settings, device)  # fmt: skip
    return [{"preset": name, **found} for found in rows]


def measure_group(
    makers: dict[str, Callable[[list[Batch]], Contender]],
    windows: Sequence[Any],
    number: int,
    settings: BenchSettings,
    device: torch.device,
) -> list[dict[str, Any]]:
    """Measure models that take turns; on CUDA one that runs out of memory gets three quarters of its windows."""
    while True:
        batches = gene_batches.micro_batches(windows, number)[: settings.batches]
        contenders: dict[str, Contender] = {}
        try:
            contenders = {name: make(batches) for name, make in makers.items()}
            steps = {name: contender.step for name, contender in contenders.items()}
            times = measure.time_in_turn(steps, device, rounds=settings.rounds, warmup=3)
            return [
                {"model": name, **row(contender, times[name], device)}
                for name, contender in contenders.items()
            ]
        except torch.OutOfMemoryError:
            if number == 1:
                return [{"model": name, "skipped": "not even one window fits"} for name in makers]
            number = max(1, 3 * number // 4)
        finally:
            contenders.clear()
            torch.compiler.reset()
            free()


_HEAD = """\
| preset | model | weights | windows | ms a step | tokens/s | kbp/s | TFLOP/s | MFU % | of a matrix product % | peak GiB | genet5 faster by |
|---|---|---|---|---|---|---|---|---|---|---|---|"""


def line(found: dict[str, Any], device: torch.device) -> str:
    """Return a row of the table."""
    start = f"| {found['preset']} | {found['model']} |"
    if "skipped" in found:
        return f"{start} left out: {found['skipped']} |"
    ms = found["cpu_ms" if device.type == "cpu" else "median_ms"]
    peak = f"{found['peak_mib'] / 1024:.1f}" if "peak_mib" in found else ""
    mfu = "" if found["mfu_pct"] is None else f"{found['mfu_pct']:.1f}"
    return (
        f"{start} {found['parameters'] / 1e6:.1f} M | {found['micro_batch']} | {ms:.1f} | "
        f"{found['tokens_per_s']:,.0f} | {found['bp_per_s'] / 1000:,.1f} | {found['tflop_per_s']:.3g} | {mfu} | "
        f"{found['of_matmul_pct']:.1f} | {peak} | {found['genet5_is_faster_by']:.2f} |"
    )


def bench(settings: BenchSettings) -> int:
    """Measure, print a table and write JSON."""
    begin = time.perf_counter()
    until = begin + (settings.limit_s or float("inf"))
    device = measure.choose_device(settings.device)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    torch.set_float32_matmul_precision("high")
    if settings.sweep:
        import sweep_train_step

        return sweep_train_step.sweep(settings, device)
    peak = device_peak(device, settings.precision)
    matmul = matmul_flops_per_s(device, settings.precision)
    record: dict[str, Any] = {
        "what": "training step: forward, loss, backward, clipping, AdamW",
        **measure.environment(device, "transformers", "flash-attn"),
        "note": settings.note,
        "settings": {
            name: getattr(settings, name)
            for name in ("window_bp", "batches", "rounds", "compile", "attention", "gradient_checkpointing", "precision")
        },
        "peak_tflop_per_s": None if peak is None else peak / 1e12,
        "matmul_tflop_per_s": round(matmul / 1e12, 3),
        "results": [],
    }  # fmt: skip
    print(_HEAD)
    for name in settings.presets:
        rows = measure_preset(name, settings, device, until)
        done = [found for found in rows if "skipped" not in found]
        relate(done, peak, matmul)
        for found in rows:
            print(line(found, device), flush=True)
        record["results"] += rows
    record["seconds"] = round(time.perf_counter() - begin, 1)
    out = settings.out or measure.result_path(device, "train_step")
    save_json(out, record)
    print(f"\nwritten: {out} ({record['seconds']} s)")
    return 0


if __name__ == "__main__":
    sys.exit(run(bench, BenchSettings, None, name="bench_train_step", description=__doc__ or ""))
