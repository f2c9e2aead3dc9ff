"""Which floating-point type a device multiplies fast.

bfloat16 halves memory traffic and is what GPUs and recent server processors multiply; a processor
without instructions for it emulates every product and is tens of times slower than in float32
(an AVX2 machine: 59 times, `benchmarks/results/2026-11-30_cpu_precision.json`).
"""

from __future__ import annotations

from typing import Literal

import torch


def has_fast_bf16(device: torch.device) -> bool:
    """Return whether the device multiplies bfloat16 at least about as fast as float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return False


def resolve_precision(
    wanted: Literal["auto", "bf16", "fp32"], device: torch.device
) -> Literal["bf16", "fp32"]:
    """Return the precision: "auto" is bf16 where the device multiplies it fast, else fp32."""
    if wanted != "auto":
        return wanted
    return "bf16" if has_fast_bf16(device) else "fp32"
