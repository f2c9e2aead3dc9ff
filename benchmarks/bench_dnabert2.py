#!/usr/bin/env python3
"""Make the base model from a DNABERT-2 checkpoint.

Time, memory, parameters, and how far its encoder is from DNABERT-2.

The published weights are not part of the project, so a checkpoint of their keys and shapes is
filled with random numbers. `bin/init` makes base from it in its own process. The encoder that it
wrote is then compared with DNABERT-2's equations, written out in plain PyTorch
(`tests/dnabert2.py`), in fp32 and in fp64, and timed beside them. Needs 7 GB of memory and of disk.

Example:
    python benchmarks/bench_dnabert2.py --lengths 64 600
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import measure
import torch
from machine import ROOT, run_measured
from safetensors import safe_open
from torch import Tensor

import dnabert2_files
from genet5.blocks.encoder import Encoder
from genet5.cli.parse import run
from genet5.config.json_files import config_from_dict, load_json, save_json
from genet5.config.model import ModelConfig
from genet5.errors import ConfigError

MIB = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchConfig:
    """What is compared, and where things lie."""

    tokenizer: Path = ROOT.parent / "shared" / "data" / "dnabert2" / "tokenizer.json"
    """DNABERT-2's tokenizer.json."""
    lengths: tuple[int, ...] = (128, 512, 1024)
    """Tokens of the sequences on which states are compared."""
    scratch: Path | None = None
    """Folder for the checkpoint and the model, 7 GB; None = the system's."""
    out: Path | None = None
    """JSON file; by default benchmarks/results/DATE_cpu_dnabert2.json."""

    def __post_init__(self) -> None:
        if not self.tokenizer.is_file():
            raise ConfigError("tokenizer", str(self.tokenizer), "must be a file")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    return run(_bench, BenchConfig, argv, name="bench_dnabert2", description=__doc__ or "")


def _bench(settings: BenchConfig) -> int:
    device = torch.device("cpu")
    out = settings.out or measure.result_path(device, "dnabert2")
    figures = {"what": "base made from a DNABERT-2 checkpoint", **measure.environment(device)}
    with tempfile.TemporaryDirectory(dir=settings.scratch) as scratch:
        state = dnabert2_files.random_state(dnabert2_files.PUBLISHED)
        source = dnabert2_files.write(Path(scratch) / "dnabert2", dnabert2_files.PUBLISHED, state)
        shutil.copy(settings.tokenizer, source / "tokenizer.json")
        figures["init"] = _init(source, Path(scratch) / "base")
        figures["states"] = []
        for row in _compare(Path(scratch) / "base", state, settings.lengths):
            sys.stderr.write(f"{row}\n")
            figures["states"].append(row)
            save_json(out, figures)  # after each row: long sequences take minutes on few cores
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    return 0


def _init(source: Path, out: Path) -> dict[str, Any]:
    """Run `bin/init`; its time, its peak memory (its own process) and its table."""
    command = [sys.executable, ROOT / "bin" / "init", out, "--preset", "base"]
    cost, table = run_measured([*command, "--dnabert_path", source])
    return {
        **{name: round(value, 1) for name, value in asdict(cost).items()},
        "checkpoint_mib": (source / "pytorch_model.bin").stat().st_size // MIB,
        "model_mib": (out / "model.safetensors").stat().st_size // MIB,
        "table": table.replace(str(source), "DNABERT-2").splitlines(),
    }


@torch.no_grad()
def _compare(
    folder: Path, state: dict[str, Tensor], lengths: Sequence[int]
) -> Iterator[dict[str, Any]]:
    """Yield the largest differences between the written encoder and the equations."""
    config = config_from_dict(ModelConfig, load_json(folder / "config.json"), folder)
    exact = {name: tensor.double() for name, tensor in state.items()}
    for length in lengths:
        ids = torch.randint(0, 4096, (length,), generator=torch.Generator().manual_seed(length))
        for window in (0, config.encoder.window_tokens):
            encoder = _encoder(folder, config, window)
            half = window // 2 or None
            begin = time.perf_counter()
            expected = dnabert2_files.states(state, dnabert2_files.PUBLISHED, ids, half)
            middle = time.perf_counter()
            got = _encode(encoder, ids[None], [length])[0]
            end = time.perf_counter()
            # Two more rows in the batch: one full, one padded.
            batch = torch.stack((ids, ids.flip(0), ids))
            padded = _encode(encoder, batch, [length, length, length // 3])
            short = dnabert2_files.states(state, dnabert2_files.PUBLISHED, ids[: length // 3], half)
            truth = dnabert2_files.states(exact, dnabert2_files.PUBLISHED, ids, half)
            yield {
                "tokens": length,
                "window": window or "all",
                "max_diff": _diff(got, expected),
                "max_diff_in_batch": _diff(padded[0], expected),
                "max_diff_padded": _diff(padded[2, : length // 3], short),
                "max_diff_to_fp64": _diff(got, truth),
                "equations_to_fp64": _diff(expected, truth),
                "largest_state": round(expected.abs().max().item(), 2),
                "encoder_s": round(end - middle, 2),
                "equations_s": round(middle - begin, 2),
            }


def _diff(one: Tensor, other: Tensor) -> float:
    return float(f"{(one - other).abs().max().item():.2e}")


def _encoder(folder: Path, config: ModelConfig, window: int) -> Encoder:
    """The encoder in the written file, with this window."""
    shape = replace(config.encoder, window_tokens=window)
    with torch.device("meta"):
        encoder = Encoder(replace(config, encoder=shape))
    with safe_open(folder / "model.safetensors", "pt") as file:
        state = {name: file.get_tensor(f"encoder.{name}") for name in encoder.state_dict()}
    encoder.load_state_dict(state, assign=True)
    return encoder.eval()


def _encode(encoder: Encoder, ids: Tensor, counts: list[int]) -> Tensor:
    starts = torch.arange(ids.shape[1]).expand_as(ids)
    states: Tensor = encoder(ids, starts, torch.tensor(counts), torch.zeros(1))
    return states


if __name__ == "__main__":
    sys.exit(main())
