"""Stand-ins for training: a model and its data that take hundreds of steps, and files for a run.

`make_toy_run` writes baked data of a simulated genome and a GeneT5 of some thousand weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from genet5.config.bake import BakeConfig
from genet5.config.model import BalanceName, preset
from genet5.config.train import (
    BatchConfig,
    CheckpointConfig,
    ComputeConfig,
    DurationConfig,
    LogConfig,
    OptimConfig,
    TrainConfig,
    ValidationConfig,
)
from genet5.dataset.bake import bake
from genet5.dataset.batch import Batch, Inputs, Targets, position_steps
from genet5.dataset.per_base import IGNORE
from genet5.dataset.starts import NUM_RIVALS
from genet5.genome.io.fasta import write_fasta
from genet5.genome.io.gff3 import write_gff3
from genet5.genome.sequence import decode_bases
from genet5.model.network import GeneT5
from genet5.simulate.prokaryote import simulate_bacterium
from genet5.tokens.sequence import KmerTokenizer
from genet5.tokens.tokenizer_file import Tokenizer, save_tokenizer
from genet5.train.distributed.processes import Ranks
from genet5.train.horizon import Horizon
from genet5.train.loop import Trainer
from genet5.train.objective import Objective
from genet5.train.telemetry.metrics import CsvSink, JsonlSink, Metrics

LENGTH = 12


@dataclass(frozen=True)
class ToyTerm:
    sum: Tensor
    count: Tensor
    weight: float


class ToyModel(nn.Module):
    """Tells the next base; dropout makes it use the random state."""

    def __init__(self, dropout: float = 0.1) -> None:
        super().__init__()
        self.embedding = nn.Embedding(8, 16)
        self.norm = nn.LayerNorm(16)
        self.linear = nn.Linear(16, 16)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(16, 8, bias=False)
        self.unused = nn.Parameter(torch.ones(3))
        self.head.weight = self.embedding.weight

    def forward(self, batch: Batch) -> Tensor:
        x = self.embedding(batch.inputs.input_ids)
        return self.head(self.dropout(torch.relu(self.linear(self.norm(x))))).float()

    def blocks(self) -> list[nn.Module]:
        return [self.linear]

    def stored(self) -> dict[str, Tensor]:
        state = self.state_dict()
        del state["head.weight"]
        return state

    def save_pretrained(self, path: Path, *, tensors: Mapping[str, Tensor] | None = None) -> None:
        path.mkdir(parents=True, exist_ok=True)
        (path / "config.json").write_text("{}", encoding="utf-8")
        save_file(dict(self.stored() if tensors is None else tensors), path / "model.safetensors")

    def rebuilt(self, tensors: Mapping[str, Tensor]) -> ToyModel:
        model = ToyModel()
        model.load_state_dict({**tensors, "head.weight": tensors["embedding.weight"]})
        return model


def toy_sums(output: Tensor, batch: Batch) -> dict[str, ToyTerm]:
    """Two heads with different counts, so that a wrong normalisation shows."""
    labels, weights = batch.targets.labels, batch.targets.label_weights
    loss = nn.functional.cross_entropy(output.transpose(1, 2), labels, reduction="none")
    is_even = (labels % 2 == 0).float() * weights
    return {
        "token": ToyTerm((loss * weights).sum(), weights.sum(), 1.0),
        "position": ToyTerm((loss * is_even).sum(), is_even.sum(), 0.5),
    }


def toy_counts(batch: Batch) -> dict[str, Tensor]:
    labels, weights = batch.targets.labels, batch.targets.label_weights
    return {"token": weights.sum(), "position": ((labels % 2 == 0) * weights).sum()}


def toy_batch(seed: int, num_windows: int = 3) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, 8, (num_windows, LENGTH), generator=draw)
    lengths = torch.randint(4, LENGTH + 1, (num_windows,), generator=draw)
    weights = (torch.arange(LENGTH) < lengths[:, None]).float()
    inputs = Inputs(
        input_ids=ids,
        token_start_bp=torch.arange(LENGTH).expand(num_windows, -1),
        num_tokens=lengths,
        bases=torch.full((num_windows, LENGTH), ord("A"), dtype=torch.uint8),
        num_bases=lengths,
        genetic_code=torch.full((num_windows,), 11),
        evidence=torch.zeros(num_windows, 0, LENGTH, dtype=torch.uint8),
    )
    labels = (ids * 3 + 1) % 8
    targets = Targets(
        labels=labels,
        label_weights=weights,
        position_steps=position_steps(labels),
        states=torch.zeros((num_windows, 2, LENGTH), dtype=torch.int8),
        boundaries=torch.zeros((num_windows, 8, LENGTH), dtype=torch.int8),
        base_weights=torch.ones(num_windows, 2, LENGTH),
        starts=torch.full((num_windows, LENGTH, 1 + NUM_RIVALS), -1, dtype=torch.int32),
    )
    return Batch(inputs, targets, tuple(f"toy/{seed}:{row}" for row in range(num_windows)))


def gene_batch(seed: int = 1) -> Batch:
    """Random targets for GeneT5: positions, weights between 0 and 1, unknown bases."""
    draw = torch.Generator().manual_seed(seed + 2)
    batch = toy_batch(seed)
    shape = batch.targets.labels.shape
    labels = torch.randint(-10, 9, shape, generator=draw)
    labels = labels.clamp(min=-int(batch.inputs.num_bases.min()))
    states = torch.randint(0, 8, batch.targets.states.shape, generator=draw).to(torch.int8)
    states[torch.rand(states.shape, generator=draw) < 0.3] = IGNORE
    boundaries = (torch.rand(batch.targets.boundaries.shape, generator=draw) < 0.2).to(torch.int8)
    weights = (torch.rand(shape, generator=draw) * 2).clamp(max=1.0).round(decimals=1)
    starts = torch.randint(-1, 8, (*shape, 1 + NUM_RIVALS), generator=draw).to(torch.int32)
    starts[labels >= 0] = -1
    starts[:, 0] = -1
    targets = Targets(
        labels=labels,
        label_weights=weights,
        position_steps=position_steps(labels),
        states=states,
        boundaries=boundaries,
        base_weights=1 + torch.randint(0, 2, states.shape, generator=draw).float(),
        starts=starts,
    )
    return replace(batch, targets=targets)


def joined(batches: Sequence[Batch]) -> Batch:
    """All windows of some batches of one length as one batch."""
    parts: dict[str, Any] = {}
    for part, kind in (("inputs", Inputs), ("targets", Targets)):
        each = [getattr(batch, part) for batch in batches]
        names = kind.__dataclass_fields__.keys() - {"position_steps"}
        joint = {name: torch.cat([getattr(one, name) for one in each]) for name in names}
        if kind is Targets:
            joint["position_steps"] = position_steps(joint["labels"])
        parts[part] = kind(**joint)
    ids = tuple(name for batch in batches for name in batch.window_ids)
    return Batch(**parts, window_ids=ids)


def tiny_gene_model(num_experts: int = 0, balance: BalanceName = "loss") -> GeneT5:
    """A GeneT5 of some thousand parameters, with experts in encoder and decoder if wanted."""
    shape = preset("nano")
    experts = {"num_experts": num_experts, "moe_top_k": 1, "moe_balance": balance}
    shape = replace(
        shape,
        width=16,
        sequence_vocab=32,
        structure_vocab=16,
        encoder=replace(shape.encoder, layers=2, ff_dim=16, **experts),
        compressor=replace(shape.compressor, ff_dim=16),
        decoder=replace(shape.decoder, ff_dim=16, **experts),
    )
    model = GeneT5(shape)
    model.init_weights(0)
    return model


class ToySource:
    """Batches of an epoch in an order that depends on the epoch; every rank takes its share."""

    def __init__(self, num_batches: int = 6, rank: int = 0, world_size: int = 1) -> None:
        self.num_batches, self.rank, self.world_size = num_batches, rank, world_size
        self.epoch = self.step = 0

    def __iter__(self) -> Iterator[Batch]:
        order = torch.randperm(
            self.num_batches, generator=torch.Generator().manual_seed(self.epoch)
        ).tolist()[self.rank :: self.world_size]
        while self.step < len(order):
            self.step += 1
            yield toy_batch(order[self.step - 1])
        self.epoch, self.step = self.epoch + 1, 0

    def __len__(self) -> int:
        return len(range(self.num_batches)[self.rank :: self.world_size])

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "step": self.step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch, self.step = state["epoch"], state["step"]


def toy_config(out: Path, **parts: Any) -> TrainConfig:
    return TrainConfig(
        train=Path("train.packed"),
        val=Path("val.packed"),
        out=out,
        base=Path("base"),
        duration=DurationConfig(max_steps=parts.pop("max_steps", 8)),
        batch=BatchConfig(grad_accum=parts.pop("grad_accum", 1)),
        optim=replace(OptimConfig(lr=1e-2, ema_decay=0.9), **parts.pop("optim", {})),
        checkpoints=replace(CheckpointConfig(save_every=None), **parts.pop("checkpoints", {})),
        validation=replace(ValidationConfig(), **parts.pop("validation", {})),
        compute=ComputeConfig(device="cpu", precision=parts.pop("precision", "fp32")),
        log=LogConfig(log_every_steps=parts.pop("log_every_steps", 1)),
        **parts,
    )


def toy_trainer(config: TrainConfig, *, ranks: Ranks | None = None, **parts: Any) -> Trainer:
    """Build the same trainer each time: weights and random state follow from the settings' seed."""
    ranks = ranks or Ranks()
    config.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    model = parts.pop("model", None) or ToyModel()
    source = parts.pop("source", None) or ToySource(6, ranks.rank, ranks.world_size)
    sinks = [JsonlSink(config.out / "metrics.jsonl"), CsvSink(config.out)]
    return Trainer(
        config=config,
        model=model,
        objective=parts.pop("objective", Objective(toy_sums, toy_counts)),
        source=source,
        horizon=parts.pop("horizon", Horizon(config.duration.max_steps or 8, 6)),
        ranks=ranks,
        metrics=Metrics(sinks if ranks.is_first else []),
        validation=parts.pop("validation", lambda: [toy_batch(100), toy_batch(101)]),
        **parts,
    )


