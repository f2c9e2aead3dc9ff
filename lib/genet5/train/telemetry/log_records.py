"""Log records of a run: rank 0 writes everything, other ranks warnings, and rank 0 also keeps a file."""

from __future__ import annotations

import logging
from pathlib import Path

PACKAGE = "genet5"


class _RankFilter(logging.Filter):
    """Rank 0 may say everything, other ranks warn; the rank is named when there are several."""

    def __init__(self, rank: int, world_size: int) -> None:
        super().__init__()
        self._rank, self._prefix = rank, f"[rank {rank}] " if world_size > 1 else ""

    def filter(self, record: logging.LogRecord) -> bool:
        if self._rank and record.levelno < logging.WARNING:
            return False
        if self._prefix and not getattr(record, "has_rank", False):
            record.msg, record.has_rank = self._prefix + str(record.msg), True
        return True


def setup_logging(rank: int, world_size: int, file: Path | None = None) -> logging.Handler | None:
    """Apply the rank's rule to the package's handlers, and write the records to `file` as well (rank 0).

    Returns:
        The file's handler, for `close_logging`.
    """
    logger = logging.getLogger(PACKAGE)
    handler: logging.Handler | None = None
    if file is not None and rank == 0:
        handler = logging.FileHandler(file, encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(levelname).1s %(asctime)s %(message)s"))
        logger.addHandler(handler)
    for each in logger.handlers:
        each.addFilter(_RankFilter(rank, world_size))
    return handler


def close_logging(handler: logging.Handler | None) -> None:
    """Undo what `setup_logging` added."""
    logger = logging.getLogger(PACKAGE)
    for each in logger.handlers:
        for rule in [rule for rule in each.filters if isinstance(rule, _RankFilter)]:
            each.removeFilter(rule)
    if handler is not None:
        logger.removeHandler(handler)
        handler.close()
