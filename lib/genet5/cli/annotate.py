"""`genet5 annotate`: find the genes of a genome and write them as GFF3."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from genet5.cli.parse import run
from genet5.config.annotate import AnnotateConfig

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run(
        _annotate,
        AnnotateConfig,
        argv,
        name="annotate",
        description="Find the genes of a genome and write them as GFF3.",
    )


def _annotate(config: AnnotateConfig) -> int:
    from genet5.annotate.genome import annotate_genome, plan_genome

    if config.dry_run:
        log.info("%s", plan_genome(config))
        return 0
    log.info("%s", annotate_genome(config))
    return 0