def make_toy_run(out: Path) -> Path:
    """Write training.packed, validation.packed and base, a model with dropout."""
    contigs, genes = simulate_bacterium(40_000, seed=1, num_contigs=4)
    write_fasta(out / "g.fa", [(contig.name, decode_bases(contig.bases)) for contig in contigs])
    with (out / "g.gff3").open("w", encoding="utf-8") as lines:
        write_gff3(lines, genes, {contig.name: len(contig.bases) for contig in contigs})
    tokenizer = Tokenizer(KmerTokenizer(4))
    shape = preset("nano")
    shape = replace(
        shape,
        width=16,
        sequence_vocab=tokenizer.sequence.vocab_size,
        structure_vocab=len(tokenizer.structure),
        base_channels=16,
        pointer_width=8,
        encoder=replace(shape.encoder, layers=1, ff_dim=16, dropout=0.1),
        compressor=replace(shape.compressor, ff_dim=16),
        decoder=replace(shape.decoder, layers=1, ff_dim=16, dropout=0.1),
    )
    model = GeneT5(shape)
    model.init_weights(0)
    model.save_pretrained(out / "base")
    save_tokenizer(tokenizer, out / "base")
    bake(
        BakeConfig(
            fasta=out / "g.fa",
            gff=out / "g.gff3",
            output_dir=out,
            tokenizer=out / "base",
            window_size=300,
            target=150,
            hard_limit=300,
            valid_share=0.25,
            split_by="contig",
        )
    )
    return out
