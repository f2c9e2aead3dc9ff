"""`genet5 lm generate`: continue DNA with a language model."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from genet5.cli.parse import run
from genet5.config.lm.generate import LmGenerateConfig
from genet5.genome.io.files import check_inputs
from genet5.outputs import check_outputs

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Write a FASTA file of generated sequences."""
    return run(
        _generate,
        LmGenerateConfig,
        argv,
        name="lm generate",
        description="Generate DNA with a causal language model, from nothing or after prompts.",
    )


def _generate(config: LmGenerateConfig) -> int:
    about = config.about
    inputs = {"prompts": config.prompts, "natural": about.natural, "training": about.training}
    check_inputs(inputs)
    outputs = {"output": config.output, "report": about.report, "summary": about.summary}
    check_outputs(outputs, inputs)
    from genet5.lm.extra import load_with_extra

    lm = load_with_extra(config.model, config.compute, *(["matplotlib"] if about.report else []))
    from genet5.lm.generate import generate_sequences

    log.info("generated %d sequences", generate_sequences(lm, config))
    return 0
