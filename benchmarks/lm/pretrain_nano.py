#!/usr/bin/env python3
"""Pretrain nano language models of one trunk and three tokenizers, at equal bases and compute.

The trunk (4 layers, 128 wide) is the same; tokens are single bases, GENERator's 6-mers, and
DNABERT-2's byte pairs. The base-by-base model sets bases and compute: the two others run once on as
many bases, and once with as many floating-point operations (6 for each weight and token, and those
of attention). An arm that has ended is left alone, and one that was interrupted resumes.
WORK/ARM/done.json has what an arm saw, cost, and reached on the validation genomes.

Example:
    python benchmarks/lm/pretrain_nano.py WORK --data ../shared/data
    python benchmarks/lm/pretrain_nano.py HUMAN --clade vertebrates --arms kmer kmer_repeats_half \\
        --genomes Homo_sapiens_GRCh38_chr1_slices --validated Homo_sapiens_hg19seq_chr3-4-5_slices
"""

from __future__ import annotations

import csv
import json
import pathlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import tyro
from machine import ROOT, run_measured

from genet5.cli.parse import run
from genet5.config.json_files import save_json
from genet5.dataset.packed import PackedReader

GENOMES = (
    "Bordetella_pertussis_TohamaI",
    "Buchnera_aphidicola_Meu",
    "Methanococcus_maripaludis_S2",
    "Portiera_aleyrodidarum_BT-B-HRs",
    "Streptococcus_pneumoniae_ATCC700669",
    "Synechococcus_elongatus_PCC7942",
)
"""For training: 26 to 68 % G and C."""
VALIDATED = ("Lactobacillus_jensenii_SNUV360",)
FLAGS = {"base_loss": ("--loss", "base"), "repeats_half": ("--repeat_weight", "0.5")}
"""Changes to a run by the second part of its name."""
BAKE_FLAGS = {"genes": ("--regions", "genes", "--flank_bp", "200")}
"""Changes to its training data, which are validated on whole genomes."""
WIDTH, LAYERS, FF_WIDTH, KV_WIDTH, WINDOW_BP = 128, 4, 384, 64, 1536


@dataclass(frozen=True, kw_only=True, slots=True)
class PretrainConfig:
    """What to train, and where."""

    work: Annotated[Path, tyro.conf.Positional]
    """Folder for models, baked data and runs; what it has already is not made again."""
    data: Path = ROOT.parent / "shared" / "data"
    """Folder with raw/ and splits.tsv."""
    clade: str = "prokaryotes"
    """Folder of the genomes."""
    genomes: tuple[str, ...] = GENOMES
    """For training."""
    validated: tuple[str, ...] = VALIDATED
    """For validation."""
    steps: int = 240
    """Steps of the base-by-base model."""
    rows: int = 2
    """Its windows in a step; the other models have twice as many."""
    lr: float = 2e-3
    """Peak learning rate of all."""
    arms: tuple[str, ...] = (
        *("nucleotide", "kmer", "kmer_equal_bases", "kmer_base_loss", "bpe_equal_bases", "bpe"),
    )
    """Which models, in this order; those without a suffix have equal compute, the others equal
    bases."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One training run."""

    name: str
    tokenizer: str
    steps: int
    rows: int

    @property
    def bases(self) -> int:
        """Bases that the run sees, but for the start phases."""
        return self.steps * self.rows * WINDOW_BP


def flops_per_base(vocab_size: int, bp_per_token: float) -> float:
    """Return the operations of a training step for each base."""
    attention = 2 * WIDTH * WIDTH + 2 * WIDTH * KV_WIDTH
    weights = LAYERS * (attention + 3 * WIDTH * FF_WIDTH) + vocab_size * WIDTH
    tokens = WINDOW_BP / bp_per_token
    return (6 * weights + 6 * LAYERS * WIDTH * tokens) / bp_per_token


def main(argv: Sequence[str] | None = None) -> int:
    """Train all arms; WORK/ARM/done.json says what each saw and cost."""
    return run(_pretrain, PretrainConfig, argv, name="pretrain_nano", description=__doc__ or "")


def _pretrain(config: PretrainConfig) -> int:
    for arm in _arms(config):
        done = config.work / arm.name / "done.json"
        if not done.exists():
            save_json(done, _train(config, arm))
        sys.stdout.write(f"{arm.name}: {done.read_text(encoding='utf-8')}\n")
    return 0


