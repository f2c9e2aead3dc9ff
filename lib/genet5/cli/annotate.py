"""`genet5 annotate`: find the genes of a genome and write them as GFF3."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from genet5.cli.parse import run
from genet5.config.annotate import AnnotateConfig
from genet5.genome.io.files import check_inputs, spooled
from genet5.outputs import check_outputs

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run(
        _annotate,
        AnnotateConfig,
        argv,
        name="annotate",
        description="Predict the genes of a genome and write them as GFF3, GTF or GenBank.",
    )


def _annotate(config: AnnotateConfig) -> int:
    check_inputs({"GENOME": config.genome})
    outputs = {"output": config.output, "proteins": config.proteins, "cds": config.cds}
    outputs["record"] = config.record
    check_outputs(outputs, {"GENOME": config.genome})
    from genet5.annotate.run import annotate_genome, describe

    with spooled(config.genome) as genome:
        config = replace(config, genome=genome)
        log.info("%s", describe(config) if config.dry_run else annotate_genome(config))
    return 0
