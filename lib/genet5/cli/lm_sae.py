"""`genet5 lm sae`: take a language model's layer apart into sparse features."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from genet5.cli.parse import run
from genet5.config.lm.sae import LmSaeConfig
from genet5.genome.io.files import check_inputs
from genet5.outputs import check_folder


def main(argv: Sequence[str] | None = None) -> int:
    """Train a sparse autoencoder, and print its most enriched features."""
    return run(
        _sae,
        LmSaeConfig,
        argv,
        name="lm sae",
        description="Train a sparse autoencoder on the states of a language model's layer over a "
        "genome, and describe its features: how often they are active, where most, and in which "
        "parts of the annotation more often than by chance.",
    )


def _sae(config: LmSaeConfig) -> int:
    check_inputs({"FASTA": config.fasta, "annotation": config.report.annotation})
    check_folder("OUT", config.out)
    from genet5.lm.extra import load_with_extra

    lm = load_with_extra(
        config.model,
        config.compute,
        "scipy",
        "matplotlib",
        *(["pyBigWig"] if config.report.bigwig else []),
    )
    from genet5.lm.sae.run import train_and_describe

    found = train_and_describe(lm, config)
    tests = found.enrichment
    sys.stdout.write("feature  class                     active      fold  p (adjusted)\n")
    for feature in found.chosen(10):
        at = feature, tests.best_class(feature)
        sys.stdout.write(
            f"{feature:>7}  {tests.classes[at[1]]:<24} {int(tests.observed[at]):>7}"
            f" {tests.fold[at]:>9.2f}  {tests.p_adjusted[at]:>12.2g}\n"
        )
    sys.stdout.write(f"{found.dead} of {len(found.active)} features are dead\n")
    return 0
