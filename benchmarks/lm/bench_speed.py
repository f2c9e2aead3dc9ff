#!/usr/bin/env python3
"""Speed of training and scoring beside plain `transformers` code, and memory against length.

Both train the same nano network on the same batches with AdamW (logits of all positions at once
there, in chunks here), and score the same windows; contenders take turns, and the least processor
time of each counts, since what other jobs on the machine do only adds to it. Memory is
that of a process of its own that scores one random sequence with overlapping windows, less that of
the same for 1,000 bases.

Example:
    python benchmarks/lm/bench_speed.py --rounds 1 --lengths 1000 10000      # a quick look
"""

from __future__ import annotations

import pathlib
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from machine import ROOT, run_measured
from measure import RunConfig, environment, result_path, start, time_in_turn
from torch import Tensor

from genet5.cli.parse import run
from genet5.config.json_files import save_json
from genet5.config.lm.init import PRESETS
from genet5.dataset.batch import BatchSizes
from genet5.lm.causal_batch import CausalBatch
from genet5.lm.causal_loss import CausalLoss
from genet5.lm.folders import LanguageModel
from genet5.lm.likelihood import Row, log_probabilities
from genet5.lm.networks import build_network
from genet5.lm.trainable import TrainableLm
from genet5.lm.vocabulary import generator_vocabulary

_TINY = {"width": 32, "layers": 1, "heads": 2, "kv_heads": 2, "head_width": 16, "ff_width": 64}


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeedConfig(RunConfig):
    """How much is measured."""

    rounds: int = 12
    """Rounds that each contender runs."""
    rows: int = 4
    """Windows of a batch."""
    tokens: int = 512
    """Tokens of a window."""
    lengths: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    """Bases of the sequences that memory is measured with."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and write benchmarks/results/DATE_DEVICE_lm_speed.json."""
    return run(_bench, SpeedConfig, argv, name="bench_speed", description=__doc__ or "")


def _bench(config: SpeedConfig) -> int:
    device = start(config)
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(32, 4128, (config.rows, config.tokens), generator=generator)
    ids[:, 0] = 1
    training = {"genet5": _our_step(ids, device), "transformers": _plain_step(ids, device)}
    scoring = {"genet5": _our_scores(ids, device), "transformers": _plain_scores(ids, device)}
    theirs, ours = scoring["transformers"](), scoring["genet5"]()
    result: dict[str, Any] = environment(device, "transformers") | {
        "note": config.note,
        "tokens_per_step": ids.numel(),
        "training": time_in_turn(training, device, rounds=config.rounds, warmup=1),
        "scoring": time_in_turn(scoring, device, rounds=config.rounds, warmup=1),
        "largest_difference_of_scores": float(np.abs(ours - theirs).max()),
    }
    result["memory"] = _memory(config.lengths)
    for name in ("training", "scoring"):
        rows = result[name]
        ratio = _work(rows["transformers"]) / _work(rows["genet5"])
        rows["speed_ratio"] = round(ratio, 3)
        sys.stdout.write(f"{name:<10} {ratio:.2f} times the speed of plain code\n")
    for row in result["memory"]:
        sys.stdout.write(
            f"{row['bp']:>10,} bp {row['extra_mib']:>8.1f} MiB {row['cpu_s']:>7.1f} s\n"
        )
    save_json(result_path(device, "lm_speed"), result)
    return 0


def _work(row: dict[str, float]) -> float:
    return row.get("least_cpu_ms", row["median_ms"])


def _network(device: torch.device) -> Any:
    return build_network(PRESETS["generator-nano"], generator_vocabulary(), seed=0).to(device)


def _our_step(ids: Tensor, device: torch.device) -> Callable[[], None]:
    vocabulary = generator_vocabulary()
    lm = LanguageModel(_network(device), vocabulary, "nano")
    model = TrainableLm(lm, CausalLoss(vocabulary, "token")).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    weights = torch.ones(ids.shape)
    weights[:, 0] = 0
    batch = CausalBatch(
        ids=ids,
        weights=weights,
        is_lower=torch.zeros(ids.shape, dtype=torch.bool),
        bases=(6 * weights).long(),
        sizes=BatchSizes(tokens=ids.numel(), bases=6 * ids.numel(), padded_tokens=ids.numel()),
        window_ids=("",) * len(ids),
    ).to(device)

    def step() -> None:
        loss = model(batch)[0, 0] / batch.weights.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def _plain_step(ids: Tensor, device: torch.device) -> Callable[[], None]:
    network = _network(device).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    ids = ids.to(device)

    def step() -> None:
        loss = network(input_ids=ids, labels=ids, use_cache=False).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def _our_scores(ids: Tensor, device: torch.device) -> Callable[[], Any]:
    lm = LanguageModel(_network(device).eval(), generator_vocabulary(), "nano")
    rows = [Row(each.numpy().astype(np.int32)) for each in ids]
    return lambda: log_probabilities(lm, rows, batch_tokens=ids.numel())


def _plain_scores(ids: Tensor, device: torch.device) -> Callable[[], Any]:
    network, ids = _network(device).eval(), ids.to(device)

    @torch.no_grad()
    def scores() -> Any:
        logits = network(input_ids=ids, use_cache=False).logits.float()
        log_p = logits[:, :-1].log_softmax(-1)
        return log_p.gather(-1, ids[:, 1:, None])[..., 0].double().sum(1).cpu().numpy()

    return scores


def _memory(lengths: Sequence[int]) -> list[dict[str, float]]:
    """Score sequences of some lengths by the command, each in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        vocabulary = generator_vocabulary()
        shape = replace(PRESETS["generator-nano"], **_TINY, max_tokens=2048)
        LanguageModel(build_network(shape, vocabulary, seed=0), vocabulary, "").save(Path(folder))
        least, rows = None, []
        for length in (1000, *lengths):
            letters = np.random.default_rng(0).choice(list("ACGT"), length)
            fasta = Path(folder, "x.fa")
            fasta.write_text(">x\n" + "".join(letters) + "\n", encoding="utf-8")
            command = [sys.executable, ROOT / "bin" / "lm_score", folder, fasta, "-o", "/dev/null"]
            cost, _ = run_measured(command, {"OMP_NUM_THREADS": "1"})
            least = least or cost
            extra = cost.peak_mib - least.peak_mib
            rows.append({"bp": length, "extra_mib": extra, "cpu_s": cost.cpu_s - least.cpu_s})
        return rows[1:]


if __name__ == "__main__":
    sys.exit(main())
