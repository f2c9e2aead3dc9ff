#!/usr/bin/env python3
"""Time our mixture of experts beside transformers' Mixtral block (eager, grouped_mm).

Same shapes, same weights, same activation (exact GELU), bf16 weights and inputs, forward and
backward; the router of each included. Outputs and gradients are compared first: they differ by a
few percent in norm, because Mixtral's router works in bf16 and ours in fp32, which sends some
tokens to other experts (in fp32 the blocks are equal, as a test checks). Contenders take turns in
every round. Our block also gives the load-balance and z-loss; Mixtral's block alone does not.

Example:
    python benchmarks/bench_moe.py --tokens 2048 --rounds 5
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measure
import torch
from machine import work_ms
from torch import Tensor, nn

from genet5.blocks.moe import MixtureOfExperts
from genet5.cli.parse import run
from genet5.config.json_files import save_json

PEERS = ("eager", "grouped_mm")


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchConfig(measure.RunConfig):
    """Shape of the layer and length of the measurement."""

    tokens: tuple[int, ...] = (512, 2048, 8192)
    """Tokens of a micro-batch."""
    width: int = 768
    """Model width."""
    ff_dim: int = 3072
    """Width of an expert."""
    experts: int = 16
    """Experts."""
    top_k: int = 2
    """Experts of each token."""
    rounds: int = 7
    """Measured rounds."""
    compile: bool = False
    """Measure our block under torch.compile, too."""
    out: Path | None = None
    """JSON file; by default benchmarks/results/DATE_DEVICE_moe.json."""


def mixtral(settings: BenchConfig, experts: str) -> nn.Module:
    """Return transformers' block with our shape."""
    from transformers import MixtralConfig
    from transformers.models.mixtral.modeling_mixtral import MixtralSparseMoeBlock

    config = MixtralConfig(
        hidden_size=settings.width,
        intermediate_size=settings.ff_dim,
        num_local_experts=settings.experts,
        num_experts_per_tok=settings.top_k,
        hidden_act="gelu",
        experts_implementation=experts,
    )
    return MixtralSparseMoeBlock(config)


@torch.no_grad()
def copy_weights(ours: MixtureOfExperts, theirs: nn.Module) -> None:
    """Give Mixtral's block our weights."""
    theirs.gate.weight.copy_(ours.router.weight)
    theirs.experts.gate_up_proj.copy_(ours.up)
    theirs.experts.down_proj.copy_(ours.down)


def blocks(settings: BenchConfig, device: torch.device) -> dict[str, nn.Module]:
    """Return all contenders in bf16 with the same weights."""
    torch.manual_seed(0)
    ours = MixtureOfExperts(settings.width, settings.ff_dim, settings.experts, settings.top_k)
    for weight in ours.parameters():
        nn.init.normal_(weight, std=0.02)
    ours = ours.to(device, torch.bfloat16)
    found: dict[str, nn.Module] = {"genet5": ours}
    if settings.compile:
        found["genet5 compiled"] = torch.compile(ours)
    for name in PEERS:
        theirs = mixtral(settings, name).to(device, torch.bfloat16)
        copy_weights(ours, theirs)
        found[f"mixtral {name}"] = theirs
    return found


def output(block: nn.Module, x: Tensor) -> Tensor:
    """Return the block's output without its losses."""
    result = block(x)
    return result[0] if isinstance(result, tuple) else result


def step(block: nn.Module, x: Tensor, goal: Tensor) -> Callable[[], None]:
    """Return one forward and backward pass."""

    def both_ways() -> None:
        block.zero_grad(set_to_none=True)
        x.grad = None
        output(block, x).backward(goal)

    return both_ways


def differences(found: dict[str, nn.Module], x: Tensor, goal: Tensor) -> dict[str, Any]:
    """Return relative differences of each block's output and input gradient from ours."""
    results = {}
    for name, block in found.items():
        step(block, x, goal)()
        assert x.grad is not None
        results[name] = output(block, x).detach().float(), x.grad.float()
    ours = results["genet5"]
    return {
        name: [float((a - b).norm() / b.norm()) for a, b in zip(result, ours, strict=True)]
        for name, result in results.items()
        if name != "genet5"
    }


def bench(settings: BenchConfig) -> int:
    """Measure, print a table and write JSON."""
    device = measure.start(settings)
    record = {
        "what": "mixture of experts, forward and backward, bf16",
        **measure.environment(device, "transformers"),
        "note": settings.note,
        "shape": {
            name: getattr(settings, name) for name in ("width", "ff_dim", "experts", "top_k")
        },
        "rounds": settings.rounds,
        "results": [],
    }
    out = settings.out or measure.result_path(device, "moe")
    found = blocks(settings, device)
    print("| tokens | block | ms | processor ms | of genet5's |\n|---|---|---|---|---|")
    for tokens in settings.tokens:
        x = torch.randn(1, tokens, settings.width, device=device, dtype=torch.bfloat16)
        goal = torch.randn_like(x)
        x.requires_grad_()
        apart = differences(found, x, goal)
        steps = {name: step(block, x, goal) for name, block in found.items()}
        times = measure.time_in_turn(steps, device, rounds=settings.rounds, warmup=1)
        for name, row in times.items():
            ratio = round(work_ms(row) / work_ms(times["genet5"]), 3)
            shown = row["median_ms"], row.get("cpu_ms", "")
            print(f"| {tokens} | {name} | {shown[0]} | {shown[1]} | {ratio:.2f} |", flush=True)
            record["results"].append({"tokens": tokens, "block": name, **row, "ratio": ratio})
        record.setdefault("relative_difference_of_output_and_gradient", {})[tokens] = apart
        save_json(out, record)
    print(f"\nwritten: {out}")
    return 0


if __name__ == "__main__":
    sys.exit(run(bench, BenchConfig, None, name="bench_moe", description=__doc__ or ""))
