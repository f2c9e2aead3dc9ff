#!/usr/bin/env python3
"""Where do experts pay? Small models, experts in decoder or encoder, compared at equal compute.

Experts are half as wide as the dense feed-forward and each token uses two of them, so every model
does the same active work per token, and equal steps are equal compute; what experts cost beyond it
(routing, sorting, more weights to move) shows in the processor time of a step. All models are given
the same micro-batches in the same order and take turns, one slice of steps each, until the time is
up. Reported: weights, time of a step, and validation loss at equal steps and at equal time, of all
heads and of those that the decoder serves (tokens and positions). Validation uses a moving average
of the weights, whose loss hardly jumps from one look to the next. Such small models are a hint, no
proof; other seeds show how much is chance.

Example:
    python studies/study_experts.py --minutes 3
"""

from __future__ import annotations

import itertools
import os
import pathlib
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "benchmarks"))

import measure
import torch

from genet5.cli import bake, simulate
from genet5.cli.parse import run
from genet5.config.batches import BatchLimits
from genet5.config.json_files import save_json
from genet5.config.model import CompressorConfig, DecoderConfig, EncoderConfig, ModelConfig
from genet5.dataset.batch import Batch
from genet5.dataset.loader import Loader
from genet5.errors import GeneT5Error
from genet5.model.network import GeneT5, count_parameters
from genet5.tokens.sequence import KmerTokenizer
from genet5.tokens.tokenizer_file import Tokenizer, save_tokenizer
from genet5.tokens.vocabulary import StructureVocabulary
from genet5.train.distributed.processes import Ranks
from genet5.train.experts import update_experts
from genet5.train.loss import LossWeights
from genet5.train.objective import gene_objective, step_counts
from genet5.train.optim import WeightAverage
from genet5.train.validation import validation_losses

