"""`genet5 lm pretrain`: train a language model on baked files, alone or under torchrun."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from genet5.cli.parse import run
from genet5.config.lm.pretrain import RARE_FIELDS, LmPretrainConfig
from genet5.outputs import check_folder

DESCRIPTION = (
    "Train the language model BASE on TRAIN to predict the next token, validate it on VAL, and "
    "write the trained model to OUT. Ctrl-C finishes the current step, writes a checkpoint and "
    "stops; --resume continues. Under torchrun all processes train one model. "
    "--config OUT/run.json replays a run."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Train; return 130 when a signal ended the run early."""
    how = {"name": "lm pretrain", "description": DESCRIPTION}
    code = run(_pretrain, LmPretrainConfig, argv, **how, rare=RARE_FIELDS, has_file=True)
    if code and "torch" in sys.modules:  # wrong usage is reported without it
        from genet5.train.distributed.processes import abandon

        abandon(code)
    return code


def _pretrain(config: LmPretrainConfig) -> int:
    check_folder("OUT", config.out)
    from genet5.lm.extra import require_extra

    require_extra()
    from genet5.lm.pretrain import pretrain

    return 130 if pretrain(config).is_interrupted else 0
