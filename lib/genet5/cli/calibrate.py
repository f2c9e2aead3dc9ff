"""`genet5 calibrate`: fit the gene scores of a model on validation genomes."""

from __future__ import annotations

from collections.abc import Sequence

from genet5.cli.parse import run
from genet5.config.calibrate import CalibrateConfig
from genet5.genome.io.files import check_inputs
from genet5.outputs import check_folder


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run(
        _calibrate,
        CalibrateConfig,
        argv,
        name="calibrate",
        description="Fit the gene scores and the score threshold of a trained model on validation "
        "genomes; without it the scores are uncalibrated.",
    )


def _calibrate(config: CalibrateConfig) -> int:
    for path in config.genomes:
        check_inputs({"genomes": path}, once=False)
    for path in config.references:
        check_inputs({"references": path}, once=False)
    check_folder("work", config.work)
    from genet5.annotate.calibrate import calibrate_model

    calibrate_model(config)
    return 0
