"""One rank of a toy run, started by `test_dist.py` as torchrun would: python rank_worker.py OUT ACCUM [STOP_AT [MODE]]."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from genet5.train.checkpoint import find_checkpoint
from genet5.train.dist import distributed
from genet5.train.parallel import whole


def load_stand_ins() -> Any:
    spec = importlib.util.spec_from_file_location("toys", Path(__file__).with_name("conftest.py"))
    assert spec is not None
    assert spec.loader is not None
    toys = importlib.util.module_from_spec(spec)
    sys.modules["toys"] = toys
    spec.loader.exec_module(toys)
    return toys


def main(out: Path, accum: int, stop_at: int = 0, mode: str = "ddp") -> None:
    toys = load_stand_ins()
    torch.manual_seed(0)  # all ranks begin with equal weights, as they do when they load BASE
    torch.set_num_threads(1)
    with distributed("cpu") as ranks:
        config = toys.toy_config(out, max_steps=6, grad_accum=accum, validation={"eval_steps": 3})
        config = replace(
            config,
            checkpoints=replace(config.checkpoints, resume=True),
            compute=replace(config.compute, parallel=mode),
        )
        model = toys.ToyModel(dropout=0.0)
        model.unused.requires_grad_(False)  # DDP waits for the gradient of each parameter
        trainer = toys.toy_trainer(config, ranks=ranks, model=model)
        if (checkpoint := find_checkpoint(config)) is not None:
            trainer.resume(checkpoint)
        if stop_at:
            trainer._vote = lambda: (
                ("killed", True) if trainer.state.progress.step == stop_at else ("", False)
            )
        trainer.run()
        trainer.export()
        named = trainer.state.model.named_parameters()
        weights = {name: whole(weight.detach()).contiguous() for name, weight in named}
        save_file(weights, out / f"weights-{ranks.rank}.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:4]), *sys.argv[4:])