def _arms(config: PretrainConfig) -> Iterator[Arm]:
    """Yield runs; how many bases are equal compute follows from the baked data."""
    bases = config.steps * config.rows * WINDOW_BP
    for name in config.arms:
        tokenizer, _, change = name.partition("_")
        counts = _baked(config, tokenizer, change if change in BAKE_FLAGS else "")
        if tokenizer == "nucleotide":
            yield Arm(name, tokenizer, config.steps, config.rows)
            continue
        vocab, bp = _size(config, tokenizer), counts["bases"] / counts["tokens"]
        factor = 1.0 if change else flops_per_base(6, 1.0) / flops_per_base(vocab, bp)
        rows = 2 * config.rows
        yield Arm(name, tokenizer, round(factor * bases / (rows * WINDOW_BP)), rows)


def _size(config: PretrainConfig, tokenizer: str) -> int:
    found = json.loads((config.work / f"base_{tokenizer}" / "config.json").read_bytes())
    return int(found["vocab_size"])


def _baked_folder(config: PretrainConfig, tokenizer: str, change: str) -> Path:
    return config.work / "_".join(["baked", tokenizer, *([change] if change else [])])


def _baked(config: PretrainConfig, tokenizer: str, change: str = "") -> dict[str, int]:
    """Make the model and the data of a tokenizer; return what the training file holds."""
    base, baked = config.work / f"base_{tokenizer}", _baked_folder(config, tokenizer, change)
    names = {"kmer": "generator", "bpe": str(config.data / "dnabert2" / "tokenizer.json")}
    if not (base / "config.json").exists():
        shape = ["--width", WIDTH, "--layers", LAYERS, "--heads", 4, "--kv_heads", 2]
        shape += ["--ff_width", FF_WIDTH, "--max_tokens", 2048]
        _genet5("init", base, "--tokenizer", names.get(tokenizer, tokenizer), *shape)
    if not (baked / "validation.packed").exists():
        species = (*config.genomes, *config.validated)
        chosen = ["--clades", config.clade, "--species", *species, "--overwrite"]
        where = ["--raw_dir", config.data / "raw", "--splits", config.data / "splits.tsv"]
        how = ["--window_bp", WINDOW_BP, "--strand", "random", *BAKE_FLAGS.get(change, ())]
        _genet5("bake", baked, "--base", base, *where, *chosen, *how)
    return dict(PackedReader(baked / "training.packed").header.counts)


def _train(config: PretrainConfig, arm: Arm) -> dict[str, float]:
    change, out = arm.name.partition("_")[2], config.work / arm.name
    baked = _baked_folder(config, arm.tokenizer, change if change in BAKE_FLAGS else "")
    whole = _baked_folder(config, arm.tokenizer, "")
    _baked(config, arm.tokenizer)
    files = [baked / "training.packed", whole / "validation.packed"]
    cpu_s = _genet5(
        "pretrain", *files, out, config.work / f"base_{arm.tokenizer}", "--max_steps", arm.steps,
        "--batch_size", arm.rows, "--lr", config.lr, "--warmup_ratio", 0.05, "--precision", "fp32",
        "--eval_batches", 40, "--eval_steps", 10**6, "--num_workers", 0, "--save_every", 2,
        "--resume", "--export", "last",
        *FLAGS.get(change, ()),
    )  # fmt: skip
    with (out / "validation.csv").open(encoding="utf-8") as lines:
        last = list(csv.DictReader(lines))[-1]
    names = ("bits_per_base", "accuracy", "upper_accuracy", "lower_accuracy")
    figures = {f"validation_{name}": round(float(last[name]), 4) for name in names}
    return {"steps": arm.steps, "bases": arm.bases, "cpu_s": round(cpu_s, 1), **figures}


def _genet5(command: str, *words: object) -> float:
    """Run a command; return its processor time in seconds."""
    line = [sys.executable, ROOT / "bin" / f"lm_{command}", *(str(word) for word in words)]
    return run_measured(line, {"OMP_NUM_THREADS": "1"})[0].cpu_s


if __name__ == "__main__":
    sys.exit(main())
