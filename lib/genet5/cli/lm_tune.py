"""`genet5 lm tune`: train a language model further on a family of sequences."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from genet5.cli.parse import run
from genet5.config.lm.tune import RARE_FIELDS, LmTuneConfig
from genet5.genome.io.files import check_inputs
from genet5.outputs import check_folder

DESCRIPTION = (
    "Train the language model MODEL further on the whole sequences of DATA, such as the members of "
    "a gene family, each with a prompt token that says what it is if --prompt wants one, and write "
    "the trained model to OUT. Under torchrun all processes train one model."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Train; return 130 when a signal ended the run early."""
    how = {"name": "lm tune", "description": DESCRIPTION}
    code = run(_tune, LmTuneConfig, argv, **how, rare=RARE_FIELDS, has_file=True)
    if code and "torch" in sys.modules:  # wrong usage is reported without it
        from genet5.train.distributed.processes import abandon

        abandon(code)
    return code


def _tune(config: LmTuneConfig) -> int:
    check_folder("OUT", config.out)
    inputs = {"valid": config.valid, "genome": config.examples.genome}
    check_inputs({**inputs, "labels": config.examples.labels})
    from genet5.lm.extra import require_extra

    require_extra()
    from genet5.lm.tune import tune

    return 130 if tune(config).is_interrupted else 0
