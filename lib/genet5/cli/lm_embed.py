"""`genet5 lm embed`: vectors of sequences by a language model."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from genet5.cli.parse import run
from genet5.config.lm.embed import LmEmbedConfig
from genet5.genome.io.files import check_inputs
from genet5.outputs import check_outputs

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Write a vector for each sequence."""
    return run(
        _embed,
        LmEmbedConfig,
        argv,
        name="lm embed",
        description="Embed sequences, or regions of a genome, with a causal DNA language model.",
    )


def _embed(config: LmEmbedConfig) -> int:
    reduce = config.reduce
    inputs = {"FASTA": config.fasta, "regions": config.regions, "apply": reduce.apply}
    inputs |= {"covariates": reduce.covariates, "train_rows": reduce.train_rows}
    check_inputs(inputs)
    check_outputs({"output": config.output, "reduction": reduce.reduction}, inputs)
    from genet5.lm.extra import load_with_extra

    lm = load_with_extra(config.model, config.compute)
    from genet5.lm.embed import embed

    log.info("embedded %d sequences", embed(lm, config))
    return 0
