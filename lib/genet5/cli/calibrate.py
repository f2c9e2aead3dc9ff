"""`genet5 calibrate`: how sure a model may be of its genes, learnt on validation genomes."""

from __future__ import annotations

from collections.abc import Sequence

from genet5.cli.parse import run
from genet5.config.calibrate import CalibrateConfig


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run(
        _calibrate,
        CalibrateConfig,
        argv,
        name="calibrate",
        description="Fit the gene scores and the threshold of a trained model on validation genomes; without this its "
        "scores are guesses.",
    )


def _calibrate(config: CalibrateConfig) -> int:
    from genet5.annotate.calibrate import fit_model

    fit_model(config)
    return 0
