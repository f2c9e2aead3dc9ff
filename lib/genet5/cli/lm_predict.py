"""`genet5 lm predict`: apply a fine-tuned language model."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from genet5.cli.parse import run
from genet5.config.lm.finetune import LmPredictConfig
from genet5.genome.io.files import check_inputs
from genet5.outputs import check_outputs

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Write a row for each sequence."""
    return run(
        _predict,
        LmPredictConfig,
        argv,
        name="lm predict",
        description="Write the classes or values that a fine-tuned language model predicts for "
        "each sequence.",
    )


def _predict(config: LmPredictConfig) -> int:
    inputs = {
        "DATA": config.data, "genome": config.examples.genome, "labels": config.examples.labels,
    }  # fmt: skip
    check_inputs(inputs)
    check_outputs({"output": config.output, "metrics": config.metrics}, inputs)
    from genet5.lm.extra import require_extra

    require_extra(*(["sklearn"] if config.metrics else []))
    from genet5.lm.classifier import load_classifier
    from genet5.lm.devices import placed
    from genet5.lm.predict import predict

    number, _ = predict(load_classifier(config.model, *placed(config.compute)), config)
    log.info("predicted %d sequences", number)
    return 0
