#!/usr/bin/env python3
"""What a sparse autoencoder finds in a nano model: the ten features most enriched in gene parts.

The autoencoder is trained and described on a held-out genome; p-values are those of `lm sae`,
corrected over all features and classes. Beside it the same features of the network with random
weights: what the letters alone give.

Example:
    python benchmarks/lm/bench_sae.py WORK --models nucleotide --steps 200
"""

from __future__ import annotations

import pathlib
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import numpy as np
from held_out import HeldOutConfig, genome_file, models_of
from machine import environment, result_path

from genet5.cli.parse import run
from genet5.config.json_files import save_json
from genet5.config.lm.sae import LmSaeConfig, SaeReportConfig, SaeShapeConfig
from genet5.lm.folders import LanguageModel, load_model
from genet5.lm.sae.describe import Features
from genet5.lm.sae.run import train_and_describe


@dataclass(frozen=True, kw_only=True, slots=True)
class SaeBenchConfig(HeldOutConfig):
    """Which genome, and for how long."""

    genome: str = "Mycoplasmoides_genitalium_G37"
    """Held-out genome."""
    steps: int = 300
    """Training steps of an autoencoder."""
    features: int = 256
    """Features."""
    layer: int = 2
    """Layer whose output is taken apart."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and write benchmarks/results/DATE_cpu_lm_sae.json."""
    return run(_bench, SaeBenchConfig, argv, name="bench_sae", description=__doc__ or "")


def _bench(config: SaeBenchConfig) -> int:
    rows: dict[str, Any] = {}
    for name, lm in models_of(config).items():
        base = load_model(str(config.work / f"base_{name.partition('_equal')[0]}"))
        for title, each in ((name, lm), (f"{name}, random weights", base)):
            with tempfile.TemporaryDirectory() as folder:
                rows[title] = _row(train_and_describe(each, _sae(config, each, Path(folder))))
    for title, row in rows.items():
        sys.stdout.write(f"{title}: {row['dead']} of {config.features} features are dead\n")
        for each in row["top"]:
            line = f"{each['class']:<24} {each['fold']:8.2f} {each['p_adjusted']:10.2g}\n"
            sys.stdout.write(f"{each['feature']:>6}  {line}")
    about = {"note": config.note, "genome": config.genome, "steps": config.steps}
    path = result_path("_".join(["lm_sae", *config.models]))
    save_json(path, environment("torch", "scipy") | about | {"models": rows})
    return 0


def _sae(config: SaeBenchConfig, lm: LanguageModel, out: Path) -> LmSaeConfig:
    return LmSaeConfig(
        model=lm.name,
        fasta=genome_file(config.data, config.genome),
        out=out,
        layer=config.layer,
        window_bp=config.window_bp,
        shape=SaeShapeConfig(features=config.features, active=16, steps=config.steps, windows=2),
        report=SaeReportConfig(
            annotation=genome_file(config.data, config.genome, "annotation.gff3.gz"), tracks=0
        ),
    )


def _row(found: Features) -> dict[str, Any]:
    tests, top = found.enrichment, []
    for feature in found.chosen(10):
        at = feature, tests.best_class(feature)
        top.append(
            {
                "feature": feature,
                "class": tests.classes[at[1]],
                "active_tokens": int(tests.observed[at]),
                "fold": round(float(tests.fold[at]), 3),
                "t": round(float(tests.t[at]), 2),
                "p_adjusted": float(tests.p_adjusted[at]),
            }
        )
    significant = int((tests.p_adjusted < 0.01).any(1).sum())
    by_class = {
        name: int((tests.p_adjusted[:, number] < 0.01).sum())
        for number, name in enumerate(tests.classes)
    }
    return {
        "top": top,
        "dead": found.dead,
        "enriched_features": significant,
        "enriched_by_class": by_class,
        "strongest_t": round(float(np.max(tests.t)), 2),
    }


if __name__ == "__main__":
    sys.exit(main())
