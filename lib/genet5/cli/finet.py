"""`genet5 finet`: train a model on baked files, alone or under torchrun."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from genet5.cli.parse import run
from genet5.config.train import RARE_FIELDS, TrainConfig
from genet5.outputs import check_folder

DESCRIPTION = (
    "Train the model BASE on TRAIN, validate it on VAL, and write the trained model to OUT. Ctrl-C "
    "finishes the current step, writes a checkpoint and stops; --resume continues. Under torchrun "
    "all processes train one model. --config OUT/run.json replays a run."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Train; return 130 when a signal ended the run early."""
    how = {"name": "finet", "description": DESCRIPTION}
    code = run(_finet, TrainConfig, argv, **how, rare=RARE_FIELDS, has_file=True)
    if code and "torch" in sys.modules:  # wrong usage is reported without it
        from genet5.train.distributed.processes import abandon

        abandon(code)
    return code


def _finet(config: TrainConfig) -> int:
    if config.dry_run:
        from genet5.train.setup import describe

        sys.stdout.write(describe(config))
        return 0
    check_folder("OUT", config.out)
    from genet5.api import train

    return 130 if train(config).is_interrupted else 0
