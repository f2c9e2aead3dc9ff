"""One rank of some toy runs, started by `test_processes.py` with main(OUT, MODE, ...).

For each MODE (ddp, fsdp) OUT/MODE/whole is a run, and OUT/MODE/resumed one that stopped at step 4
of 6 and was resumed. OUT/MODE/stopped is the latter before that. With OTHER=FOLDER,MODE a run in
that folder is resumed here. A step of all ranks has four micro-batches.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

import toys
from genet5.train.distributed.parallel import whole
from genet5.train.distributed.processes import Ranks, distributed
from genet5.train.state.checkpoint_files import find_checkpoint

GLOBAL_BATCHES = 4


class WeightSums:
    """Sums the weights of a model that a rank has for itself, once for each of five batches."""

    num_batches, num_counts = 5, 2

    def count(self, model: torch.nn.Module, batch: int) -> torch.Tensor:
        total = sum(float(weight.detach().abs().sum()) for weight in model.parameters())
        return torch.tensor([(batch + 1) * total, 1.0], dtype=torch.float64)

    def figures(self, counts: torch.Tensor) -> dict[str, float]:
        assert counts[1] == self.num_batches
        return {"weight": float(counts[0])}


def run(ranks: Ranks, out: Path, mode: str, stop_at: int = 0) -> None:
    """Start a run, or resume it."""
    torch.manual_seed(0)  # all ranks begin with equal weights, as they do when they load BASE
    config = toys.toy_config(
        out,
        max_steps=6,
        grad_accum=GLOBAL_BATCHES // ranks.world_size,
        validation={"eval_steps": 3},
    )
    config = replace(
        config,
        checkpoints=replace(config.checkpoints, resume=True),
        compute=replace(config.compute, parallel=mode),
    )
    model = toys.ToyModel(dropout=0.0)
    source = toys.ToySource(3 * GLOBAL_BATCHES, ranks.rank, ranks.world_size)
    trainer = toys.toy_trainer(
        config, ranks=ranks, model=model, source=source, evaluator=WeightSums()
    )
    if (checkpoint := find_checkpoint(config)) is not None:
        trainer.resume(checkpoint)
    if stop_at:
        trainer._vote = lambda: (
            ("killed", True) if trainer.state.progress.step == stop_at else ("", False)
        )
    trainer.run()
    ranks.barrier()
    if not stop_at:
        trainer.export()
        named = trainer.state.model.named_parameters()
        weights = {name: whole(weight.detach()).contiguous() for name, weight in named}
        save_file(weights, out / f"weights-{ranks.rank}.safetensors")


def copy(source: Path, target: Path, ranks: Ranks) -> None:
    if ranks.is_first:
        shutil.copytree(source, target)
    ranks.barrier()


def main(folder: str, *modes: str) -> None:
    out = Path(folder)
    torch.set_num_threads(1)
    with distributed("cpu") as ranks:
        for mode in modes:
            if mode.startswith("OTHER="):
                other, _, mode = mode.removeprefix("OTHER=").partition(",")
                copy(Path(other), out, ranks)
                run(ranks, out, mode)
                continue
            run(ranks, out / mode / "whole", mode)
            run(ranks, out / mode / "stopped", mode, stop_at=4)
            copy(out / mode / "stopped", out / mode / "resumed", ranks)
            run(ranks, out / mode / "resumed", mode)
