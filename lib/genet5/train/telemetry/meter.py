"""Sums between two progress lines; losses stay on the device until they are read.

The sums are part of a checkpoint: a resumed run's next line shows what an uninterrupted run's
would. Speed is not. Sizes are read from batches before they move to the device, so that reading
them never waits for it either.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from genet5.config.model import ModelConfig
from genet5.dataset.batch import Batch, TrainingBatch
from genet5.tokens.vocabulary import StructureVocabulary
from genet5.train.distributed.processes import Ranks
from genet5.train.telemetry.flops import WindowSizes, batch_flops, peak_flops, training_flops

log = logging.getLogger(__name__)

_STEPS = "steps"


@dataclass(frozen=True, slots=True)
class MeterReading:
    """What all ranks did since the last reading."""

    means: dict[str, float]
    """Mean of each quantity over the steps."""
    tokens_per_s: float
    """Sequence tokens without padding."""
    bp_per_s: float
    """Bases."""
    padding_pct: float
    """Padding among the sequence tokens."""
    seconds_per_step: float
    """Without validation and saving."""
    mfu_pct: float | None
    """Model FLOPs utilisation (`train.telemetry.flops`), padding not counted; None = the device's
    peak is not known."""


def window_sizes(batch: Batch) -> list[WindowSizes]:
    """Return the sizes of each window of a batch on the CPU, without padding."""
    labels = batch.targets.labels
    rows = zip(
        batch.inputs.num_tokens.tolist(),
        batch.inputs.num_bases.tolist(),
        (labels != StructureVocabulary.pad).sum(dim=1).tolist(),
        (labels < 0).sum(dim=1).tolist(),
        strict=True,
    )
    return [
        WindowSizes(tokens=tokens, bases=bases, labels=count, positions=positions)
        for tokens, bases, count, positions in rows
    ]


def gene_flops(shape: ModelConfig) -> Callable[[Batch], int]:
    """Return what counts the FLOPs that training on a batch needs, padding left out."""
    return lambda batch: training_flops(batch_flops(shape, window_sizes(batch))).total


def device_peak(device: torch.device, precision: Literal["bf16", "fp32"]) -> float | None:
    """Return a device's peak in FLOP/s, or None where that is not known (CPUs among others)."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    peak = peak_flops(name, precision)
    if peak is None:
        log.warning("no MFU is logged: the peak of %s is not known", name)
    return peak


class Meter:
    """Counts steps, losses and tokens of this rank; `read` adds up all ranks.

    Args:
        ranks: This process among the run's.
        flops: Counts the useful FLOPs of a batch on the CPU.
        peak: FLOP/s that one rank's device reaches at most; MFU needs it and `flops`.
    """

    def __init__(
        self,
        ranks: Ranks,
        *,
        flops: Callable[[Any], int] | None = None,
        peak: float | None = None,
    ) -> None:
        self._ranks, self._count_flops, self._peak = ranks, flops, peak
        self._sums: dict[str, Tensor] = {}
        self._clear_speed()

    def add(self, name: str, value: Tensor) -> None:
        """Add this rank's part of a quantity, a scalar on the device."""
        before, exact = self._sums.get(name), value.double()
        self._sums[name] = exact if before is None else before + exact

    def add_shared(self, name: str, value: Tensor) -> None:
        """Add a quantity that is the same on all ranks."""
        self.add(name, value / self._ranks.world_size)

    def count_step(self, batches: Sequence[TrainingBatch]) -> tuple[int, int]:
        """Count a step's micro-batches, on the CPU; return this rank's tokens and bases."""
        sizes = [batch.sizes for batch in batches]
        tokens = sum(each.tokens for each in sizes)
        bases = sum(each.bases for each in sizes)
        self._tokens += tokens
        self._bases += bases
        self._padded += sum(each.padded_tokens for each in sizes)
        if self._count_flops is not None and self._peak is not None:
            self._flops += sum(map(self._count_flops, batches))
        self._steps += 1
        self.add_shared(_STEPS, torch.ones((), device=self._ranks.device))
        return tokens, bases

    def pause(self, seconds: float) -> None:
        """Leave `seconds` out of the speed."""
        self._started += seconds

    def restart_clock(self) -> None:
        """Count the speed from now on."""
        self._started = time.perf_counter()

    def state(self) -> dict[str, float]:
        """Return this rank's sums as plain numbers, exactly."""
        return {name: float(value) for name, value in self._sums.items()}

    def load_state(self, state: Mapping[str, float]) -> None:
        """Take over sums."""
        self._sums = {
            name: torch.tensor(value, dtype=torch.float64, device=self._ranks.device)
            for name, value in state.items()
        }
        self._clear_speed()

    def read(self) -> MeterReading:
        """Return what happened since the last reading, and start again; every rank calls it."""
        names = sorted(self._sums)
        totals = self._ranks.sum(torch.stack([self._sums[name] for name in names])).tolist()
        sums = dict(zip(names, totals, strict=True))
        steps = sums.pop(_STEPS)
        counts = [self._tokens, self._bases, self._padded, self._flops]
        counted = torch.tensor(counts, dtype=torch.float64)  # FLOPs of many GPUs outgrow int64
        tokens, bases, padded, flops = self._ranks.sum(counted).tolist()
        seconds = max(time.perf_counter() - self._started, 1e-9)
        reading = MeterReading(
            means={name: total / steps for name, total in sums.items()},
            tokens_per_s=tokens / seconds,
            bp_per_s=bases / seconds,
            padding_pct=100 * (1 - tokens / max(1, padded)),
            seconds_per_step=seconds / max(1, self._steps),
            mfu_pct=self._utilisation(flops / seconds),
        )
        self._sums = {}
        self._clear_speed()
        return reading

    def _utilisation(self, flops_per_s: float) -> float | None:
        if self._count_flops is None or self._peak is None:
            return None
        return 100 * flops_per_s / (self._peak * self._ranks.world_size)

    def _clear_speed(self) -> None:
        self._steps = self._tokens = self._bases = self._padded = self._flops = 0
        self.restart_clock()
