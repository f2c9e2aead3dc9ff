"""`genet5 fetch`: bring genomes from NCBI."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from genet5.cli.parse import run
from genet5.config.fetch import FetchSettings
from genet5.errors import DataError

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run(
        _fetch,
        FetchSettings,
        argv,
        name="fetch",
        description="Bring genomes with their annotation from NCBI; prints the folder of each.",
    )


def _fetch(settings: FetchSettings) -> int:
    """Bring all; an accession that cannot be had does not stop the others, an unreachable server does."""
    from genet5.fetch.fetcher import Fetcher
    from genet5.fetch.names import parse_accession

    for text in settings.accessions:
        parse_accession(text)
    fetcher = Fetcher(settings)
    failed = []
    for text in settings.accessions:
        try:
            folder = fetcher.fetch(text)
        except DataError as error:
            if len(settings.accessions) == 1:
                raise
            log.error("%s: %s", text, error)
            failed.append(text)
            continue
        sys.stdout.write(f"{folder}\n")
        sys.stdout.flush()
    if failed:
        raise DataError(
            f"{len(failed)} of {len(settings.accessions)} not fetched: {', '.join(failed)}"
        )
    return 0
