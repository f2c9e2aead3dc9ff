"""One rank of one training step of a tiny GeneT5, started by `test_parallel.py` with main(OUT).

Rank 0 writes the gradient of each case, with DDP into OUT/ddp, with FSDP2 into OUT/fsdp (several
ranks). Four micro-batches are the step's data; each of W ranks joins 4 / W of them.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

import toys
from genet5.train.distributed.parallel import whole
from genet5.train.distributed.processes import Ranks, distributed
from genet5.train.loss import LossWeights
from genet5.train.objective import gene_objective

MODES = ("ddp", "fsdp")
CASES = {
    "dense": (0, "loss", 0.01),
    "balanced by a loss": (4, "loss", 1.0),
    "loss off": (4, "loss", 0.0),
    "balanced by a bias": (4, "bias", 0.01),
}


def main(folder: str) -> None:
    out = Path(folder)
    torch.set_num_threads(1)
    with distributed("cpu") as ranks:
        modes = MODES if ranks.world_size > 1 else MODES[:1]
        for mode, (case, (num_experts, balance, weight)) in product(modes, CASES.items()):
            model = toys.tiny_gene_model(num_experts, balance)
            found = gradients(out, mode, ranks, model, weight)
            if ranks.is_first:
                (out / mode).mkdir(exist_ok=True)
                save_file(found, out / mode / f"{case}.safetensors")


def gradients(
    out: Path, mode: str, ranks: Ranks, model: Any, weight: float
) -> dict[str, torch.Tensor]:
    """Return each parameter's gradient of one step, "norm", the losses, and tokens per expert."""
    config = toys.toy_config(
        out / f"run-{ranks.rank}", optim={"max_grad_norm": 1e9, "ema_decay": None}
    )
    config = replace(config, compute=replace(config.compute, parallel=mode))
    objective = gene_objective(model, LossWeights(balance=weight), ranks)
    trainer = toys.toy_trainer(config, ranks=ranks, model=model, objective=objective)
    share = 4 // ranks.world_size
    batches = [toys.gene_batch(seed) for seed in range(4)]
    mine = toys.joined(batches[share * ranks.rank : share * (ranks.rank + 1)])
    found: dict[str, torch.Tensor] = {}

    def keep() -> None:
        for name, parameter in trainer.state.model.named_parameters():
            assert parameter.grad is not None, name
            found[name] = whole(parameter.grad).contiguous()

    trainer.state.optimizer.step = keep
    trainer._step([mine])
    reading = trainer._meter.read()
    found |= {f"mean/{name}": torch.tensor(value) for name, value in reading.means.items()}
    return found
