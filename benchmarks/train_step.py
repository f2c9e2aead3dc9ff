"""What trains in `bench_train_step`.

Its settings, the shapes, GeneT5 in its own loop, and a peer beside it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import gene_batches
import measure
import peer_seq2seq
import torch
from machine import work_ms
from torch import nn

from genet5.blocks.moe import MixtureOfExperts
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
from genet5.model.network import GeneT5
from genet5.train.distributed.processes import Ranks
from genet5.train.horizon import Horizon
from genet5.train.loop import Trainer
from genet5.train.loss import LossWeights
from genet5.train.objective import gene_objective
from genet5.train.optim import build_optimizer
from genet5.train.telemetry.flops import (
    Flops,
    WindowSizes,
    batch_flops,
    forward_flops,
    training_flops,
)
from genet5.train.telemetry.meter import window_sizes
from genet5.train.telemetry.metrics import Metrics

ShapeName = Literal["nano", "small", "dense300m", "base"]


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchConfig(measure.RunConfig):
    """Which models, how large a micro-batch, how long."""

    presets: tuple[ShapeName, ...] = ("nano", "small", "dense300m", "base")
    """Shapes: the presets, and one of 300 million weights without experts."""
    peers: tuple[peer_seq2seq.PeerName, ...] = ("t5", "bart")
    """Models of transformers to measure beside each."""
    micro_batch: int | Literal["auto"] | None = None
    """Windows of a micro-batch.

    Auto = as many as memory takes (CUDA); None = auto for base on CUDA, else as
    many as use the device well."""
    max_micro_batch: int = 256
    """Most windows that auto tries."""
    window_bp: int = 6144
    """Bases of a window."""
    batches: int = 2
    """Micro-batches that take turns."""
    rounds: int = 10
    """Measured rounds."""
    compile: bool = False
    """Compile each of our layers."""
    compile_peers: bool = False
    """Compile each of the peers' layers."""
    attention: AttentionName = "auto"
    """What computes the encoder's windowed attention."""
    gradient_checkpointing: bool = False
    """Recompute our layers' activations in the backward pass."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """bf16 = autocast with fp32 weights; auto = bf16 where the device multiplies it, else fp32."""
    limit_s: float | None = None
    """Begin no further model after this many seconds; the table lists those left out."""
    sweep: bool = False
    """Measure small shapes against window length, latents and experts instead."""
    out: Path | None = None
    """JSON file; by default benchmarks/results/DATE_DEVICE_train_step.json (or _scaling.json)."""


def shape(name: ShapeName) -> ModelConfig:
    """Return a preset, or the dense shape of about 300 M weights, for the tokenizer used here."""
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


# ---- contenders ---------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class Contender:
    """One model that trains."""

    model: nn.Module
    step: Callable[[], Any]
    parameters: int
    batches: list[Batch]
    flops: Flops
    """Of a step, forward and backward, useful ones; the mean over the micro-batches."""
    figures: Callable[[], dict[str, float]] = dict
    """What else it reports after its steps."""
    more: dict[str, Any] = field(default_factory=dict)


def make_ours(
    config: ModelConfig, settings: BenchConfig, device: torch.device, batches: list[Batch]
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
        model=model,
        step=step,
        parameters=sum(weight.numel() for weight in model.parameters()),
        batches=batches,
        flops=mean_flops([batch_flops(config, windows) for windows in sizes]),
        figures=figures,
        more={
            "compiled": settings.compile,
            "active_parameters": active_parameters(model),
            "padded_tflop": round(padded_flops(config, batches).total / 1e12, 6),
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


def make_trainer(model: GeneT5, settings: BenchConfig, device: torch.device) -> Trainer:
    """Return the training loop around a model; it writes no files."""
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
        horizon=Horizon(1_000, 1_000),
        ranks=ranks,
        metrics=Metrics([]),
    )


class _NoSource:
    """The benchmark hands each step its micro-batch."""

    epoch = step = 0

    def __len__(self) -> int:
        return 1_000

    def __iter__(self) -> Any:
        return iter(())

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to take over."""


def make_peer(
    name: peer_seq2seq.PeerName,
    config: ModelConfig,
    settings: BenchConfig,
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
    if settings.compile_peers:
        peer_seq2seq.compile_layers(model)
    inputs = [peer_seq2seq.peer_inputs(batch, found.vocab, device) for batch in batches]
    optimizer = build_optimizer(model, OptimConfig())
    each = [peer_seq2seq.peer_flops(name, found, window_sizes(batch)) for batch in batches]
    return Contender(
        model=model,
        step=peer_seq2seq.peer_step(
            model, optimizer, inputs, use_bf16=settings.precision == "bf16"
        ),
        parameters=sum(weight.numel() for weight in model.parameters()),
        batches=batches,
        flops=mean_flops(each),
        more={"ff_dim": found.ff_dim, "compiled": settings.compile_peers},
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


def row(contender: Contender, times: dict[str, float]) -> dict[str, Any]:
    """Return a contender's figures without those that relate it to others.

    On a CPU the processor time is the time of a step, which holds for one thread.
    """
    batches, flops = contender.batches, contender.flops
    ms = work_ms(times)
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
