"""`genet5 subset_packed`: a random share of a packed file's rows as a file of its own."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Sequence

from genet5.cli.parse import run
from genet5.config.subset_packed import SubsetSettings

log = logging.getLogger(__name__)

_SAY_EVERY_S = 5.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run(
        _subset,
        SubsetSettings,
        argv,
        name="subset_packed",
        description="Write a random share of a packed file's rows to a packed file of its own.",
    )


def _subset(settings: SubsetSettings) -> int:
    from genet5.dataset.subset import subset_packed

    header = subset_packed(
        settings.source,
        settings.target,
        settings.fraction,
        seed=settings.seed,
        overwrite=settings.overwrite,
        progress=_progress(),
    )
    counts = ", ".join(f"{number:,} {name}" for name, number in header.counts.items())
    sys.stdout.write(f"{settings.target}: {counts}\n")
    return 0


def _progress() -> Callable[[str, int, int], None]:
    """A line on stderr every few seconds."""
    said = time.monotonic()

    def show(stage: str, done: int, total: int) -> None:
        nonlocal said
        if time.monotonic() - said >= _SAY_EVERY_S:
            said = time.monotonic()
            log.info("%s | %s/%s rows (%.1f%%)", stage, f"{done:,}", f"{total:,}", 100 * done / total)  # fmt: skip

    return show
