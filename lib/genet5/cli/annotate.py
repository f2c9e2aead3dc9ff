"""`genet5 annotate`: find the genes of a genome and write them as GFF3."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from genet5.annotate.launch import follow_launcher, run_processes
from genet5.cli.parse import require_package, run
from genet5.config.annotate import AnnotateConfig
from genet5.genome.io.files import check_inputs, spooled
from genet5.outputs import check_folder, check_outputs
from genet5.score.busco import Lineage
from genet5.score.busco_search import choose_scorer
from genet5.train.distributed.place import place_of_process

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    code = run(
        partial(_annotate, words),
        AnnotateConfig,
        words,
        name="annotate",
        description="Predict the genes of a genome and write them as GFF3, GTF or GenBank.",
    )
    if code and "torch.distributed" in sys.modules:
        from genet5.train.distributed.processes import abandon

        abandon(code)
    return code


def _annotate(words: Sequence[str], config: AnnotateConfig) -> int:
    if config.quiet:
        logging.getLogger("genet5").setLevel(logging.WARNING)
    follow_launcher()
    place = place_of_process()
    if place.rank:
        return _decode(config)
    inputs = {"GENOME": config.genome, "reference": config.reference}
    inputs |= {f"hints {number}": path for number, path in enumerate(config.hints, 1)}
    check_inputs(inputs)
    check_outputs(config.outputs, inputs)
    if config.report is not None:
        require_package("report", "matplotlib", "plot")
    if config.busco is not None:
        choose_scorer("auto")
        Lineage.read(config.busco)
    if config.tracks is not None:
        require_package("tracks", "pyBigWig", "bigwig")
        check_folder("tracks", config.tracks)
    if "sqn" in config.formats:
        from genet5.annotate.submission import require_table2asn

        require_table2asn()
    if config.processes > 1 and place.is_alone and not config.dry_run:
        return run_processes(words, config.processes)
    from genet5.annotate.run import annotate_genome, describe

    with spooled(config.genome) as genome:
        config = replace(config, genome=genome)
        log.info("%s", describe(config) if config.dry_run else annotate_genome(config))
    return 0


def _decode(config: AnnotateConfig) -> int:
    """Take part in the run of the first process."""
    logging.getLogger("genet5").setLevel(logging.WARNING)
    from genet5.annotate.run import decode_for_first

    decode_for_first(config)
    return 0