RESULTS = Path(__file__).resolve().parent / "results"
HEADS = ("token", "position", "state", "boundary")
WHERE: dict[str, dict[str, dict[str, int]]] = {
    "dense": {},
    "decoder": {"decoder": {"moe_every": 1}},
    "decoder, every second layer": {"decoder": {"moe_every": 2}},
    "encoder and decoder": {"encoder": {"moe_every": 1}, "decoder": {"moe_every": 1}},
    "encoder and decoder, every second layer": {
        "encoder": {"moe_every": 2},
        "decoder": {"moe_every": 2},
    },
}
"""Which layers have experts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyConfig:
    """Size of the models and length of the study."""

    minutes: float = 45.0
    """Processor minutes of training, all models together; validation comes on top."""
    width: int = 128
    """Model width."""
    ff_dim: int = 256
    """Width of the dense feed-forward; an expert has half."""
    experts: int = 8
    """Experts of a layer."""
    balance: Literal["loss", "bias"] = "loss"
    """What keeps experts evenly used."""
    lr: float = 1.5e-3
    """Learning rate after 20 steps of warm-up."""
    slice_steps: int = 25
    """Steps of one model before the next has its turn."""
    rows: int = 1
    """Packed rows of a micro-batch."""
    data: Path | None = None
    """Folder with splits.tsv and raw/ (as ../shared/data).

    By default artificial genomes are made.
    """
    train_genomes: tuple[str, ...] = (
        "Acinetobacter_baumannii_AB0057",
        "Archaeoglobus_fulgidus_DSM4304",
        "Caldivirga_maquilingensis_IC-167",
        "Corynebacterium_glutamicum_K051",
        "Lactiplantibacillus_plantarum_WCFS1",
        "Metallosphaera_sedula_DSM5348",
        "Methanococcus_maripaludis_S2",
        "Pseudomonas_aeruginosa_PAO1",
        "Pyrobaculum_calidifontis_JCM11548",
        "Synechococcus_elongatus_PCC7942",
    )
    """With data: genomes to train on, of the split train."""
    valid_genomes: tuple[str, ...] = (
        "Desulfovibrio_vulgaris_MiyazakiF",
        "Lactobacillus_jensenii_SNUV360",
        "Pyrococcus_furiosus_DSM3638",
    )
    """With data: genomes to validate on, of the split valid."""
    threads: int = 1
    """Threads."""
    seed: int = 1
    """Decides weights, data and order."""
    note: str = ""
    """What the result file records about the machine."""
    out: Path | None = None
    """JSON file; by default studies/results/DATE_cpu_experts.json."""


def shape(settings: StudyConfig, vocabulary: tuple[int, int], where: str) -> ModelConfig:
    """Return the shape of one model."""
    small = {"heads": 4, "ff_dim": settings.ff_dim}
    encoder = EncoderConfig(layers=4, window_tokens=128, positions="rope", norm_first=True, **small)
    decoder = DecoderConfig(
        layers=4, kv_heads=1, cross_kv_heads=4, num_experts=0, dropout=0.0, **small
    )
    expert: dict[str, Any] = {
        "num_experts": settings.experts,
        "ff_dim": settings.ff_dim // 2,
        "moe_top_k": 2,
        "moe_balance": settings.balance,
    }
    changes = WHERE[where]
    if "encoder" in changes:
        encoder = replace(encoder, **expert, **changes["encoder"])
    if "decoder" in changes:
        decoder = replace(decoder, **expert, **changes["decoder"])
    return ModelConfig(
        width=settings.width,
        sequence_vocab=vocabulary[0],
        structure_vocab=vocabulary[1],
        bp_per_token=6.0,
        base_channels=32,
        pointer_width=32,
        encoder=encoder,
        compressor=CompressorConfig(
            num_latents=512, bin_bp=16, layers=1, kv_heads=1, window_bp=256, **small
        ),
        decoder=decoder,
    )


@dataclass(slots=True)
class Contender:
    """One model under training."""

    name: str
    model: GeneT5
    optimizer: torch.optim.Optimizer
    average: WeightAverage
    batches: Iterator[Batch]
    steps: int = 0
    seconds: float = 0.0
    curve: list[dict[str, float]] = field(default_factory=list)


def widen_dense_layers(model: GeneT5, ff_dim: int) -> None:
    """Give dense layers between expert layers the full width, so that active work is equal."""
    from genet5.blocks.feedforward import GatedFeedForward

    for part, has_bias in ((model.encoder, True), (model.decoder, False)):
        for layer in part.layers:
            if isinstance(layer.feedforward, GatedFeedForward):
                width = layer.feedforward.up.in_features
                layer.feedforward = GatedFeedForward(width, ff_dim, down_bias=has_bias)


def make_contender(settings: StudyConfig, loader: Loader, where: str) -> Contender:
    """Build a model and its optimizer."""
    header = loader.header
    vocabulary = KmerTokenizer(6).vocab_size, len(header.vocabulary)
    model = GeneT5(shape(settings, vocabulary, where))
    widen_dense_layers(model, settings.ff_dim)
    model.init_weights(settings.seed)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.lr, betas=(0.9, 0.98), weight_decay=0.02, fused=True
    )
    return Contender(where, model.train(), optimizer, WeightAverage(model, 0.99), endless(loader))


def endless(loader: Loader) -> Iterator[Batch]:
    """Yield epoch after epoch."""
    while True:
        yield from loader


def train_slice(settings: StudyConfig, contender: Contender) -> None:
    """Do some steps, in bf16 autocast as `finet` does."""
    model, ranks = contender.model, Ranks()
    objective = gene_objective(model, LossWeights())
    for batch in itertools.islice(contender.batches, settings.slice_steps):
        start = time.process_time()
        counts = step_counts(objective, [batch], ranks)
        with torch.autocast("cpu", torch.bfloat16):
            output = model(batch)
        terms = objective.sums(output, batch).items()
        loss = torch.stack([term.weight * term.sum / counts[head] for head, term in terms]).sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in contender.optimizer.param_groups:
            group["lr"] = settings.lr * min(1.0, (contender.steps + 1) / 20)
        contender.optimizer.step()
        contender.optimizer.zero_grad(set_to_none=True)
        figures = update_experts(model, ranks)
        contender.seconds += time.process_time() - start
        contender.average.update(model)
        contender.steps += 1
    contender.curve.append(
        {
            "steps": contender.steps,
            "seconds": round(contender.seconds, 2),
            **{name: round(float(value), 3) for name, value in figures.items()},
        }
    )


def validate(contender: Contender, validation: list[Batch]) -> None:
    """Add the validation loss of the heads that all models share to the newest point."""
    objective = gene_objective(contender.model, LossWeights())
    with contender.average.applied(contender.model):
        losses = validation_losses(contender.model, validation, objective, Ranks(), use_bf16=True)
    weights = LossWeights()
    losses["loss"] = sum(getattr(weights, head) * losses[f"loss_{head}"] for head in HEADS)
    losses["loss_decoder"] = losses["loss_token"] + losses["loss_position"]
    names = ("loss", "loss_decoder", *(f"loss_{head}" for head in HEADS))
    contender.curve[-1] |= {name: round(losses[name], 4) for name in names}


def make_data(settings: StudyConfig, folder: Path) -> tuple[Path, Path]:
    """Bake training and validation windows.

    Raises:
        GeneT5Error: A command failed; it has logged why.
    """
    tokenizer = Tokenizer(KmerTokenizer(6), StructureVocabulary())
    save_tokenizer(tokenizer, folder)
    raw, splits = folder / "raw", folder / "splits.tsv"
    if settings.data is None:
        rows = ["taxon\tgenome\tcontigs\tsplit"]
        sizes = {"train": 1_500_000, "valid": 120_000}
        for index, (split, size) in enumerate(sizes.items()):
            name = f"artificial_{split}"
            flags = ["--length_bp", str(size), "--seed", str(settings.seed + index)]
            call(simulate.main, [str(raw / "prokaryotes" / name), *flags])
            rows.append(f"prokaryotes\t{name}\t*\t{split}")
        splits.write_text("\n".join(rows) + "\n", encoding="utf-8")
        names: tuple[str, ...] = ("artificial_train", "artificial_valid")
    else:
        raw, splits = settings.data / "raw", settings.data / "splits.tsv"
        names = settings.train_genomes + settings.valid_genomes
    flags = ["--window_size", "6144", "--target", "4096", "--hard_limit", "4400"]
    flags += ["--clades", "prokaryotes", "--species", *names, "--seed", str(settings.seed)]
    where = ["--raw_dir", str(raw), "--splits", str(splits), "--output_dir", str(folder)]
    call(bake.main, [*where, "--tokenizer", str(folder / "tokenizer.json"), *flags])
    return folder / "training.packed", folder / "validation.packed"


def call(command: Any, argv: list[str]) -> None:
    """Run one of our commands in this process, its output on stderr."""
    kept, sys.stdout = sys.stdout, sys.stderr
    try:
        code = command(argv)
    finally:
        sys.stdout = kept
    if code:
        raise GeneT5Error(f"failed: {' '.join(argv)}")


def at(curve: list[dict[str, float]], key: str, limit: float, loss: str = "loss") -> float:
    """Return a validation loss of the last point that is not beyond `limit`."""
    return [point[loss] for point in curve if point[key] <= limit][-1]


def study(settings: StudyConfig) -> int:
    """Train all models in turn, print a table and write JSON."""
    torch.set_num_threads(settings.threads)
    device = torch.device("cpu")
    record: dict[str, Any] = {
        "what": "where experts pay: validation loss at equal compute",
        **measure.environment(device),
        "note": settings.note,
        "settings": {
            name: getattr(settings, name)
            for name in ("minutes", "width", "ff_dim", "experts", "balance", "lr", "rows", "seed")
        },
        "data": "artificial genomes" if settings.data is None else list(settings.train_genomes),
    }
    with tempfile.TemporaryDirectory() as folder:
        training, validating = make_data(settings, Path(folder))
        options = {"limits": BatchLimits(max_batch_size=settings.rows), "seed": settings.seed}
        validation = list(itertools.islice(Loader(validating, **options), 16))
        contenders = [
            make_contender(settings, Loader(training, **options), where) for where in WHERE
        ]
        limit = 60 * settings.minutes / len(contenders)
        while any(contender.seconds < limit for contender in contenders):
            for contender in contenders:
                if contender.seconds < limit:
                    train_slice(settings, contender)
                    validate(contender, validation)
            newest = ", ".join(f"{c.curve[-1]['loss']:.3f}" for c in contenders)
            sys.stderr.write(f"{contenders[0].steps} steps: {newest}\n")
    steps = min(contender.steps for contender in contenders)
    seconds = min(contender.seconds for contender in contenders)
    print(
        f"| experts in | M weights | ms a step | loss after {steps} steps | after {seconds:.0f} "
        f"s | decoder's heads | after {seconds:.0f} s |\n|---|---|---|---|---|---|---|"
    )
    record["results"] = []
    for contender in contenders:
        row = {
            "experts_in": contender.name,
            "parameters": count_parameters(contender.model)["total"],
            "ms_a_step": round(1000 * contender.seconds / contender.steps, 1),
            "loss_at_equal_steps": at(contender.curve, "steps", steps),
            "loss_at_equal_time": at(contender.curve, "seconds", seconds),
            "decoder_loss_at_equal_steps": at(contender.curve, "steps", steps, "loss_decoder"),
            "decoder_loss_at_equal_time": at(contender.curve, "seconds", seconds, "loss_decoder"),
        }
        millions = row["parameters"] / 1e6
        cells = [contender.name, f"{millions:.2f}", *list(row.values())[2:]]
        print("|", " | ".join(map(str, cells)), "|")
        record["results"].append({**row, "curve": contender.curve})
    record["equal"] = {"steps": steps, "seconds": round(seconds, 1)}
    record["load_average_at_the_end"] = round(os.getloadavg()[0], 2)
    out = settings.out or RESULTS / measure.result_path(device, "experts").name
    save_json(out, record)
    print(f"\nwritten: {out}")
    return 0


if __name__ == "__main__":
    sys.exit(run(study, StudyConfig, None, name="study_experts", description=__doc__ or ""))
