"""`genet5 lm score`: log-likelihoods of sequences under a language model."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from genet5.cli.parse import run
from genet5.config.lm.score import LmScoreConfig
from genet5.genome.io.files import check_inputs
from genet5.outputs import check_outputs

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Write a row for each sequence."""
    return run(
        _score,
        LmScoreConfig,
        argv,
        name="lm score",
        description="Log-likelihood of each sequence under a causal DNA language model: exact for "
        "any length, as a remainder shorter than a token and ambiguous letters are summed over all "
        "tokens that complete them.",
    )


def _score(config: LmScoreConfig) -> int:
    check_inputs({"FASTA": config.fasta})
    check_outputs({"output": config.output}, {"FASTA": config.fasta})
    from genet5.lm.extra import load_with_extra

    lm = load_with_extra(config.model, config.compute)
    from genet5.lm.score import score_fasta

    log.info("scored %d sequences", score_fasta(lm, config))
    return 0
