"""`genet5 subset_packed`: a random share of a packed file's rows as a file of its own."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from genet5.cli.parse import run
from genet5.config.subset_packed import SubsetSettings


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
    from genet5.progress import CountProgress

    with CountProgress("rows") as progress:
        header = subset_packed(
            settings.source,
            settings.target,
            settings.fraction,
            seed=settings.seed,
            overwrite=settings.overwrite,
            progress=progress.show,
        )
    counts = ", ".join(f"{number:,} {name}" for name, number in header.counts.items())
    sys.stdout.write(f"{settings.target}: {counts}\n")
    return 0
